"""A whole service whose recogniser speaks of a canary, started as a process of its own with every log at DEBUG.

    python -m tests.service.canary SETTINGS

`SETTINGS` is JSON. What the recogniser does is chosen by the first sample of a recording.
"""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.service.model.fake_recognizer import FakeStreamer

from shoptalk.core.errors import BoostError
from shoptalk.core.protocols import PLAIN, Options, PendingWindow, Step, in_windows, options_of_each
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.service.model.messages import Opened

CANARY = "Kakapo"
MODEL = "tiny-tuned"
FINE, KILLS, RAISES, IS_SLOW, CANNOT_GO_ON = 0.0, 0.1, 0.2, 0.3, 0.4


@dataclass
class Own:
    does: float
    recognitions: dict[int, Recognition] = field(default_factory=dict)


class Canary:
    """Recognises the canary, whatever the audio; some audio makes it fail, with the canary in the message."""

    name = MODEL

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        return in_windows(self, audio, options_of_each(options, audio))

    def begin(self, samples_T: Samples, options: Options = PLAIN) -> tuple[Own, list[PendingWindow]]:
        for phrase in options.phrases:
            if "unspellable" in phrase.text:
                raise BoostError(f"{phrase.text!r}: this model cannot write it")
        return Own(_asked(samples_T)), [PendingWindow(samples_T, options)]

    def recognize_windows(self, windows: Sequence[PendingWindow]) -> list[Recognition]:
        does = [_asked(window.samples_T) for window in windows]
        if KILLS in does:
            os.kill(os.getpid(), signal.SIGSEGV)
        if RAISES in does:
            raise RuntimeError(f"{CANARY} said")
        if IS_SLOW in does:
            time.sleep(1.0)
        word = Word(word=CANARY, start_s=0.0, end_s=0.5, confidence=0.4)
        return [Recognition(text=CANARY, words=(word,), gaps=((0.5, 0.9),)) for _ in windows]

    def go_on(self, news: Sequence[tuple[Own, Mapping[int, Recognition]]]) -> list[Step]:
        if any(own.does == CANNOT_GO_ON for own, _ in news):
            raise ValueError(f"{CANARY} went on")
        return [Step(words=list(found[0].words), recognition=found[0]) for _, found in news]


def _asked(samples_T: Samples) -> float:
    middle = samples_T[samples_T.size // 2 :][:2]
    is_clip = middle.size == 2 and abs(middle[0] - middle[1]) < 1e-3  # and not the noise of a warm-up
    return round(float(middle[0]), 1) if is_clip else FINE


def opening() -> Opened:
    """In the worker process."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    return Opened(Canary(), FakeStreamer())


def main() -> None:
    """Serve until SIGTERM."""
    import uvicorn
    from tests.service import canary  # its worker process imports it by this name

    from shoptalk.core import runtime
    from shoptalk.service.access.access import Access
    from shoptalk.service.app import create_app
    from shoptalk.service.model.models import Models
    from shoptalk.service.model.served import About, Worker
    from shoptalk.service.model.worker import WorkerModel
    from shoptalk.service.server import configuration
    from shoptalk.service.settings import Settings
    from shoptalk.service.store import open_store
    from shoptalk.service.telemetry import spans
    from shoptalk.service.telemetry.watching import Telemetry

    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    runtime.no_core_dumps()
    settings = Settings(**json.loads(sys.argv[1]))
    telemetry = Telemetry([MODEL], spans.open_spans())

    class Source:
        def about(self, path: Path) -> About:
            return About(compare=lambda reference, hypothesis: (0, 0, 0, 0))  # type: ignore[arg-type,return-value]

        def worker(self, name: str, path: Path) -> Worker:
            return WorkerModel(name, canary.opening, observe=telemetry.metrics.batches_of(name))

    rng = np.random.default_rng(0)
    models = Models({MODEL: Path(MODEL)}, Source(), settings, rng=rng)
    app = create_app(models, settings, access=Access(None, settings), telemetry=telemetry, store=open_store(settings))
    config = configuration(app, settings)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
