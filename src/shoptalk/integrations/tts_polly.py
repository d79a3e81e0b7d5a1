"""Amazon Polly by `aws`. It was never run against the service: its tests hold it to botocore's model of the API."""

from collections.abc import Mapping
from typing import Any

from shoptalk.core.audio import SAMPLE_RATE_HZ, from_pcm16
from shoptalk.core.errors import TtsError
from shoptalk.core.pace import Pace
from shoptalk.core.records import Samples
from shoptalk.integrations import aws
from shoptalk.integrations.ssml import language_code, ssml

TIMEOUT_S = 60
ATTEMPTS = 5
"""Of boto3's, for each request."""


class PollyTts:
    """A `Tts` that may be asked by several threads at once; pronunciations and speed go as SSML."""

    def __init__(
        self,
        languages: Mapping[str, str],
        *,
        model: str = "",
        region: str = "",
        requests_per_minute: int = 0,
        client: Any = None,
    ) -> None:
        """`languages` by voice, e.g. ``{"Joanna": "en-us"}``; `model` is Polly's engine; empty: ``neural``.

        Keys are found as AWS's own tools find them. `client` stands in for boto3's own.
        """
        self._languages = languages
        self._engine = model or "neural"
        self._pace = Pace(requests_per_minute=requests_per_minute)
        self._client = client or aws.client(
            "polly", timeout_s=TIMEOUT_S, attempts=ATTEMPTS, extra="polly", error=TtsError, region=region
        )

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at 16 kHz; `TtsError` if Polly refuses or keeps failing."""
        request = {
            "Engine": self._engine,
            "VoiceId": voice,
            "Text": ssml(spoken, pronunciations, speed=speed),
            "TextType": "ssml",
            "OutputFormat": "pcm",
            "SampleRate": str(SAMPLE_RATE_HZ),
        }
        if voice in self._languages:
            request["LanguageCode"] = language_code(self._languages[voice])
        self._pace.wait()
        try:
            content = self._client.synthesize_speech(**request)["AudioStream"].read()
        except aws.errors() as error:
            raise TtsError(
                f"Amazon Polly failed: {error}; the text was {request['Text']!r}; check the voice, the engine, "
                "`speech.service.region` and AWS's credentials"
            ) from None
        if len(content) < 2:
            raise TtsError(f"Amazon Polly answered without samples; the text was {request['Text']!r}")
        return from_pcm16(content)
