"""A synthesiser behind any OpenAI-compatible endpoint: ``/audio/speech`` over HTTP."""

from collections.abc import Mapping

from shoptalk.core.audio import SAMPLE_RATE_HZ, from_pcm16, read, resample
from shoptalk.core.errors import AudioError, TtsError
from shoptalk.core.pace import Pace
from shoptalk.core.records import Samples
from shoptalk.integrations.openai_http import open_endpoint

PCM_RATE_HZ = 24_000
"""Of the form ``pcm``: OpenAI sends 16-bit samples at this rate, without a header."""


class OpenAiTts:
    """A `Tts` that may be asked by several threads at once; the form has no place for pronunciations."""

    def __init__(
        self,
        base_url: str,
        *,
        model: str,
        api_key: str = "",
        requests_per_minute: int = 0,
        timeout_s: float = 60.0,
        attempts: int = 5,
    ) -> None:
        """`base_url` as in ``http://127.0.0.1:8000/v1``; `model` is the server's name of the model."""
        self._model = model
        self._form = "wav"
        self._endpoint = open_endpoint(
            base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            attempts=attempts,
            section="speech.service",
            error=TtsError,
            pace=Pace(requests_per_minute=requests_per_minute),
        )

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at 16 kHz; `TtsError` if the endpoint refuses, keeps failing, or answers what is no audio.

        A server that refuses WAV is asked for ``pcm``.
        """
        import openai

        with self._endpoint.named_errors():
            if self._form == "wav":
                try:
                    return self._decoded(self._ask(spoken, voice, speed, "wav"))
                except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                    if "format" not in error.response.text and "wav" not in error.response.text:
                        raise
            samples_T = self._raw(self._ask(spoken, voice, speed, "pcm"))
        self._form = "pcm"
        return samples_T

    def _ask(self, spoken: str, voice: str, speed: float, form: str) -> bytes:
        def send() -> bytes:
            self._endpoint.pace.wait()
            response = self._endpoint.client.audio.speech.create(
                model=self._model,
                voice=voice,
                input=spoken,
                speed=speed,
                response_format=form,  # type: ignore[arg-type]
                extra_headers=self._endpoint.headers,
            )
            return response.content

        return self._endpoint.ask(send)

    def _decoded(self, content: bytes) -> Samples:
        try:
            return read(content, rate_hz=SAMPLE_RATE_HZ).samples_T
        except AudioError as error:
            raise self._no_audio(content, str(error)) from None

    def _raw(self, content: bytes) -> Samples:
        if content[:1] in (b"{", b"<") or len(content) < 2:
            raise self._no_audio(content, "no samples")
        return resample(from_pcm16(content), from_hz=PCM_RATE_HZ, to_hz=SAMPLE_RATE_HZ)

    def _no_audio(self, content: bytes, trouble: str) -> TtsError:
        return TtsError(
            f"{self._endpoint.base_url} answered what is no audio ({trouble}): {content[:200]!r}; "
            "check `speech.service`: does base_url end in /v1?"
        )
