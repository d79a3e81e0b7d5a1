"""NVIDIA Riva (Magpie) by gRPC, with the messages of `nvidia-riva-client`. It was never run against the service."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from shoptalk.core.audio import SAMPLE_RATE_HZ, from_pcm16, resample
from shoptalk.core.errors import MissingToolError, RecipeError, TtsError
from shoptalk.core.pace import Pace, backoff_s
from shoptalk.core.records import Samples
from shoptalk.integrations.ssml import language_code, ssml

RATE_HZ = 22_050
"""What Magpie speaks at."""
ATTEMPTS = 5
_MAY_PASS = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})
"""Status codes after which a request is sent again."""


class RivaTts:
    """A `Tts` that may be asked by several threads at once; pronunciations go as SSML, and there is no other speed."""

    def __init__(
        self,
        base_url: str,
        languages: Mapping[str, str],
        *,
        api_key: str = "",
        requests_per_minute: int = 0,
        timeout_s: float = 60.0,
    ) -> None:
        """`base_url` as in ``127.0.0.1:50051``, or ``https://HOST:443`` with TLS; `languages` by voice.

        `RecipeError` for a voice without its language; the key is sent as a bearer token.
        """
        for voice, language in languages.items():
            if not language:
                raise RecipeError(f"speech.voices: {voice} has no language, which Riva asks for; write {voice}: en-us")
        self._languages = languages
        self._address = base_url
        self._timeout_s = timeout_s
        self._pace = Pace(requests_per_minute=requests_per_minute)
        self._metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._stub = _stub(base_url)

    def speak(self, spoken: str, *, voice: str, speed: float, pronunciations: Mapping[str, str]) -> Samples:
        """Samples at 16 kHz; `TtsError` if the server refuses or keeps failing."""
        from riva.client.proto.riva_audio_pb2 import LINEAR_PCM
        from riva.client.proto.riva_tts_pb2 import SynthesizeSpeechRequest

        request = SynthesizeSpeechRequest(
            text=ssml(spoken, pronunciations) if pronunciations else spoken,
            language_code=language_code(self._languages[voice]),
            encoding=LINEAR_PCM,
            sample_rate_hz=RATE_HZ,
            voice_name=voice,
        )
        content = self._answer(request).audio
        if len(content) < 2:
            raise TtsError(f"{self._address} answered without samples; the text was {request.text!r}")
        return resample(from_pcm16(content), from_hz=RATE_HZ, to_hz=SAMPLE_RATE_HZ)

    def _answer(self, request: Any) -> Any:
        import grpc

        for attempt in range(1, ATTEMPTS + 1):
            self._pace.wait()
            try:
                return self._stub.Synthesize(request, timeout=self._timeout_s, metadata=self._metadata)
            except grpc.RpcError as error:
                code, details = error.code().name, error.details()
            if code not in _MAY_PASS:
                raise TtsError(f"{self._address} refused: {code}: {details}; check `speech` and NVIDIA_API_KEY")
            if attempt < ATTEMPTS:
                self._pace.pause(backoff_s(attempt))
        raise TtsError(f"{self._address} failed {ATTEMPTS} times, last with {code}: {details}; is Riva up?")


def _stub(base_url: str) -> Any:
    try:
        import grpc
        from riva.client.proto.riva_tts_pb2_grpc import RivaSpeechSynthesisStub
    except ImportError:
        raise MissingToolError("nvidia-riva-client is not installed; run `pip install 'shoptalk[riva]'`") from None
    address = urlsplit(base_url if "://" in base_url else f"//{base_url}")
    if not address.hostname or address.scheme not in ("", "http", "https"):
        raise RecipeError(f"speech.service.base_url: {base_url!r} is no address; write it as 127.0.0.1:50051")
    target = f"{address.hostname}:{address.port or (443 if address.scheme == 'https' else 50051)}"
    if address.scheme == "https":
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials())
    else:
        channel = grpc.insecure_channel(target)
    return RivaSpeechSynthesisStub(channel)
