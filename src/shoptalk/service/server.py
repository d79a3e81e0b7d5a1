"""Running the service with uvicorn: on safe addresses, with TLS, bounded in connections, heads and time."""

import ipaddress
import ssl
from functools import partial
from typing import Any

from fastapi import FastAPI

from shoptalk.core.errors import BindingError
from shoptalk.service.connections import Connection, LiveConnection
from shoptalk.service.settings import Settings

KEEP_ALIVE_S = 20
"""An idle connection is closed after so long; proxies keep theirs for less, or try again."""
BACKLOG = 1024
"""Connections that the system holds until they are accepted."""
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def check_binding(host: str, *, asks_for_key: bool) -> None:
    """`BindingError` if others than this machine could reach `host` and no API key keeps them out."""
    if not asks_for_key and not _is_loopback(host):
        raise BindingError(
            f"{host} can be reached from other machines; set SHOPTALK_API_KEY or serve.keys_file, "
            "or serve on 127.0.0.1 without a key"
        )


def serve(app: FastAPI, settings: Settings) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those in progress, for up to `drain_s` seconds, and return.

    A second SIGINT does not wait for them; ``app.state.stop()`` does what SIGTERM does. `BindingError` for certificates
    that cannot be used.
    """
    import uvicorn

    config = configuration(app, settings)
    server = uvicorn.Server(config)
    app.state.stopping = lambda: server.should_exit
    app.state.stop = partial(setattr, server, "should_exit", True)
    server.run()


def configuration(app: FastAPI, settings: Settings) -> Any:
    """What uvicorn is started with."""
    import uvicorn

    tls: dict[str, Any] = {}
    if settings.tls_certificate:
        tls = {
            "ssl_certfile": settings.tls_certificate,
            "ssl_keyfile": settings.tls_key,
            "ssl_ca_certs": settings.tls_client_ca,
            "ssl_cert_reqs": ssl.CERT_REQUIRED if settings.tls_client_ca else ssl.CERT_NONE,
        }
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=partial(Connection, settings),  # type: ignore[arg-type]
        ws=partial(LiveConnection, settings),  # type: ignore[arg-type]
        ws_max_size=round(settings.live_message_mb * 2**20),
        ws_ping_interval=settings.live_ping_s,
        ws_ping_timeout=settings.live_ping_s,
        ws_per_message_deflate=False,  # audio hardly shrinks, and unpacking takes time
        backlog=BACKLOG,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.drain_s,
        **tls,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
        raise BindingError(f"serve.tls_certificate, tls_key or tls_client_ca cannot be used: {reason}") from None
    if config.ssl:
        config.ssl.minimum_version = _VERSIONS[settings.tls_minimum]
    return config


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
