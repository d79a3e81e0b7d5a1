"""Plain WAV files give the samples that FFmpeg gives, and so do frames of other formats, however many at once."""

import io
import random
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core import audio_fuzz, test_audio

from shoptalk.core import audio, wav
from shoptalk.core.errors import AudioError

SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]
SECONDS = 2.3
"""More than two blocks."""


def speechlike(rate_hz: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng([rate_hz, channels])
    return rng.normal(0, 0.1, (round(SECONDS * rate_hz), channels)).clip(-1, 1)


def written(rate_hz: int, channels: int, subtype: str, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, speechlike(rate_hz, channels), rate_hz, format=form, subtype=subtype)
    return file.getvalue()


def plain(content: bytes) -> wav.PlainWav | None:
    return wav.plain(io.BytesIO(content), content[: audio.HEAD_BYTES])


def told(content: bytes, *, separate: bool = False) -> object:
    """All that decoding tells, in a form that can be compared."""
    try:
        decoded = audio.read(content, separate=separate)
    except AudioError as error:
        return type(error)
    samples = [samples_T.tobytes() for samples_T in (decoded.samples_T, *decoded.channels)]
    return samples, decoded.lost_s, decoded.silent_s, decoded.zeroed, decoded.first_zeroed, decoded.peak


def told_by_ffmpeg(content: bytes, *, separate: bool = False) -> object:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wav, "plain", lambda file, head: None)
        return told(content, separate=separate)


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_samples_of_every_kind_are_those_of_ffmpeg(subtype: str, channels: int, form: str) -> None:
    for rate_hz in (16_000, 44_100, 8_000):
        content = written(rate_hz, channels, subtype, form)
        assert plain(content)
        assert told(content) == told_by_ffmpeg(content)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_channels_for_themselves_and_channels_that_cancel_are_those_of_ffmpeg(rate_hz: int) -> None:
    content = written(rate_hz, 2, "PCM_16")
    assert told(content, separate=True) == told_by_ffmpeg(content, separate=True)
    file = io.BytesIO()
    signal = speechlike(rate_hz, 1)
    soundfile.write(file, np.hstack([signal, -signal]), rate_hz, format="WAV")
    mixed = told(file.getvalue())
    assert mixed == told_by_ffmpeg(file.getvalue())
    assert np.abs(audio.read(file.getvalue()).samples_T).max() > 0.2


@pytest.mark.parametrize("bad", [np.nan, np.inf, 4.0])
def test_samples_that_are_no_number_or_too_loud_are_told_as_ffmpegs_are(bad: float) -> None:
    samples = speechlike(22_050, 2)
    samples[30_000, 1] = bad
    file = io.BytesIO()
    soundfile.write(file, samples, 22_050, format="WAV", subtype="FLOAT")
    assert plain(file.getvalue())
    assert told(file.getvalue()) == told_by_ffmpeg(file.getvalue())
    decoded = audio.read(file.getvalue())
    assert decoded.peak == 4 if bad == 4 else (decoded.zeroed, decoded.first_zeroed) == (1, 30_000)


def with_chunk(content: bytes, name: bytes, body: bytes, *, at: int) -> bytes:
    chunk = name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return content[:at] + chunk + content[at:]


def test_other_chunks_are_passed_over() -> None:
    content = written(16_000, 1, "PCM_16")
    for body in (b"odd", b"even"):
        for at in (12, 36, len(content)):
            longer = with_chunk(content, b"note", body, at=at)
            assert plain(longer)
            assert told(longer) == told_by_ffmpeg(longer) == told(content)


def test_what_is_not_plain_is_left_to_ffmpeg() -> None:
    content = written(16_000, 1, "PCM_16")
    doubtful = {
        "torn": content[:-1000],
        "streamed": content[:40] + b"\xff\xff\xff\xff" + content[44:],
        "two recordings": with_chunk(content, b"data", content[44:], at=len(content)),
        "no samples": content[:40] + b"\0\0\0\0",
        "four channels": written(16_000, 4, "PCM_16"),
        "another codec": written(16_000, 1, "ULAW"),
        "S/PDIF": content[:44] + b"\x72\xf8\x1f\x4e" + content[48:],
    }
    for name, other in doubtful.items():
        assert plain(other) is None, name


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SUBTYPES), st.sampled_from([1, 2]), st.integers(0, 2**32))
def test_a_damaged_file_is_what_it_is_for_ffmpeg(subtype: str, channels: int, seed: int) -> None:
    """Damage in the header, where it can change what the rest is."""
    rng = random.Random(seed)
    content = bytearray(written(16_000, channels, subtype))
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(64)] = rng.choice([0, 1, 2, 3, 8, 16, 24, 32, 0x7F, 0xFE, 0xFF, rng.randrange(256)])
    assert told(bytes(content)) == told_by_ffmpeg(bytes(content))


@pytest.mark.parametrize("name", sorted(test_audio.FUZZED))
def test_samples_do_not_depend_on_how_many_are_resampled_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = test_audio.originals()[name]
    damaged = [audio_fuzz.damaged(whole, [whole], random.Random(seed)) for seed in range(4)]
    contents = [whole, *damaged]
    at_once = [told(content) for content in contents]
    monkeypatch.setattr(audio, "BLOCK_S", 0)
    assert [told_by_ffmpeg(content) for content in contents] == at_once


def test_a_rate_that_nothing_has_is_named() -> None:
    content = bytearray(written(16_000, 1, "PCM_16"))
    content[24:28] = struct.pack("<I", 2**31 - 1)
    with pytest.raises(AudioError, match="2147483647 Hz, says its header"):
        audio.read(bytes(content))
    assert told(bytes(content)) == told_by_ffmpeg(bytes(content))
