"""Whisper by faster-whisper (CTranslate2): a folder of the model store, in int8 on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import MissingToolError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.protocols import Options, options_of_each, refuse_extras
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.core.tokens import placed

SHORTEST_S = 0.1
"""In less than two encoder frames faster-whisper cannot place words; silence is put behind."""
SEED = 7


class WhisperRecognizer:
    """A `Recognizer` that transcribes one recording at a time; each costs 30 s of encoder, however short it is.

    As published: beam 5, and draws at higher temperatures where it repeats itself or doubts. One language, each window
    of 30 s without the text of the one before. The draws are seeded, so a repeated run gives the same result.
    """

    def __init__(self, folder: Path, *, threads: int, language: str = ENGLISH) -> None:
        try:
            import ctranslate2
            from faster_whisper import WhisperModel
        except ImportError:
            raise MissingToolError("faster-whisper is not installed; run `pip install 'shoptalk[compare]'`") from None
        ctranslate2.set_random_seed(SEED)  # read by its worker threads when they first draw
        self._language = language
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order, with word times and probabilities unless they are not wanted."""
        refuse_extras(options, "Whisper, as it is run here,")
        each = zip(audio, options_of_each(options, audio), strict=True)
        return [self._transcribed(samples_T, timestamps=own.timestamps) for samples_T, own in each]

    def _transcribed(self, samples_T: Samples, *, timestamps: bool) -> Recognition:
        if not samples_T.size:
            return Recognition(text="")
        missing = max(0, round(SHORTEST_S * SAMPLE_RATE_HZ) - samples_T.size)
        segments_as_decoded, _ = self._model.transcribe(
            np.pad(samples_T, (0, missing)),
            language=self._language,
            condition_on_previous_text=False,
            word_timestamps=timestamps,
        )
        segments = list(segments_as_decoded)
        text = " ".join(segment.text.strip() for segment in segments)
        words: list[Word] = []
        for segment in segments:
            words += [_word(word) for word in segment.words or ()]
        return Recognition(text=text, words=placed(words, until_s=samples_T.size / SAMPLE_RATE_HZ))


def _word(word: Any) -> Word:
    confidence = min(max(float(word.probability), 0.0), 1.0)
    return Word(
        word=word.word.strip(),
        start_s=round(float(word.start), 3),
        end_s=round(float(word.end), 3),
        confidence=round(confidence, 4),
    )
