"""Decoding what users send: every format comes back as it was spoken, and what is no audio is named."""

import io
import random
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core import audio_fuzz

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
        if codec == "wmav2":
            stream.bit_rate = 128_000  # it has no default
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
    loud = 8 * tones()  # beyond -1..1: scaled down, neither clipped nor wrapped
    for name in ("a.flac", "below/b.flac"):
        audio.write_flac(tmp_path / name, loud)
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "below/b.flac").read_bytes()
    assert not list(tmp_path.rglob("*.partial"))
    assert np.abs(audio.decode(tmp_path / "a.flac") - loud / np.abs(loud).max()).max() < 1e-4


def test_resampling_keeps_length_and_sound() -> None:
    up = audio.resample(tones(), from_hz=RATE, to_hz=24_000)
    assert up.size == 36_000 and up.dtype == np.float32
    assert np.abs(audio.resample(up, from_hz=24_000, to_hz=RATE) - tones()).max() < 5e-3
    assert audio.resample(up, from_hz=RATE, to_hz=RATE) is up


CASES = Path(__file__).parents[1] / "cases"


def test_one_sample_that_is_no_number_is_zero_and_told() -> None:
    decoded = audio.read(CASES / "one-nan.wav")
    assert decoded.samples_T.size == RATE and np.isfinite(decoded.samples_T).all()
    assert decoded.zeroed == 1 and decoded.samples_T[decoded.first_zeroed] == 0
    [warning] = decoded.warnings
    assert f"the first is sample {decoded.first_zeroed}" in warning


@pytest.mark.parametrize("rate_hz", [RATE, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_the_place_of_a_bad_sample_is_told_and_the_rest_stays(rate_hz: int, channels: int, bad: float) -> None:
    clean = tones(rate_hz=rate_hz, channels=channels)
    broken = clean.copy()
    broken[5_000, ...] = bad
    files = io.BytesIO(), io.BytesIO()
    for file, samples in zip(files, (broken, clean), strict=True):
        soundfile.write(file, samples, rate_hz, format="WAV", subtype="FLOAT")
    decoded = audio.read(files[0].getvalue())
    assert decoded.first_zeroed == 5_000 and decoded.zeroed == channels
    difference = np.abs(decoded.samples_T - audio.decode(files[1].getvalue()))
    assert difference.max() < 0.6 and np.count_nonzero(difference > 5e-3) < 40


@pytest.mark.parametrize(("name", "at_least_s"), [("one-bad-packet-e.mp3", 4.85), ("mp3-tail-garbage.mp3", 4.9)])
def test_what_cannot_be_decoded_is_skipped_and_told(
    name: str, at_least_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    decoded = audio.read(CASES / name)
    assert decoded.samples_T.size / RATE > at_least_s and 0 < decoded.lost_s < 0.2
    assert np.array_equal(audio.decode(CASES / name), decoded.samples_T)
    assert f"{name}: {decoded.lost_s:.3f} s could not be decoded" in caplog.text


def test_silence_stands_where_a_packet_was_lost() -> None:
    decoded = audio.read(CASES / "one-bad-packet-e.mp3")
    assert decoded.silent_s == pytest.approx(0.036) and decoded.lost_s == pytest.approx(0.036)
    place = round((2.484 - 974_610 / 14_112_000) * RATE)  # by the file's timestamps, less the encoder's delay
    assert np.abs(decoded.samples_T[place + 100 : place + 400]).max() == 0
    assert np.abs(decoded.samples_T[place + 800 : place + 2_400]).max() > 0


@pytest.mark.parametrize(
    ("kind", "codec", "rate_hz"),
    [("flac", "flac", 48_000), ("webm", "libopus", 48_000), ("mp4", "aac", 44_100), ("matroska", "aac", 44_100)],
)
def test_what_follows_a_damaged_place_keeps_its_time(kind: str, codec: str, rate_hz: int) -> None:
    content = encoded(kind, codec, rate_hz, 1)
    clean = audio.read(content)
    assert clean.silent_s == 0 and not clean.warnings
    with av.open(io.BytesIO(content)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    damaged = packets[len(packets) // 2]
    place = content.find(damaged)
    size = min(len(damaged), 400)
    decoded = audio.read(content[:place] + b"\xff" * size + content[place + size :])
    assert decoded.samples_T.size == pytest.approx(clean.samples_T.size, abs=0.021 * RATE)
    assert decoded.silent_s < 1.2
    tail = slice(-round(0.25 * RATE), -round(0.05 * RATE))
    assert np.corrcoef(decoded.samples_T[tail], clean.samples_T[tail])[0, 1] > 0.9


FUZZED = {
    "wav": ("wav", "pcm_s16le", 16_000, 1),
    "wav of floats": ("wav", "pcm_f32le", 44_100, 2),
    "flac": ("flac", "flac", 48_000, 1),
    "mp3": ("mp3", "libmp3lame", 44_100, 2),
    "ogg opus": ("ogg", "libopus", 48_000, 1),
    "ogg vorbis": ("ogg", "vorbis", 16_000, 2),
    "m4a": ("mp4", "aac", 44_100, 1),
    "webm": ("webm", "libopus", 48_000, 1),
    "wma": ("asf", "wmav2", 44_100, 2),
    "amr": ("amr", "libopencore_amrnb", 8_000, 1),
}


@cache
def originals() -> dict[str, bytes]:
    """A recording in each container, to be damaged."""
    return {name: encoded(*form) for name, form in FUZZED.items()}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(FUZZED)), st.integers(0, 2**32))
def test_a_damaged_file_of_any_container_is_decoded_or_refused_by_name(name: str, seed: int) -> None:
    content = audio_fuzz.damaged(originals()[name], list(originals().values()), random.Random(seed))
    assert audio_fuzz.outcome(content) in {"decoded", "decoded with warnings", "AudioError", "AudioTooLongError"}


@pytest.mark.parametrize("second", [(44_100, 2), (22_050, 1)])
def test_joined_recordings_are_decoded_to_the_end(second: tuple[int, int]) -> None:
    joined = encoded("mp3", "libmp3lame", 44_100, 2) + encoded("mp3", "libmp3lame", *second)
    assert audio.read(joined).samples_T.size / RATE == pytest.approx(3, abs=0.2)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 15_000), st.binary(min_size=1, max_size=600))
def test_a_damaged_recording_is_decoded_or_refused_by_name(place: int, damage: bytes) -> None:
    content = (CASES / "one-bad-packet-e.mp3").read_bytes()
    try:
        decoded = audio.read(content[:place] + damage + content[place + len(damage) :])
    except AudioError:
        return
    assert np.isfinite(decoded.samples_T).all() and decoded.lost_s >= 0


def test_the_end_that_a_torn_recording_lacks_is_told() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(1).normal(0, 0.1, 4 * RATE), RATE, format="FLAC")
    decoded = audio.read(file.getvalue()[: len(file.getvalue()) // 2])
    assert decoded.lost_s == pytest.approx(2, abs=0.3)
    assert decoded.lost_s + decoded.samples_T.size / RATE == pytest.approx(4, abs=0.1)


def test_float_samples_over_one_are_scaled_and_told() -> None:
    file = io.BytesIO()
    soundfile.write(file, 20 * tones(), RATE, format="WAV", subtype="FLOAT")
    decoded = audio.read(file.getvalue())
    assert np.abs(decoded.samples_T).max() == pytest.approx(1) and "instead of 1" in decoded.warnings[0]
    assert correlation(decoded.samples_T, tones()) > 0.999


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n" + bytes(300), "it is a PDF"),
        (b"Dear colleague, \xc3\xb6\r\n" * 500, "it is text"),
        ("Ein Brief\n".encode("utf-16"), "it is text"),
        (b"#!AMR\n" + b"\xff" * 9, "looks like AMR that FFmpeg here cannot decode"),
        (b"PK\x03\x04" + bytes(300), "ZIP archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_is_no_audio_is_told_by_its_kind(content: bytes, kind: str) -> None:
    with pytest.raises(AudioError, match=f"{kind}.*; send WAV, FLAC, MP3 or Ogg"):
        audio.decode(content)


@pytest.mark.parametrize(
    ("form", "codec", "rate_hz", "channels"),
    [
        ("amr", "libopencore_amrnb", 8_000, 1),
        ("asf", "wmav2", 44_100, 2),
        ("au", "pcm_s16be", 16_000, 1),
        ("caf", "alac", 16_000, 1),
    ],
)
def test_formats_of_phones_and_old_programs_are_decoded(form: str, codec: str, rate_hz: int, channels: int) -> None:
    assert audio.decode(encoded(form, codec, rate_hz, channels)).size / RATE == pytest.approx(1.5, abs=0.15)
