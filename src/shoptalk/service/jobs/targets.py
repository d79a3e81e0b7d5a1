"""Which addresses a webhook may go to, and sending to them.

A client that names a webhook has the server send a request. It must not reach what only the server can: the server's
own machine, its network, a cloud's metadata. So the name is resolved, each of its addresses is checked, and the
connection goes to a checked address; the name cannot mean another one meanwhile. Redirects are not followed, proxies
not used, and answers not read.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from urllib.parse import SplitResult, urlsplit

from shoptalk.service.problems import Problem

TIMEOUT_S = 20.0
"""Of a whole delivery; also of each wait for the network."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""All addresses of a host and port; `OSError` if there are none."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""The last 32 bits are an address of IPv4."""


class TargetError(Exception):
    """An address that a webhook may not go to; the message is for who named it."""


def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    endpoints = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in endpoints))


class Targets:
    """Checks and reaches targets; methods block."""

    def __init__(self, networks: Sequence[str], *, resolve: Resolve = resolve) -> None:
        """`networks` are private ones that are allowed too; `ValueError` for what is no network."""
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._resolve = resolve

    def check(self, url: str) -> None:
        """`Problem` 400 if the address must not be reached; a name that cannot be resolved now is left to later."""
        parts = urlsplit(url)
        try:
            self._addresses(parts)
        except TargetError as error:
            raise Problem(400, f"`webhook_url` {error}", code="webhook_refused", param="webhook_url") from None
        except OSError:
            return

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a POST, and return the status of its answer; `TargetError`, or `OSError` if there is none in time."""
        parts = urlsplit(url)
        address = self._addresses(parts)[0]
        host, port = _host(parts), _port(parts)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        plain = socket.create_connection((address, port), timeout=TIMEOUT_S)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = plain
        with closing(connection), _at_most(TIMEOUT_S, connection):
            try:
                if parts.scheme == "https":
                    connection.default_port = 443  # otherwise the Host header would name it
                    connection.sock = _tls().wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
                    connection.sock.do_handshake()
                connection.request("POST", path, body, dict(headers))
                return connection.getresponse().status
            except (http.client.HTTPException, ValueError) as error:
                raise OSError(f"no answer in HTTP ({type(error).__name__})") from None

    def _addresses(self, parts: SplitResult) -> list[str]:
        """The addresses of a URL's host, which all may be reached."""
        try:
            addresses = self._resolve(_host(parts), _port(parts))
        except UnicodeError:
            raise TargetError("names no host") from None
        for text in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            is_ours = any(inner in network for inner in _meanings(address) for network in self._networks)
            if not is_ours and not all(_is_public(inner) for inner in _meanings(address)):
                raise TargetError(
                    "leads into a private network; whoever runs the server may allow it in serve.webhook_networks"
                )
            if not is_ours and parts.scheme != "https":
                raise TargetError("must begin with https://")
        if not addresses:
            raise OSError("the host has no address")
        return list(addresses)


def _host(parts: SplitResult) -> str:
    return parts.hostname or ""


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _meanings(address: IpAddress) -> list[IpAddress]:
    """The address, and the one of IPv4 that is within one of IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    mapped = [own for own in inner if own is not None]
    return mapped if address.ipv4_mapped else [address, *mapped]


def _is_public(address: IpAddress) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def _at_most(seconds: float, connection: http.client.HTTPConnection) -> Iterator[None]:
    """Cut a connection off that takes longer in all, whatever little comes now and then."""

    def cut_off() -> None:
        with suppress(OSError, AttributeError):  # it is over already
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
