"""The end of the demo: the run's scores, and the answer of a freshly started server to a held-out recording."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from shoptalk.core.config import api_key
from shoptalk.core.errors import ShoptalkError
from shoptalk.core.examples import read_manifest
from shoptalk.core.scores import SCORES, Scores
from shoptalk.stages.run import Run

START_S = 180.0
"""A server that is not ready by then will not be."""
STOP_S = 60.0


class Answer(NamedTuple):
    """What a server made of a test recording."""

    url: str
    voice: str
    reference: str
    hypothesis: str


def scores(run: Run) -> Scores:
    """The scores of a run that was evaluated."""
    return Scores.model_validate_json((run.product("evaluate") / SCORES).read_text(encoding="utf-8"))


def ask_a_fresh_server(run: Run) -> Answer:
    """Serve the run's bundle, and ask about the first sentence of its test with the official OpenAI client."""
    dataset = run.product("dataset")
    line = read_manifest(dataset / "test-taught.jsonl")[0]
    with server(run) as url:
        hypothesis = ask(url, line.audio, run.recipe.package.name)
    return Answer(url, line.voice, line.text, hypothesis)


@contextmanager
def server(run: Run) -> Iterator[str]:
    """`shoptalk serve` on a free port in a process of its own; yields its base URL once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bundle = str(run.product("package"))
    command = [sys.executable, "-m", "shoptalk.cli", "serve", bundle, "--set", f"serve.port={port}"]
    command += ["--set", f"engine={run.recipe.engine.model_dump_json()}"]
    log = run.folder / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/health/ready", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def ask(url: str, recording: Path, model: str) -> str:
    """Transcribe a recording with the official OpenAI client."""
    from openai import DefaultHttpxClient, OpenAI, OpenAIError

    direct = DefaultHttpxClient(trust_env=False)  # a proxy cannot reach our loopback address
    key = api_key("SHOPTALK_API_KEY") or "none"
    with recording.open("rb") as file, OpenAI(base_url=url, api_key=key, max_retries=0, http_client=direct) as client:
        try:
            return client.audio.transcriptions.create(model=model, file=file).text
        except OpenAIError as error:
            raise ShoptalkError(f"the server gave no answer: {error}") from None


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach our loopback address
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ShoptalkError(f"the server stopped with status {process.returncode}; {log} tells why")
        try:
            direct.open(url, timeout=5.0).close()
        except OSError:  # not listening yet, or not ready: HTTP 503
            pass
        else:
            return
        time.sleep(0.5)
    raise ShoptalkError(f"the server was not ready after {START_S:.0f} s; {log} tells why")
