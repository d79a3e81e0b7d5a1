"""Running the service with uvicorn, on addresses that are safe to serve."""

import ipaddress

from fastapi import FastAPI

from shoptalk.core.errors import BindingError


def check_binding(host: str, api_key: str | None) -> None:
    """`BindingError` if others than this machine could reach `host` and no API key keeps them out."""
    if not api_key and not _is_loopback(host):
        raise BindingError(
            f"{host} can be reached from other machines; set SHOPTALK_API_KEY, or serve on 127.0.0.1 without a key"
        )


def serve(app: FastAPI, host: str, port: int, *, drain_s: int) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those in progress, for up to `drain_s` seconds, and return.

    A second SIGINT does not wait for them.
    """
    import uvicorn

    check_binding(host, app.state.api_key)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=drain_s,
    )
    server = uvicorn.Server(config)
    app.state.stopping = lambda: server.should_exit
    server.run()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
