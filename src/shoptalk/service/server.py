"""Running the service with uvicorn, on addresses that are safe to serve."""

import ipaddress

from fastapi import FastAPI

from shoptalk.core.errors import BindingError

DRAIN_S = 30
"""Seconds that requests in progress get to finish when the server is told to stop."""


def check_binding(host: str, api_key: str | None) -> None:
    """`BindingError` if others than this machine could reach `host` and no API key keeps them out."""
    if not api_key and not _is_loopback(host):
        raise BindingError(
            f"{host} can be reached from other machines; set SHOPTALK_API_KEY, or serve on 127.0.0.1 without a key"
        )


def serve(app: FastAPI, host: str, port: int) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those in progress and return."""
    import uvicorn

    check_binding(host, app.state.api_key)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
