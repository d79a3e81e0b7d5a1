"""From the bytes that a client sends to samples: PCM of any rate, and G.711; cut anywhere, with the same result.

S = samples.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Samples
from shoptalk.service.problems import Problem

Kind = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
PCM_RATE_HZ = 24_000
"""Of PCM where a client names no rate, as OpenAI has it."""
G711_RATE_HZ = 8_000
SCALE = np.float32(2**-15)
"""From 16-bit integers to samples."""
LEAST_RATE_HZ, MOST_RATE_HZ = 8_000, 96_000


@dataclass(frozen=True)
class Format:
    """How samples are written: little-endian 16-bit PCM, or G.711 with a byte for each; always mono."""

    kind: Kind = "audio/pcm"
    rate_hz: int = PCM_RATE_HZ

    @property
    def bytes_per_s(self) -> int:
        return self.rate_hz * (2 if self.kind == "audio/pcm" else 1)


class Decoder:
    """The samples of a connection's audio at `SAMPLE_RATE_HZ`.

    What comes out in all depends on the bytes alone, never on how they were cut: a sample that is cut in two waits for
    its other half, and the resampler goes on from where it was.
    """

    def __init__(self, form: Format) -> None:
        self.form = form
        self._half = b""
        self._resampler = _Resampler(form.rate_hz)

    def feed(self, content: bytes) -> Samples:
        """The samples that are complete, (S,); the resampler holds up to 0.1 s back."""
        if self.form.kind != "audio/pcm":
            table = ULAW if self.form.kind == "audio/pcmu" else ALAW
            return self._resampler.feed(table[np.frombuffer(content, np.uint8)])
        content = self._half + content
        whole = len(content) // 2 * 2
        self._half = content[whole:]
        return self._resampler.feed(np.frombuffer(content[:whole], "<i2").astype(np.float32) * SCALE)

    def flush(self) -> Samples:
        """What was held back, (S,); what is fed next is another recording."""
        rest_S = self._resampler.flush()
        self._half = b""
        self._resampler = _Resampler(self.form.rate_hz)
        return rest_S


class _Resampler:
    """Band-limited resampling (soxr HQ) of a recording that goes on."""

    def __init__(self, from_hz: int) -> None:
        import soxr

        self._stream = None
        if from_hz != SAMPLE_RATE_HZ:
            self._stream = soxr.ResampleStream(from_hz, SAMPLE_RATE_HZ, 1, dtype="float32")

    def feed(self, samples_S: Samples) -> Samples:
        if self._stream is None:
            return samples_S
        return np.asarray(self._stream.resample_chunk(samples_S), np.float32)

    def flush(self) -> Samples:
        nothing_S = np.zeros(0, np.float32)
        if self._stream is None:
            return nothing_S
        return np.asarray(self._stream.resample_chunk(nothing_S, last=True), np.float32)


def decode_base64(audio: object) -> bytes:
    """The bytes of the field `audio`; `Problem` 400 for what is no base64."""
    if not isinstance(audio, str):
        raise Problem(400, "`audio` is missing; send base64", code="missing_required_parameter", param="audio")
    try:
        return base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "`audio` is no valid base64", code="invalid_value", param="audio") from None


def _ulaw() -> npt.NDArray[np.float32]:
    """The value of each byte of G.711's μ-law (ITU-T G.711, table 2), as a part of full scale of 16 bits."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.asarray(np.where(code & 0x80, -magnitude, magnitude) * SCALE, np.float32)


def _alaw() -> npt.NDArray[np.float32]:
    """The value of each byte of G.711's A-law (ITU-T G.711, table 1), as a part of full scale of 16 bits."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + np.where(segment == 0, 8, 0x108)
    magnitude = magnitude << np.maximum(segment - 1, 0)
    return np.asarray(np.where(code & 0x80, magnitude, -magnitude) * SCALE, np.float32)


ULAW = _ulaw()
ALAW = _alaw()
