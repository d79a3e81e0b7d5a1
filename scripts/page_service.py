"""A whole `shoptalk serve` with the tiny base, and recordings for its page."""

import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import soundfile

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load

ROOT = Path(__file__).parents[1]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
GENERAL = ROOT / "assets/general/test.jsonl"
START_S = 240.0
PAUSE_S = 0.2
TURN_PAUSE_S = 1.0
"""Twice the silence that ends a turn."""
DOCTOR = ("kok-test-00034", "kok-test-00126", "kok-test-00138", "kok-test-00206")
PATIENT = ("kok-test-00197", "kok-test-00093", "kok-test-00201", "kok-test-00005")
"""Sentences of a consultation, of two synthetic voices; the last one is hard for the tiny base."""


@contextmanager
def serving(folder: Path, *settings: str) -> Iterator[str]:
    """The address of a service that keeps corrections in a folder."""
    key = folder / "store.key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = [f"port={port}", "workers=1", f"store_dir={folder / 'store'}", f"store_key={key}", *settings]
    command = [sys.executable, "-m", "shoptalk.cli", "serve", str(BASE)]
    for setting in given:
        command += ["--set", f"serve.{setting}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, url)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(40)
        finally:
            process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("the service ended before it was ready")
        try:
            if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the service did not become ready")


def write_consultation(path: Path, *, channels: int, snr_db: float | None = None) -> None:
    """A doctor and a patient in turn, as WAV: on one channel, or on a channel each; with `snr_db`, in white noise."""
    examples = {example.id: example for example in read_manifest(GENERAL)}
    pause_T = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    pieces: list[list[np.ndarray]] = [[], []]
    for pair in zip(DOCTOR, PATIENT, strict=True):
        for channel, name in enumerate(pair):
            speech_T = load(examples[name])
            pieces[channel] += [speech_T, pause_T]
            pieces[1 - channel] += [np.zeros_like(speech_T), pause_T]
    both = np.stack([np.concatenate(own) for own in pieces])
    if snr_db is not None:
        level = np.sqrt(np.mean(both[both != 0] ** 2)) * 10 ** (-snr_db / 20)
        both = both + np.random.default_rng(0).normal(0, level, both.shape)
    content = both.T if channels == 2 else both.sum(axis=0)
    soundfile.write(path, content, SAMPLE_RATE_HZ, subtype="PCM_16")


def write_sentences(path: Path, names: Sequence[str]) -> None:
    """Sentences of the general set one after the other, as WAV; each of them is a turn where a VAD tells turns."""
    examples = {example.id: example for example in read_manifest(GENERAL)}
    pause_T = np.zeros(round(TURN_PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    pieces = [pause_T]
    for name in names:
        pieces += [load(examples[name]), pause_T]
    soundfile.write(path, np.concatenate(pieces), SAMPLE_RATE_HZ, subtype="PCM_16")
