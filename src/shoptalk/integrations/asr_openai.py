"""A recogniser behind any OpenAI-compatible endpoint: ``/audio/transcriptions`` over HTTP, recordings sent as FLAC."""

import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import RecognitionError
from shoptalk.core.protocols import Options, options_of_each, refuse_extras
from shoptalk.core.records import Recognition, Samples, Word
from shoptalk.core.tokens import placed
from shoptalk.integrations.openai_http import open_endpoint

SHORTEST_S = 0.1
"""OpenAI refuses shorter recordings; they are sent with silence behind them."""


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
    ) -> None:
        """`name` is the server's name of the model; `at_once` requests are under way at a time."""
        self._name = name
        self._at_once = at_once
        self._verbose = True
        self._endpoint = open_endpoint(
            base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            attempts=attempts,
            section="evaluate.others",
            error=RecognitionError,
        )

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        """One `Recognition` for each audio, in order; `RecognitionError` if the endpoint refuses or keeps failing."""
        refuse_extras(options, "A transcription endpoint, as it is asked here,")
        each = zip(audio, options_of_each(options, audio), strict=True)
        with ThreadPoolExecutor(self._at_once) as threads:
            requests = [threads.submit(self._transcribe, samples_T, own.timestamps) for samples_T, own in each]
            try:
                return [request.result() for request in requests]
            finally:
                threads.shutdown(cancel_futures=True)

    def _transcribe(self, samples_T: Samples, timestamps: bool) -> Recognition:
        """Ask for words with their times if they are wanted; where the server refuses that form, for the text alone."""
        import openai

        flac = _flac(samples_T)
        with self._endpoint.named_errors():
            if self._verbose and timestamps:
                try:
                    verbose = self._ask(flac, response_format="verbose_json", timestamp_granularities=["word"])
                    return self._read(verbose, samples_T.size / SAMPLE_RATE_HZ)
                except (openai.BadRequestError, openai.UnprocessableEntityError):
                    pass  # the form is refused, or the recording is
            plain = self._ask(flac, response_format="json")
        if timestamps:
            self._verbose = False  # not before: a bad recording is refused in any form
        return self._read(plain, samples_T.size / SAMPLE_RATE_HZ)

    def _ask(self, flac: bytes, **form: Any) -> str:
        transcriptions = self._endpoint.client.audio.transcriptions
        recording = ("recording.flac", flac, "audio/flac")
        response = self._endpoint.ask(
            lambda: transcriptions.with_raw_response.create(
                model=self._name, file=recording, language="en", extra_headers=self._endpoint.headers, **form
            )
        )
        text: str = response.http_response.text
        return text

    def _read(self, answer: str, length_s: float) -> Recognition:
        try:
            transcription = json.loads(answer)
            words = [_word(word) for word in transcription.get("words") or ()]
            return Recognition(text=transcription["text"].strip(), words=placed(words, until_s=length_s))
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError):
            raise RecognitionError(
                f"{self._endpoint.base_url} answered what is no transcription: {answer[:300]}; "
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
