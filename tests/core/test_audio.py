"""Decoding what users send: every format comes back as it was spoken, and what is no audio is named."""

import io
import random
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from shoptalk.core import audio
from shoptalk.core.errors import AudioError, AudioTooLongError
from shoptalk.core.records import Samples

RATE = audio.SAMPLE_RATE_HZ


def tones(seconds: float = 1.5, rate_hz: int = RATE, channels: int = 1) -> Samples:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    loudness = np.sin(np.pi * times / seconds)  # no click at the ends
    one = (0.2 * loudness * (np.sin(2 * np.pi * 440 * times) + np.sin(2 * np.pi * 1250 * times))).astype(np.float32)
    return one if channels == 1 else np.stack([one] * channels, axis=1)


def encoded(kind: str, codec: str, rate_hz: int, channels: int) -> bytes:
    file = io.BytesIO()
    if codec == "vorbis":
        soundfile.write(file, tones(rate_hz=rate_hz, channels=channels), rate_hz, format="OGG", subtype="VORBIS")
        return file.getvalue()
    with av.open(file, "w", format=kind) as out:
        stream = out.add_stream(codec, rate=rate_hz, layout="mono" if channels == 1 else "stereo")
        shown = np.ascontiguousarray(tones(rate_hz=rate_hz, channels=channels).reshape(-1, channels).reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(shown, format="flt", layout="mono" if channels == 1 else "stereo")
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=stream.layout, rate=rate_hz)
        fifo = av.AudioFifo()
        for one in resampler.resample(frame):
            fifo.write(one)
        size = stream.codec_context.frame_size or 1024
        while part := fifo.read(size, partial=True):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def correlation(one: Samples, other: Samples) -> float:
    """The best over small delays, which lossy codecs add."""
    length = min(len(one), len(other)) - 4_000
    return max(
        float(np.corrcoef(one[2_000 + shift : 2_000 + shift + length], other[2_000 : 2_000 + length])[0, 1])
        for shift in range(-1_500, 1_501)
    )


@pytest.mark.parametrize(
    ("kind", "codec", "rate_hz", "channels"),
    [
        ("wav", "pcm_s16le", 16_000, 1), ("wav", "pcm_f32le", 44_100, 2), ("flac", "flac", 48_000, 1),
        ("mp3", "libmp3lame", 44_100, 2), ("ogg", "libopus", 48_000, 1), ("ogg", "vorbis", 16_000, 2),
        ("mp4", "aac", 44_100, 1), ("webm", "libopus", 48_000, 1), ("wav", "pcm_mulaw", 8_000, 1),
    ],
)  # fmt: skip
def test_every_format_comes_back(kind: str, codec: str, rate_hz: int, channels: int, tmp_path: Path) -> None:
    content = encoded(kind, codec, rate_hz, channels)
    heard = audio.decode(content)
    assert heard.dtype == np.float32 and heard.ndim == 1
    assert heard.size / RATE == pytest.approx(1.5, abs=0.1)
    assert correlation(heard, tones()) > 0.98
    (tmp_path / "recording").write_bytes(content)
    assert np.array_equal(audio.decode(tmp_path / "recording"), heard)
    assert np.array_equal(audio.decode(io.BytesIO(content)), heard)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"This is a text file called recording.wav.\n" * 99, "cannot be decoded as audio"),
        (random.Random(1).randbytes(5_000), "cannot be decoded as audio"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "cannot be decoded as audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "cannot be decoded as audio"),
    ],
)
def test_what_is_no_audio_is_named(content: bytes, said: str) -> None:
    with pytest.raises(AudioError, match=said):
        audio.decode(content)


def wav(samples_T: Samples, rate_hz: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples_T, rate_hz, format="WAV")
    return file.getvalue()


def test_silence_of_no_length_and_strange_rates_are_named() -> None:
    with pytest.raises(AudioError, match="holds no audio"):
        audio.decode(wav(np.zeros(0, np.float32)))
    with pytest.raises(AudioError, match="speech needs 4000 or more"):
        audio.decode(wav(tones(rate_hz=1_000), rate_hz=1_000))


def test_a_torn_file_gives_what_is_there_or_a_name() -> None:
    content = wav(tones())
    heard = audio.decode(content[: len(content) // 2])
    assert heard.size == pytest.approx(0.75 * RATE, abs=0.1 * RATE)
    with pytest.raises(AudioError):
        audio.decode(content[:20])


def test_too_long_is_named_and_just_long_enough_is_not() -> None:
    with pytest.raises(AudioTooLongError, match=r"longer than 1 s; cut it"):
        audio.decode(wav(tones(2.0)), max_s=1.0)
    assert audio.decode(wav(tones(1.0)), max_s=1.0).size == RATE


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        audio.decode(tmp_path / "none.wav")


def test_flac_is_whole_deterministic_and_comes_back(tmp_path: Path) -> None:
    loud = 8 * tones()  # beyond -1..1: clipped, not wrapped
    for name in ("a.flac", "below/b.flac"):
        audio.write_flac(tmp_path / name, loud)
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "below/b.flac").read_bytes()
    assert not list(tmp_path.rglob("*.partial"))
    assert np.abs(audio.decode(tmp_path / "a.flac") - np.clip(loud, -1, 1)).max() < 1e-4


def test_resampling_keeps_length_and_sound() -> None:
    up = audio.resample(tones(), from_hz=RATE, to_hz=24_000)
    assert up.size == 36_000 and up.dtype == np.float32
    assert np.abs(audio.resample(up, from_hz=24_000, to_hz=RATE) - tones()).max() < 5e-3
    assert audio.resample(up, from_hz=RATE, to_hz=RATE) is up
