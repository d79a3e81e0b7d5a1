"""Which web pages may use a service that asks for no key: any page of the web could, from its reader's own machine."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from shoptalk.service.problems import Problem


def check_origin(headers: Headers, allowed: Sequence[str]) -> None:
    """`Problem` 403 for a request from a web page of another origin that `allowed` (`serve.cors_origins`) lacks.

    Only browsers send `Origin`. A page that the service itself serves on a loopback address may always use it. On
    another name it must be allowed: a page can give a name of its own the address 127.0.0.1.
    """
    origin = headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return
    if _address(origin) == _address(f"//{headers.get('host', '')}") and _is_loopback(origin):
        return
    raise _refused()


def check_host(headers: Headers, allowed: Sequence[str]) -> None:
    """`Problem` 403 for a request to a name that is neither loopback nor that of an origin in `allowed`.

    For what a page may read: browsers send no `Origin` when a page reads from its own name, and it can give that name
    the address 127.0.0.1.
    """
    host = f"//{headers.get('host', '')}"
    if "*" in allowed or _is_loopback(host) or _address(host) in [_address(origin) for origin in allowed]:
        return
    raise _refused()


def _refused() -> Problem:
    message = "this web page may not use the service; whoever runs it can name the page in serve.cors_origins"
    return Problem(403, message, code="origin_not_allowed")


def _address(url: str) -> tuple[str | None, int | None]:
    """Host and port; the port is None where it is the usual one."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port if parts.port not in (80, 443) else None
    except ValueError:
        return None, None


def _is_loopback(origin: str) -> bool:
    host = _address(origin)[0]
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
