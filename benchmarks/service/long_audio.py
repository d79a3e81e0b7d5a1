"""Three hours of speech by HTTP: the text is that of `shoptalk transcribe`, and the server's memory is bounded.

    python benchmarks/service/long_audio.py [results/long_audio.json] [--hours 3]

Real speech of `assets/general` in a row, as WAV, the largest form it can come in. The server has the tiny base and its
defaults. What the front process holds at most is its own memory (`RssAnon`), against the upload, the decoded samples
and `MORE_MIB`. Ends with 1 if the texts differ, or if it held more.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import date
from pathlib import Path

import load
import numpy as np
import servers
import soak
import soundfile

from shoptalk.core import audio, device, files
from shoptalk.core.examples import read_manifest
from shoptalk.core.recordings import load as read_recording

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
MORE_MIB = 300.0
"""Of the front process beside the upload and the samples."""
PATIENCE_S = 4 * 3600.0
LOOK_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=ROOT / "results/long_audio.json")
    parser.add_argument("--hours", type=float, default=3.0)
    arguments = parser.parse_args()
    hours = arguments.hours
    servers.end_servers_with_sigterm()
    with tempfile.TemporaryDirectory() as temporary:
        recording = Path(temporary) / "long.wav"
        write_speech(recording, hours * 3600)
        began = time.monotonic()
        expected = transcribed(recording)
        print(f"shoptalk transcribe took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        with servers.started(servers.OURS, MODEL, [], Path(temporary) / "server.log") as running:
            looks: list[soak.Look] = []
            over = threading.Event()
            watching = threading.Thread(target=watch, args=(running, looks, over))
            watching.start()
            began = time.monotonic()
            text = asked(running.url, recording)
            taken_s = time.monotonic() - began
            over.set()
            watching.join()
        upload_mib = recording.stat().st_size / 2**20
    samples_mib = hours * 3600 * audio.SAMPLE_RATE_HZ * np.float32().nbytes / 2**20
    most_mib = upload_mib + samples_mib + MORE_MIB
    figures = {
        "command": "python benchmarks/service/long_audio.py " + " ".join(sys.argv[1:]),
        "date": f"{date.today()}",
        "commit": servers.commit(),
        "machine": device.machine(),
        "hours": hours,
        "words": len(text.split()),
        "is_equal": text.split() == expected.split(),
        "taken_s": round(taken_s, 1),
        "front_mib": max(seen.front_mib for seen in looks),
        "front_may_hold_mib": round(most_mib, 1),
        "workers_mib": max(seen.workers_mib for seen in looks),
        "audio_mib": max(seen.audio_mib for seen in looks),
    }
    files.write_text(arguments.target, json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    if not figures["is_equal"] or figures["front_mib"] > most_mib or not text:
        sys.exit(1)


def write_speech(path: Path, seconds: float) -> None:
    """Recordings of the general set in a row, again and again."""
    examples = read_manifest(ROOT / "assets/general/test.jsonl")
    spoken_T = np.concatenate([read_recording(example) for example in examples])
    left = round(seconds * audio.SAMPLE_RATE_HZ)
    with soundfile.SoundFile(path, "w", audio.SAMPLE_RATE_HZ, 1, "PCM_16") as file:
        while left > 0:
            file.write(spoken_T[:left])
            left -= spoken_T.size


def transcribed(recording: Path) -> str:
    command = [sys.executable, "-m", "shoptalk.cli", "transcribe", str(recording), "--model", str(MODEL)]
    environment = servers.environment(servers.OURS)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def asked(url: str, recording: Path) -> str:
    """The text by HTTP; the client's own memory does not count."""
    head, _, form = load.make_request(url, recording.read_bytes(), {"response_format": "text"}).partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    request = urllib.request.Request(url, data=form, headers={name: value for name, value in lines})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def watch(running: servers.Running, looks: list[soak.Look], over: threading.Event) -> None:
    while not over.wait(LOOK_S):
        looks.append(soak.look(running))


if __name__ == "__main__":
    main()
