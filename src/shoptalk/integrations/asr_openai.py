"""A recogniser behind any OpenAI-compatible endpoint: ``/audio/transcriptions`` over HTTP, recordings sent as FLAC."""

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import RecognitionError
from shoptalk.core.protocols import Options, options_of_each, refuse_extras
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.integrations.openai_http import Endpoint, Response

SHORTEST_S = 0.1
"""OpenAI refuses shorter recordings; they are sent with silence behind them."""
FORM_REFUSED = frozenset({400, 422})


class OpenAiRecognizer:
    """A `Recognizer` over HTTP; words have times where the server answers ``verbose_json``."""

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        api_key: str = "",
        at_once: int = 4,
        timeout_s: float = 120.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`name` is the server's name of the model; `at_once` requests are under way at a time."""
        self._name = name
        self._at_once = at_once
        self._verbose = True
        self._endpoint = Endpoint(
            base_url, "/audio/transcriptions", api_key=api_key, timeout_s=timeout_s, attempts=attempts, sleep=sleep,
            section="evaluate.others", error=RecognitionError,
        )  # fmt: skip

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order; `RecognitionError` if the endpoint refuses or keeps failing."""
        refuse_extras(options, "A transcription endpoint, as it is asked here,")
        each = zip(audio, options_of_each(options, audio), strict=True)
        with ThreadPoolExecutor(self._at_once) as threads:
            asked = [threads.submit(self._transcribed, samples_T, own.timestamps) for samples_T, own in each]
            try:
                return [one.result() for one in asked]
            finally:
                threads.shutdown(cancel_futures=True)

    def _transcribed(self, samples_T: Samples, timestamps: bool) -> Recognition:
        files = {"file": ("recording.flac", _flac(samples_T), "audio/flac")}
        fields: dict[str, Any] = {"model": self._name, "language": "en"}
        if self._verbose and timestamps:
            verbose = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
            response = self._endpoint.post(data=fields | verbose, files=files, returned=FORM_REFUSED)
            if response.is_success:
                return self._read(response)
        recognition = self._read(self._endpoint.post(data=fields | {"response_format": "json"}, files=files))
        if timestamps:
            self._verbose = False  # not before: a bad recording is refused in any form
        return recognition

    def _read(self, response: Response) -> Recognition:
        try:
            answer = response.json()
            return Recognition(
                text=answer["text"].strip(), words=tuple(_word(word) for word in answer.get("words") or ())
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RecognitionError(
                f"{self._endpoint.url} answered what is no transcription: {response.text[:300]}; "
                "check `evaluate.others`: does base_url end in /v1?"
            ) from None


def _word(word: dict[str, Any]) -> Word:
    """OpenAI tells no probability; some servers do."""
    return Word(word=word["word"].strip(), start_s=word["start"], end_s=word["end"], confidence=word.get("probability"))


def _flac(samples_T: Samples) -> bytes:
    import soundfile

    missing = max(0, round(SHORTEST_S * SAMPLE_RATE_HZ) - samples_T.size)
    content = io.BytesIO()
    padded_T = np.pad(np.clip(samples_T, -1.0, 1.0), (0, missing))
    soundfile.write(content, padded_T, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return content.getvalue()
