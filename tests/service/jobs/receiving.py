"""A server that gets webhooks, and checks their signatures as Standard Webhooks says."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET = bytes(range(32))


class Receiver:
    """News that came, each with its id; `statuses` are answered first, then 204."""

    def __init__(self) -> None:
        self.news: list[tuple[str, dict[str, Any]]] = []
        self.statuses: list[int] = []
        self.problems: list[str] = []
        self.url = ""

    @property
    def kinds(self) -> list[str]:
        return [content["type"].removeprefix("transcription.job.") for _, content in self.news]


@contextmanager
def receiver() -> Iterator[Receiver]:
    receiving = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
            digest = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
            if self.headers["webhook-signature"] != f"v1,{digest}":
                receiving.problems.append("a signature is wrong")
            status = receiving.statuses.pop(0) if receiving.statuses else 204
            if status < 300:
                receiving.news.append((self.headers["webhook-id"], json.loads(body)))
            self.send_response(status)
            self.send_header("location", "http://169.254.169.254/")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiving.url = f"http://127.0.0.1:{server.server_address[1]}/news?of=jobs"
    try:
        yield receiving
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not receiving.problems


def settings(folder: Path) -> dict[str, Any]:
    """What lets a service send news to such a server."""
    secret = folder / "webhook"
    secret.write_text("whsec_" + base64.b64encode(SECRET).decode())
    return {"webhook_secret": secret, "webhook_networks": ("127.0.0.0/8",)}
