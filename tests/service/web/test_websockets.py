"""WebSockets of a browser: the key in the subprotocol, a page of the service, and pages of other origins."""

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("playwright")  # of the extra dev; the rest of the project goes without
from playwright.sync_api import Browser
from scripts.browser import opened
from tests.service.realtime.live import served, tone

pytestmark = pytest.mark.page
REALTIME = """async ([url, protocols, pcm]) => {
    const socket = new WebSocket(url, protocols);
    return await new Promise(resolve => {
        socket.onopen = () => {
            const session = {type: "transcription", audio: {input: {turn_detection: null}}};
            socket.send(JSON.stringify({type: "session.update", session}));
            socket.send(JSON.stringify({type: "input_audio_buffer.append", audio: pcm}));
            socket.send(JSON.stringify({type: "input_audio_buffer.commit"}));
        };
        socket.onmessage = ({data}) => {
            const event = JSON.parse(data);
            if (event.type.endsWith("transcription.completed")) resolve([socket.protocol, event.transcript]);
        };
        socket.onclose = ({code}) => resolve(["closed", String(code)]);
    });
}"""
"""A script that has a recording transcribed; what it resolves to."""
PCM = base64.b64encode(tone(1.2)).decode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened() as chromium:
        yield chromium


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def foreign() -> Iterator[str]:
    """A page of another origin."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def asked(browser: Browser, page_address: str, service: str, protocols: list[str]) -> Any:
    """What a script of the page at an address gets of the service's `/v1/realtime`."""
    page = browser.new_page()
    try:
        page.goto(page_address)
        return page.evaluate(REALTIME, [f"ws://{service}/v1/realtime", protocols, PCM])
    finally:
        page.close()


def test_a_browser_has_audio_transcribed(browser: Browser) -> None:
    with served(api_key="secret") as service, foreign() as elsewhere:
        key = "openai-insecure-api-key.secret"
        text = "word1 word2 word3"
        assert asked(browser, f"http://{service}/health/live", service, ["realtime", key]) == ["realtime", text]
        assert asked(browser, elsewhere, service, ["realtime", key]) == ["realtime", text]
        assert asked(browser, elsewhere, service, ["realtime", key + "x"]) == ["closed", "1006"]


def test_a_page_of_another_origin_cannot_use_a_service_without_keys(browser: Browser) -> None:
    with served() as service, foreign() as elsewhere:
        assert asked(browser, f"http://{service}/health/live", service, []) == ["", "word1 word2 word3"]
        assert asked(browser, elsewhere, service, []) == ["closed", "1006"]
    with foreign() as elsewhere, served(cors_origins=[elsewhere]) as service:
        assert asked(browser, elsewhere, service, ["realtime"]) == ["realtime", "word1 word2 word3"]
