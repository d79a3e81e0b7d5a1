"""curl, as OpenAI's documentation writes its examples; only where the machine has it."""

import json
import shutil
import subprocess

import pytest
from server import Server

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")


def curl(shoptalk: Server, *arguments: str, key: str | None = None) -> str:
    """What curl prints for the endpoint, with the arguments of the documentation and some more."""
    command = ["curl", "--silent", "--show-error", "--max-time", "120"]
    command += ["--request", "POST", "--url", f"{shoptalk.base_url}/audio/transcriptions"]
    command += ["--header", f"Authorization: Bearer {key or shoptalk.key}"]
    command += ["--header", "Content-Type: multipart/form-data"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_example_of_the_documentation(shoptalk: Server) -> None:
    answer = curl(shoptalk, "--form", f"file=@{shoptalk.short.path}", "--form", "model=gpt-4o-transcribe")
    assert json.loads(answer)["text"] == shoptalk.short.text


def test_the_example_with_words(shoptalk: Server) -> None:
    answer = curl(
        shoptalk,
        "-F",
        f"file=@{shoptalk.short.path}",
        "-F",
        "timestamp_granularities[]=word",
        "-F",
        "model=whisper-1",
        "-F",
        "response_format=verbose_json",
    )
    words = json.loads(answer)["words"]
    assert [word["word"] for word in words] == shoptalk.short.text.split()
    assert all(word["start"] <= word["end"] for word in words)


def test_the_example_of_a_stream(shoptalk: Server) -> None:
    fields = ["-F", f"file=@{shoptalk.long.path}", "-F", "model=gpt-4o-mini-transcribe", "-F", "stream=true"]
    lines = curl(shoptalk, "--no-buffer", *fields).splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]  # and no comments
    assert events.pop() == "[DONE]"
    *deltas, done = [json.loads(event) for event in events]
    assert done["text"] == "".join(delta["delta"] for delta in deltas) == shoptalk.long.text


@pytest.mark.parametrize(
    "extra", [["--http1.0"], ["--header", "Transfer-Encoding: chunked"], ["--header", "Expect: 100-continue"]]
)
def test_other_ways_of_sending(shoptalk: Server, extra: list[str]) -> None:
    answer = curl(shoptalk, "-F", f"file=@{shoptalk.short.path}", "-F", "response_format=text", *extra)
    assert answer.strip() == shoptalk.short.text


def test_errors_are_told(shoptalk: Server) -> None:
    refused = curl(shoptalk, "-F", f"file=@{shoptalk.short.path}", key="wrong")
    assert json.loads(refused)["error"]["code"] == "invalid_api_key"
    empty = curl(shoptalk, "-F", "model=whisper-1")
    assert json.loads(empty)["error"]["param"] == "file"
