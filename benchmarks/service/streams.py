"""Live streams at the same time, per core: the most whose words are complete within 2 s of their end; writes JSON.

    python benchmarks/service/streams.py [results/live.json] [--start 16] [--steps 3] [--seconds 35] [--last-seconds 90]

`shoptalk serve` with the tiny base, and so many streams over `/v1/stream` (`live_load.py`), which share its cores. Each
is fed as fast as somebody speaks, 100 ms at a time, with what one speaker says in 30 to 60 s, with pauses
(`live_clips.py`). Every fourth recording comes with `PHRASES` phrases. The number of streams is doubled from `--start`
on and bisected, in trials of `--seconds`. At the number found, a run of `--last-seconds` gives the figures. If that run
does not hold, a tenth fewer are tried.

- `finalisation_s`: from the moment at which a stream's last sample is spoken to the arrival of `done`, which has all
  its words. `{"type": "end"}` is sent with that sample. This is what 95 % of the streams must have within 2 s, without
  any error. A model that falls behind while somebody speaks has to catch up by then.
- `first_words_s`: from the end of a stream's first word, as the model times it, to the first message with words.
- `word_final_s`: from the end of each word to the message that makes it final. By its design the engine waits here for
  up to 2 s of audio (chunk and right context), and for the next word or the end of the stream, whatever the load is.
- `tentative_right`: of the words of all partial messages, those that the complete text has at the same place.
- `taken_back`: streams whose final words, joined, are not those of `done`, words and times. There must be none.
- `wer`: recordings that were streamed whole in any run, against the same model through
  `POST /v1/audio/transcriptions` with the same phrases. The interval of 95 % is drawn by speakers.
- `cores_busy`: of the front process and of the workers. `memory_mib` is the sum of the peaks of all processes.

`streams` is per core of the machine. What else the file has, such as `jobs` under kills, stays.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import clips
import live_clips
import live_load
import live_reading
import load
import numpy as np
import servers
from live_clips import Recording
from live_load import Outcome, Plan
from live_reading import Figures

from shoptalk.core import device, files

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
SEED = 7
SETTINGS = ("serve.streams=1000",)
"""The default bounds the streams of a model below what it is tried with."""
PHRASES, WITH_PHRASES = 20, 4
"""So many phrases come with every so manieth recording."""
AT_ONCE = 4
"""Requests for the offline texts."""
REST_S = 2.0
"""Between two runs."""
FEWER, TRIES = 0.9, 4


@dataclass(frozen=True)
class Measured:
    """One run."""

    outcome: Outcome
    figures: Figures
    cores_busy: dict[str, float]
    """Of the front process and the workers."""

    @property
    def content(self) -> dict[str, Any]:
        return {**asdict(self.figures), "cores_busy": self.cores_busy}


@dataclass(frozen=True)
class Bench:
    """What is streamed, and where to."""

    recordings: Sequence[Recording]
    phrases: Sequence[tuple[str, ...]]
    """Of each recording."""
    running: servers.Running

    def run(self, plan: Plan) -> "Measured":
        """One run of the generator, and what the server did meanwhile."""
        host = f"ws://127.0.0.1:{self.running.port}/v1/stream?model={MODEL.stem}"
        addresses = [f"{host}&keywords={quote(','.join(phrases))}" if phrases else host for phrases in self.phrases]
        pcm = [as_pcm(recording) for recording in self.recordings]
        before = self.running.cpu_s()
        outcome = asyncio.run(live_load.Run(addresses, pcm, plan).run())
        cores = servers.cores_by_role(self.running, before, self.running.cpu_s(), outcome.wall_s)
        measured = Measured(outcome, live_reading.read(outcome, plan.streams), cores)
        print(f"{plan.streams} streams", measured.figures, cores, flush=True)
        time.sleep(REST_S)
        return measured

    async def texts(self, numbers: Sequence[int]) -> list[str]:
        """Of some recordings through `POST /v1/audio/transcriptions`."""
        connections = load.Connections("127.0.0.1", self.running.port)
        room = asyncio.Semaphore(AT_ONCE)

        async def transcribed(number: int) -> str:
            fields = {"model": MODEL.stem, "response_format": "json"}
            if self.phrases[number]:
                fields["keywords"] = json.dumps(self.phrases[number])
            wav = clips.as_wav(self.recordings[number].samples_S)
            async with room:
                status, body = await connections.ask(load.make_request(self.running.url, wav, fields))
            if status != 200:
                raise SystemExit(f"a recording was answered {status}: {body[:300]!r}")
            return load.text_of(status, body)

        texts = await asyncio.gather(*(transcribed(number) for number in numbers))
        connections.close()
        return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=ROOT / "results/live.json")
    parser.add_argument("--start", type=int, default=16, help="streams of the first trial")
    parser.add_argument("--streams", type=int, help="no search: measure this number alone")
    parser.add_argument("--steps", type=int, default=3, help="of the bisection")
    parser.add_argument("--seconds", type=float, default=35.0, help="of a trial")
    parser.add_argument("--last-seconds", type=float, default=90.0, help="of the run that gives the figures")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--log", type=Path, help="keeps the log of the server")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the server ends with it
    result = head()
    with tempfile.TemporaryDirectory() as temporary:
        log = arguments.log or Path(temporary) / "serve.log"
        with servers.started(servers.OURS, MODEL, (*SETTINGS, *arguments.set), log) as running:
            result |= measure(running, arguments)
    known = json.loads(arguments.target.read_text()) if arguments.target.is_file() else {}
    files.write_text(arguments.target, json.dumps({**known, **result}, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if result["taken_back"]:
        raise SystemExit("final words were taken back")


def head() -> dict[str, Any]:
    return {
        "command": " ".join(["python benchmarks/service/streams.py", *sys.argv[1:]]),
        "date": f"{date.today()}",
        "commit": servers.commit(),
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def measure(running: servers.Running, arguments: argparse.Namespace) -> dict[str, Any]:
    """Find the number of streams, and measure it."""
    recordings = live_clips.draw_recordings(SEED)
    words = tuple(live_clips.longest_words(recordings, PHRASES))
    phrases = [words if number % WITH_PHRASES == 0 else () for number in range(len(recordings))]
    bench = Bench(recordings, phrases, running)
    trials: list[Measured] = []

    def holds(streams: int) -> bool:
        trials.append(bench.run(Plan(streams, arguments.seconds, SEED + streams)))
        return trials[-1].figures.holds

    streams = arguments.streams or live_reading.most_streams(holds, arguments.start, steps=arguments.steps)
    for _ in range(TRIES):
        if not streams:
            raise SystemExit("no number of streams holds")
        last = bench.run(Plan(streams, arguments.last_seconds, SEED))
        if last.figures.holds:
            break
        trials.append(last)
        streams = int(FEWER * streams)
    else:
        raise SystemExit("the number of streams does not hold in a longer run, nor does one that is a quarter less")
    memory_mib = running.peak_mib()
    rates = compare(bench, [last.outcome, *(trial.outcome for trial in trials)])
    return {
        "streams": round(streams / (os.cpu_count() or 1), 2),
        "finalisation_p95_s": last.figures.finalisation_s.p95,
        "wer_difference": rates["difference"],
        "taken_back": sum(measured.figures.taken_back for measured in (last, *trials)),
        "settings": [*SETTINGS, *arguments.set],
        "model": MODEL.stem,
        "recordings": {
            "number": len(recordings),
            "mean_s": round(float(np.mean([recording.seconds for recording in recordings])), 1),
            "with_phrases": sum(map(bool, phrases)),
            "phrases": PHRASES,
            "piece_s": live_load.PIECE_S,
            "seed": SEED,
        },
        "at": last.content,
        "audio_s_per_s": round(last.figures.audio_s / last.figures.wall_s, 2),
        "wer": rates,
        "memory_mib": sum(memory_mib.values()),
        "memory_mib_of_each": memory_mib,
        "trials": [trial.content for trial in sorted(trials, key=lambda trial: trial.figures.streams)],
    }


def compare(bench: Bench, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The recordings that were streamed whole, each once: what is recognised does not depend on the load."""
    texts: dict[int, str] = {}
    for streamed in chain.from_iterable(outcome.streamed for outcome in outcomes):
        if streamed.counts and streamed.is_whole and not live_reading.error_of(streamed):
            texts.setdefault(streamed.recording, live_reading.follow(streamed).text)
    numbers = sorted(texts)
    offline = asyncio.run(bench.texts(numbers))
    return live_reading.compare(
        [bench.recordings[number].speaker for number in numbers],
        [bench.recordings[number].text for number in numbers],
        offline,
        [texts[number] for number in numbers],
        SEED,
    )


def as_pcm(recording: Recording) -> bytes:
    """16 bits, little-endian, as the WAV file of the same recording has them."""
    return clips.as_wav(recording.samples_S)[-2 * recording.samples_S.size :]


if __name__ == "__main__":
    main()
