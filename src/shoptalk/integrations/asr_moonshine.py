"""Moonshine by its own runtime (moonshine-voice): a folder of the model store, on the CPU, without a network."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import MissingToolError, RecognitionError
from shoptalk.core.protocols import Options, refuse_extras
from shoptalk.core.records import Recognition, Samples

WHOLE_S = 30.0
"""Longer recordings are cut at pauses by Moonshine's own voice activity detection: it was trained on at most 30 s
(arXiv 2410.15608). Shorter ones are transcribed whole, because the detection cuts words off."""


class MoonshineRecognizer:
    """A `Recognizer` with a transcriber for each of its threads; the tiny model gives no word times."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        try:
            from moonshine_voice import ModelArch, MoonshineError, Transcriber
        except ImportError:
            raise MissingToolError("moonshine-voice is not installed; run `pip install 'shoptalk[compare]'`") from None
        self._open = partial(Transcriber, folder, ModelArch.TINY)
        self._error = MoonshineError
        self._own = threading.local()
        self._opening = threading.Lock()  # the package loads its library once, and not in a thread-safe way
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="moonshine")

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order; `RecognitionError` if the runtime fails."""
        refuse_extras(options, "Moonshine")
        return list(self._threads.map(self._transcribed, audio))

    def _transcribed(self, samples_T: Samples) -> Recognition:
        detection = "0.5" if samples_T.size > WHOLE_S * SAMPLE_RATE_HZ else "0"
        transcribers = self._own.__dict__
        try:
            if detection not in transcribers:
                options = {"vad_threshold": detection, "return_audio_data": "false"}
                with self._opening:
                    transcribers[detection] = self._open(options=options)
            lines = transcribers[detection].transcribe_without_streaming(samples_T.tolist(), SAMPLE_RATE_HZ).lines
        except self._error as error:
            raise RecognitionError(
                f"Moonshine failed: {error}; are its files whole (`shoptalk models verify moonshine-tiny-en`)?"
            ) from None
        return Recognition(text=" ".join(line.text.strip() for line in lines))
