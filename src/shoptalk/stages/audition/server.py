"""The page over HTTP, on a loopback address alone.

A web page elsewhere may make a browser send requests here. So each request must name this very address as its host,
which keeps out names that were pointed to the loopback address, and none may come from another site. Files are served
by name from a fixed table: no path of a request reaches the file system.
"""

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from shoptalk.core.errors import BindingError, ShoptalkError
from shoptalk.stages.audition.listening import Listening

ADDRESS = "127.0.0.1"
MAX_BODY = 20_000
"""Bytes."""
READ_S = 10.0
"""How long a request may take to arrive."""
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_OWN = ("index.html", "audition.css", "audition.js")
_SHARED = ("page.css", "elements.js", "theme.js", "atkinson.woff2", "icon.svg")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self'; connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """Bound to a port; answers once `serve_forever` is called."""

    daemon_threads = True

    def __init__(self, listening: Listening, port: int) -> None:
        self.pages = _pages()
        self.listening = listening
        self.lock = threading.Lock()
        super().__init__((ADDRESS, port), _Handler)

    @property
    def origin(self) -> str:
        """The page's address, without the slash at its end."""
        return f"http://{ADDRESS}:{self.server_address[1]}"


def open_server(listening: Listening, *, port: int = 0) -> Server:
    """A server for one page; port 0: any free one. `BindingError`: the port is taken."""
    try:
        return Server(listening, port)
    except (OSError, OverflowError) as error:
        raise BindingError(f"port {port} cannot be used ({error}); give another with --port") from None


def _pages() -> dict[str, bytes]:
    own = resources.files("shoptalk.stages.audition").joinpath("page")
    shared = resources.files("shoptalk.service.web")
    pages = {name: own.joinpath(name).read_bytes() for name in _OWN}
    return pages | {name: shared.joinpath(name).read_bytes() for name in _SHARED}


def _answer(listening: Listening, name: str, asked: Mapping[str, Any]) -> Any:
    """The answer to ``/api/NAME``: something for JSON, or the bytes of a FLAC; None: no such request."""

    def text(key: str) -> str:
        value = asked.get(key, "")
        return value if isinstance(value, str) else ""

    def clip() -> bytes:
        return listening.clip(text("id"), text("ipa"), text("voice")).read_bytes()

    def judge() -> dict[str, Any]:
        listening.judge(text("id"), text("ipa"), text("verdict"), text("by"))
        return listening.state()

    def correct() -> dict[str, Any]:
        ipa = listening.correct(text("id"), text("written"), text("by"))
        return {**listening.state(), "ipa": ipa}

    known: dict[str, Callable[[], Any]] = {
        "state": listening.state,
        "check": lambda: {"ipa": listening.check(text("written"))},
        "clip": clip,
        "judge": judge,
        "correct": correct,
    }
    return known[name]() if name in known else None


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    timeout = READ_S
    server_version = "shoptalk"
    sys_version = ""
    server: Server

    def do_GET(self) -> None:
        """The page and its files."""
        if not self._is_ours():
            return
        name = "index.html" if self.path == "/" else self.path.removeprefix("/page/")
        content = self.server.pages.get(name)
        if content is None or (name == "index.html" and self.path != "/"):
            self._problem(HTTPStatus.NOT_FOUND, "no such page")
        else:
            self._send(HTTPStatus.OK, _TYPES[name.rpartition(".")[2]], content)

    def do_POST(self) -> None:
        """What the page asks for, as a JSON object."""
        if not self._is_ours():
            return
        if self.headers.get("Origin") != self.server.origin or self.headers.get_content_type() != "application/json":
            self._problem(HTTPStatus.FORBIDDEN, "only this page may ask")
            return
        asked = self._body()
        if asked is None:
            self._problem(HTTPStatus.BAD_REQUEST, f"send a JSON object of at most {MAX_BODY} bytes")
            return
        try:
            with self.server.lock:
                given = _answer(self.server.listening, self.path.removeprefix("/api/"), asked)
        except (ShoptalkError, ValueError) as error:
            self._problem(HTTPStatus.BAD_REQUEST, str(error))
            return
        if given is None:
            self._problem(HTTPStatus.NOT_FOUND, "no such request")
        elif isinstance(given, bytes):
            self._send(HTTPStatus.OK, "audio/flac", given)
        else:
            self._send(HTTPStatus.OK, "application/json", json.dumps(given, ensure_ascii=False).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is logged: the console is for errors."""

    def _is_ours(self) -> bool:
        """Whether the request names this address and comes from no other site; otherwise it is refused."""
        site = self.headers.get("Sec-Fetch-Site", "none")
        if f"http://{self.headers.get('Host', '')}" == self.server.origin and site in ("same-origin", "none"):
            return True
        self._problem(HTTPStatus.FORBIDDEN, f"open {self.server.origin}/ itself")
        return False

    def _body(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            return None
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return asked if isinstance(asked, dict) else None

    def _problem(self, status: HTTPStatus, message: str) -> None:
        self.close_connection = True
        self._send(status, "application/json", json.dumps({"error": message}, ensure_ascii=False).encode())

    def _send(self, status: HTTPStatus, content_type: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": content_type, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        try:
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:  # the page was closed
            self.close_connection = True
