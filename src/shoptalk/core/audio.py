"""Decoding, resampling and writing audio; the one place that knows the sample rate."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shoptalk.core.errors import AudioError, AudioTooLongError
from shoptalk.core.files import write_file
from shoptalk.core.records import Samples

SAMPLE_RATE_HZ = 16_000
"""What FastConformer features are computed from; everything else is resampled to it on the way in."""
FORMATS = "wav,w64,aiff,flac,mp3,ogg,mov,mp4,matroska,webm,aac,amr"
"""Demuxers that only read the file they are given; FFmpeg's playlists would open other files and addresses."""
MIN_RATE_HZ = 4_000  # below it there is no speech, and a short file would grow to gigabytes by resampling


def decode(source: Path | bytes | BinaryIO, *, max_s: float = 3 * 3600.0, rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """Decode any container PyAV knows (wav, flac, mp3, ogg, m4a, webm) to mono samples (T,), stopping at `max_s`.

    `AudioError`: nothing there, not audio, or broken. `AudioTooLongError`: longer than `max_s` seconds; no more than
    that is ever held in memory.
    """
    import av

    if isinstance(source, bytes):
        if not source:
            raise AudioError("the file is empty; send a recording")
        source = io.BytesIO(source)
    name = str(source) if isinstance(source, Path) else "the file"
    if isinstance(source, Path) and not source.is_file():
        raise AudioError(f"{name}: no such file")
    chunks: list[Samples] = []
    total = 0
    try:
        for chunk_T in _chunks(str(source) if isinstance(source, Path) else source, name, rate_hz):
            chunks.append(chunk_T)
            total += chunk_T.size
            if total > max_s * rate_hz:
                raise AudioTooLongError(f"{name} is longer than {max_s:g} s; cut it into parts")
    except AudioError:
        raise
    except (av.FFmpegError, ValueError) as error:  # ValueError: the stream changes its form midway
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name} cannot be decoded as audio ({reason}); send wav, flac, mp3 or ogg") from None
    samples_T = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    if not samples_T.size:
        raise AudioError(f"{name} holds no audio; send a recording")
    return samples_T


def _chunks(source: str | BinaryIO, name: str, rate_hz: int) -> Iterator[Samples]:
    """Mono samples of the first audio stream, frame by frame."""
    import av

    with av.open(source, mode="r", options={"format_whitelist": FORMATS}) as container:
        if not container.streams.audio:
            raise AudioError(f"{name} has no audio stream")
        if container.streams.audio[0].rate < MIN_RATE_HZ:
            raise AudioError(f"{name} has {container.streams.audio[0].rate} Hz; speech needs {MIN_RATE_HZ} or more")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
        for frame in container.decode(audio=0):
            yield from (out.to_ndarray()[0] for out in resampler.resample(frame))
        yield from (out.to_ndarray()[0] for out in resampler.resample(None))


def write_flac(path: Path, samples_T: Samples, *, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write mono 16-bit FLAC, whole or not at all; the same samples always give the same bytes."""
    import soundfile

    with write_file(path) as partial:
        soundfile.write(partial, np.clip(samples_T, -1.0, 1.0), rate_hz, format="FLAC", subtype="PCM_16")


def opus(samples_T: Samples, *, bit_rate: int = 16_000) -> bytes:
    """Mono Opus in Ogg, small enough for many recordings in one page; lossy."""
    import av

    held = io.BytesIO()
    with av.open(held, "w", format="ogg") as writer:
        stream = writer.add_stream("libopus", rate=SAMPLE_RATE_HZ, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples_T[None], np.float32), "flt", "mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        for out in (*resampler.resample(frame), *resampler.resample(None)):
            writer.mux(stream.encode(out))
        writer.mux(stream.encode(None))
    return held.getvalue()


def resample(samples_T: Samples, *, from_hz: int, to_hz: int) -> Samples:
    """Band-limited resampling (soxr HQ)."""
    import soxr

    return samples_T if from_hz == to_hz else np.asarray(soxr.resample(samples_T, from_hz, to_hz), np.float32)
