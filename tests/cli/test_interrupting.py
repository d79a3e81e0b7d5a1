"""Ctrl-C ends a command within a second, with status 130, without a traceback, and nothing is half-written."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soundfile
from tests.service.http.serving import is_ready, until

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models" / "shoptalk-base-en-tiny" / "shoptalk-base-en-tiny.nemo"
SOON_S = 2.0
"""A second, and another one for machines on which much else runs."""

STAGE = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from shoptalk import cli
from shoptalk.core.files import write_file
from shoptalk.stages import execution
from shoptalk.stages.processes import Processes

def begun():
    print("working", flush=True)

def library_call():
    import torch
    square = torch.ones(6_000, 6_000)
    begun()
    for _ in range(2):
        torch.matrix_power(square, 2**20)  # a minute within one call

def swallowed():
    begun()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def threads():
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(time.sleep, 60) for _ in range(4)]
        begun()
        for future in waiting:
            future.result()

def slow(number):
    time.sleep(0 if number == 0 else 60)

def nothing():
    pass

def processes():
    for _ in Processes(2).map(slow, range(6), start=nothing, arguments=()):
        begun()

def writing():
    with write_file(product) as partial:
        partial.write_text("half")
        begun()
        time.sleep(60)

def other_error():
    begun()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise RuntimeError("a library's own words for an interrupt")

if __name__ == "__main__":
    from pathlib import Path
    work, product = globals()[sys.argv[1]], Path(sys.argv[2]) / "product"
    execution.MAKE = {"lexicon": lambda run: work()}
    recipe = str(Path(sys.argv[2]) / "recipe.yaml")
    sys.argv[1:] = ["lexicon", "--recipe", recipe, "--run", str(Path(sys.argv[2]) / "run")]
    cli.run()
"""


def started(*command: str, stdin: "IO[bytes] | int | None" = None) -> "subprocess.Popen[bytes]":
    """A command in a group of its own, as a terminal starts it; what a script starts with `&` ignores SIGINT."""
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        process.kill()
        process.communicate()


def ends(process: "subprocess.Popen[bytes]", *, group: bool = True) -> str:
    """Interrupt a command, or its whole group as a terminal does; what it told on standard error."""
    began = time.monotonic()
    if group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert time.monotonic() - began < SOON_S
    told = process.communicate()[1].decode()
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize("work", ["library_call", "swallowed", "threads", "processes", "writing", "other_error"])
def test_whatever_a_stage_is_at(work: str, tmp_path: Path, processes: list["subprocess.Popen[bytes]"]) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "recipe.yaml").write_text("name: interrupted\n")
    process = started(str(tmp_path / "stage.py"), work, str(tmp_path))
    processes.append(process)
    assert process.stdout and process.stdout.readline() == b"working\n"
    assert "shoptalk: interrupted" in ends(process, group=work != "threads")
    assert not (tmp_path / "product").exists()


def test_recognition_of_many_recordings(tmp_path: Path, processes: list["subprocess.Popen[bytes]"]) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 32_000).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, 16_000)
    process = started("-m", "shoptalk.cli", "transcribe", "--model", str(BASE), *[str(tmp_path / "noise.wav")] * 3_000)
    processes.append(process)
    assert process.stdout and process.stdout.readline().startswith(str(tmp_path).encode())
    assert "shoptalk: interrupted" in ends(process)


def test_a_folder_of_transcripts(tmp_path: Path, processes: list["subprocess.Popen[bytes]"]) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 32_000).astype(np.float32)
    (tmp_path / "in").mkdir()
    for number in range(1_500):
        soundfile.write(tmp_path / f"in/{number:04}.wav", noise, 16_000)
    out = tmp_path / "out"
    process = started(
        *("-m", "shoptalk.cli", "transcribe", str(tmp_path / "in"), "--model", str(BASE), "--to", str(out))
    )
    processes.append(process)
    until(lambda: out.is_dir() and len(list(out.glob("*.txt"))) > 70, 60)
    assert "shoptalk: interrupted" in ends(process)
    written = sorted(out.glob("*.txt"))
    assert 70 < len(written) < 1_500 and all(path.read_text().endswith("\n") for path in written)
    journal = (out / ".shoptalk-transcripts.jsonl").read_text().splitlines()
    assert len(journal) in (len(written), len(written) - 1)


def test_waiting_for_standard_input(processes: list["subprocess.Popen[bytes]"]) -> None:
    process = started("-m", "shoptalk.cli", "transcribe", "--model", str(BASE), "-", stdin=subprocess.PIPE)
    processes.append(process)
    assert process.stdin
    process.stdin.write(bytes(400_000))  # more than a pipe holds: it reads
    process.stdin.flush()
    assert "shoptalk: interrupted" in ends(process)


def test_a_server(processes: list["subprocess.Popen[bytes]"]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = started("-m", "shoptalk.cli", "serve", str(BASE), "--set", f"serve.port={port}")
    processes.append(process)
    assert process.stdout and process.stdout.readline().startswith(b"serving ")
    until(lambda: is_ready(port), 60)
    assert "shoptalk: interrupted" in ends(process)


def test_a_server_whose_model_is_damaged_never_says_that_it_serves(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.nemo"
    damaged.write_bytes(BASE.read_bytes()[:20_000])
    process = started("-m", "shoptalk.cli", "serve", str(damaged), "--set", "serve.port=0")
    printed, told = (text.decode() for text in process.communicate(timeout=60))
    assert process.returncode == 2 and printed == ""
    assert "opening" in told and "damaged.nemo" in told.splitlines()[-1] and "Traceback" not in told
