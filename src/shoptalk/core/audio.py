"""Decoding, resampling and writing audio; the one place that knows the sample rate."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from os.path import isfile  # Path.is_file raises where a name is too long
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from shoptalk.core import wav
from shoptalk.core.errors import AudioError, AudioTooLongError
from shoptalk.core.files import write_bytes
from shoptalk.core.records import Samples

logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 16_000
"""What FastConformer features are computed from; everything else is resampled to it on the way in."""
FORMATS = "wav,w64,aiff,au,caf,flac,mp3,ogg,mov,mp4,matroska,webm,aac,amr,amrnb,amrwb,asf"
"""Demuxers that only read the file they are given; FFmpeg's playlists would open other files and addresses."""
ENDINGS = frozenset(
    ".wav .w64 .aif .aiff .au .caf .flac .mp3 .ogg .oga .opus .m4a .mp4 .mov .mkv .webm .aac .amr .wma".split()
)
"""What recordings in a folder are told by; a file that is named itself may have any ending."""
MIN_RATE_HZ = 4_000  # below it there is no speech, and a short file would grow to gigabytes by resampling
MAX_RATE_HZ = 1_000_000  # above it FFmpeg's filters ask for gigabytes
CURE = "send WAV, FLAC, MP3 or Ogg"
NO_AUDIO = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"MThd": "MIDI, which holds notes and no sound",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a database",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the recording with `git lfs pull`",
    b"#EXTM3U": "a playlist",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
"""First bytes of what is never a recording."""
UNDECODABLE = {
    b"#!AMR": "AMR",
    b"\x30\x26\xb2\x75": "WMA",
    b"caff": "CAF",
    b".snd": "AU",
    b".RMF": "RealAudio",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
    b"DSD ": "DSD",
    b"\x02dss": "DSS of a dictation device",
    b"\x03ds2": "DSS of a dictation device",
}
"""First bytes of recordings that may be broken, or in a codec that is not here."""
HEAD_BYTES = 4096
EXACT = {"wav", "w64", "aiff", "flac", "mov,mp4,m4a,3gp,3g2,mj2"}
"""Formats whose header tells the length; others guess it."""
TORN_S = 0.5
"""A recording may end so much before the length that its header tells."""
TOO_LARGE = 1e30
"""Samples as large are taken as infinite: sums of them would be."""
LEAST_GAP_S = 0.005
"""Timestamps of containers are rounded to a millisecond; a gap this short is none."""
MOST_GAP_S = 10.0
"""A timestamp this far behind the last one is taken as wrong: it may be what was damaged."""
MOST_RETRIES = 16
"""So often in a row is reading tried again behind a place that cannot be read."""


CANCELLING = -0.5
"""Two channels of a lower correlation would cancel in their sum; one of them then counts with the other sign."""
MAX_CHANNELS = 8
"""Channels that are decoded each for itself."""
BLOCK_S = 1
"""So much is checked, resampled and mixed at once: for frames of 20 ms each step costs more than their samples."""
WAV_BLOCK_S = 10
"""The same where nothing is to be resampled."""
LEAST_GROWTH_S, GROWTH_S = 10.0, 300.0
"""A recording's place in memory doubles, by at least and at most so much at a time: what is added is filled with zeros,
which for five minutes takes longer than decoding ten seconds."""

Watch = Callable[[int], None]
"""Called with the number of samples that decoding is about to hold, of all channels; what it raises ends decoding."""


class Decoded(NamedTuple):
    """A recording, and what of it had to be left out or changed."""

    samples_T: Samples
    """Mixed to mono, or the first channel where `channels` has each."""
    lost_s: float = 0.0
    """Seconds that could not be decoded."""
    silent_s: float = 0.0
    """Silence put where the file's timestamps have gaps, so that later words keep their times."""
    zeroed: int = 0
    """Samples that were infinite or no number; they are zero."""
    first_zeroed: int = 0
    """The place of the first of them, counted at the rate of the file."""
    peak: float = 0.0
    """The largest value of a file of float samples, if it was over 1 and so the whole was scaled down."""
    channels: tuple[Samples, ...] = ()
    """Each channel for itself, all of one length; empty where they were mixed."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know, a sentence each."""
        told = []
        if self.lost_s:
            is_left_out = self.lost_s > self.silent_s + 0.001
            told.append(
                f"{max(self.lost_s, 0.001):.3f} s could not be decoded" + (" and are left out" if is_left_out else "")
            )
        if self.silent_s:
            told.append(f"the timestamps have gaps of {self.silent_s:.3f} s, where silence stands now")
        if self.zeroed:
            told.append(
                f"{self.zeroed} samples are infinite or no number, the first is sample {self.first_zeroed}; taken as 0"
            )
        if self.peak:
            told.append(f"the samples reach {self.peak:.4g} instead of 1; all are scaled down")
        return tuple(told)


def decode(source: Path | bytes | BinaryIO, *, max_s: float = 3 * 3600.0, rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """The samples that `read` gives; what it had to leave out or change is logged as a warning."""
    return read_and_warn(source, max_s=max_s, rate_hz=rate_hz).samples_T


def read_and_warn(
    source: Path | bytes | BinaryIO, *, max_s: float = 3 * 3600.0, rate_hz: int = SAMPLE_RATE_HZ
) -> Decoded:
    """What `read` gives; what it had to leave out or change is logged as a warning."""
    decoded = read(source, max_s=max_s, rate_hz=rate_hz)
    for warning in decoded.warnings:
        logger.warning("%s: %s", _name(source), warning)
    return decoded


def read(
    source: Path | bytes | BinaryIO,
    *,
    max_s: float = 3 * 3600.0,
    rate_hz: int = SAMPLE_RATE_HZ,
    separate: bool = False,
    watch: Watch = lambda samples: None,
) -> Decoded:
    """Decode any container PyAV knows (wav, flac, mp3, ogg, m4a, webm) to mono samples (T,), stopping at `max_s`.

    Two channels are mixed so that they do not cancel, also where one has the other's signal with its sign changed. With
    `separate`, each channel is decoded for itself.

    What cannot be decoded is skipped, if it is the smaller part. `AudioError`: nothing there, not audio, or broken.
    `AudioTooLongError`: longer than `max_s` seconds; no more than that is ever held in memory.
    """
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    name = _name(source)
    head = _head(source)
    if not head:
        raise AudioError(f"{name} is empty; send a recording")
    if kind := next((kind for start, kind in NO_AUDIO.items() if head.startswith(start)), ""):
        raise AudioError(f"{name} cannot be decoded as audio: it is {kind}; {CURE}")
    start = 0 if isinstance(source, Path) else source.tell()
    decoding = _Decoding(name, rate_hz, separate=separate)
    channels = _whole(source, decoding, head, max_s, watch)
    if decoding.cancels:
        del channels  # before the second pass holds as much
        if not isinstance(source, Path):
            source.seek(start)
        decoding = _Decoding(name, rate_hz, sign=-1)
        channels = _whole(source, decoding, head, max_s, watch)
    if not channels or not channels[0].size:
        raise AudioError(f"{name} holds no audio; send a recording")
    missing_s = decoding.expected_s - channels[0].size / rate_hz + decoding.silent_s
    lost_s = max(decoding.lost_s, missing_s) if missing_s > TORN_S else decoding.lost_s
    peak = decoding.peak if decoding.peak > 1 else 0.0
    if peak:
        for samples_T in channels:
            samples_T /= np.float32(peak)
    return Decoded(
        channels[0],
        lost_s,
        decoding.silent_s,
        decoding.zeroed,
        decoding.first_zeroed,
        peak,
        tuple(channels) if separate else (),
    )


def _whole(source: Path | BinaryIO, decoding: "_Decoding", head: bytes, max_s: float, watch: Watch) -> list[Samples]:
    """All that can be decoded, if it is the larger part; else `AudioError` says what the file seems to be."""
    import av

    tracks: list[_Track] = []
    total = 0
    reason: object = ""
    try:
        for chunk_CT in _chunks(source, decoding, head):
            while len(tracks) < len(chunk_CT):
                tracks.append(_Track(total, decoding.rate_hz))
            total += chunk_CT.shape[1]
            if total > max_s * decoding.rate_hz:
                raise AudioTooLongError(f"{decoding.name} is longer than {max_s:g} s; cut it into parts")
            watch(total * len(tracks))
            for number, track in enumerate(tracks):
                track.add(chunk_CT[number] if number < len(chunk_CT) else np.zeros(chunk_CT.shape[1], np.float32))
        if decoding.packets_lost > decoding.packets_decoded:
            reason = "most of it is broken"
    except (AudioError, MemoryError):  # FFmpeg's own error of memory is both
        raise
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
    if reason:
        raise AudioError(f"{decoding.name} cannot be decoded as audio ({_kind(head) or reason}); {CURE}")
    return [track.whole() for track in tracks]


def _chunks(source: Path | BinaryIO, decoding: "_Decoding", head: bytes) -> Iterator[Samples]:
    """Samples (C, T), piece by piece. A plain WAV file needs no decoder, whose probing costs more than all else."""
    opened = source.open("rb") if isinstance(source, Path) else nullcontext(source)
    with opened as file:
        plain = wav.plain(file, head)
        if plain:
            yield from decoding.chunks_of_wav(file, plain)
            return
    yield from decoding.chunks(str(source) if isinstance(source, Path) else source)


class _Track:
    """Samples that come piece by piece, held once: the array grows in place."""

    def __init__(self, silence: int, rate_hz: int) -> None:
        """Begins with so many samples of silence."""
        self._samples_T = np.zeros(silence, np.float32)
        self._size = silence
        self._growth = round(LEAST_GROWTH_S * rate_hz), round(GROWTH_S * rate_hz)

    def add(self, piece_T: Samples) -> None:
        end = self._size + piece_T.size
        if end > self._samples_T.size:
            least, most = self._growth
            added = min(most, max(least, self._samples_T.size))
            self._samples_T.resize(max(end, self._samples_T.size + added), refcheck=False)
        self._samples_T[self._size : end] = piece_T
        self._size = end

    def whole(self) -> Samples:
        """All samples; nothing can be added then."""
        self._samples_T.resize(self._size, refcheck=False)
        return self._samples_T


def _name(source: Path | bytes | BinaryIO) -> str:
    return str(source) if isinstance(source, Path) else "the file"


def _head(source: Path | BinaryIO) -> bytes:
    """The first bytes; a stream is left where it was."""
    if isinstance(source, Path):
        if not isfile(source):
            raise AudioError(f"{source}: no such file")
        with source.open("rb") as file:
            return file.read(HEAD_BYTES)
    place = source.tell()
    head = source.read(HEAD_BYTES)
    source.seek(place)
    return head


def _kind(head: bytes) -> str:
    """What a file that cannot be decoded seems to be; empty where nobody knows."""
    for start, kind in UNDECODABLE.items():
        if head.startswith(start):
            return f"it looks like {kind} that FFmpeg here cannot decode"
    try:
        text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except UnicodeDecodeError as error:
        is_cut = error.reason == "unexpected end of data" and error.start > len(head) - 4
        text = head[: error.start].decode("utf-8") if is_cut and head[:1] not in (b"\xff", b"\xfe") else "\0"
    is_text = all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
    return "it is text" if head and is_text else ""


class _Decoding:
    """One pass over the first audio stream of a file, with counts of what went wrong."""

    def __init__(self, name: str, rate_hz: int, *, separate: bool = False, sign: int = 1) -> None:
        """`sign` is that of the second of two channels where they are mixed."""
        self.lost_s = 0.0
        self.silent_s = 0.0
        self.expected_s = 0.0
        self._signal_s = 0.0
        self._end_s: float | None = None  # of the last frame, by the file's timestamps
        self.packets_lost = 0
        self.packets_decoded = 0
        self.zeroed = 0
        self.first_zeroed = 0
        self.peak = 0.0
        self._samples = 0
        self._separate = separate
        self._sign = sign
        self._powers = [0.0, 0.0]  # of two channels that are mixed
        self._product = 0.0
        self.name = name
        self.rate_hz = rate_hz

    @property
    def cancels(self) -> bool:
        """Whether two channels were mixed that are too much alike with opposite signs."""
        return self._sign > 0 and self._product < CANCELLING * float(np.sqrt(self._powers[0] * self._powers[1]))

    def chunks(self, source: str | BinaryIO) -> Iterator[Samples]:
        """Samples of each channel, or of all mixed, (C, T), frame by frame."""
        import av

        with av.open(source, mode="r", options={"format_whitelist": FORMATS}) as container:
            if not container.streams.audio:
                raise AudioError(f"{self.name} has no audio stream; {CURE}")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(f"{self.name} is in a codec that FFmpeg here cannot decode; {CURE}")
            self._check_rate(stream.rate)
            if container.format.name in EXACT and stream.duration and stream.time_base:
                self.expected_s = float(stream.duration * stream.time_base)
            is_float = stream.codec_context.name.startswith("pcm_f")
            yield from self._resampled(self._joined(self._frames(container, stream)), is_float)

    def chunks_of_wav(self, source: BinaryIO, plain: wav.PlainWav) -> Iterator[Samples]:
        """What `chunks` gives, of samples that need no decoder."""
        self._check_rate(plain.rate_hz)
        if plain.rate_hz == self.rate_hz and not plain.is_float:
            for samples_CT in wav.blocks(source, plain, seconds=WAV_BLOCK_S):
                yield samples_CT if self._separate or len(samples_CT) == 1 else self._mixed(samples_CT)
        else:
            frames = ((0, frame) for frame in wav.frames(source, plain, seconds=BLOCK_S))
            yield from self._resampled(frames, plain.is_float)

    def _check_rate(self, rate_hz: int) -> None:
        if rate_hz < MIN_RATE_HZ:
            raise AudioError(f"{self.name} has {rate_hz} Hz; speech needs {MIN_RATE_HZ} or more")
        if rate_hz > MAX_RATE_HZ:
            raise AudioError(f"{self.name} has {rate_hz} Hz, says its header, which seems broken; {CURE}")

    def _joined(self, frames: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        """Frames of `BLOCK_S` at least, where nothing is missing between them, each with the silence before it."""
        import av

        form: tuple[object, ...] = ()
        held = av.AudioFifo()
        silence = 0
        for frame in frames:
            missing = self._silence(frame)
            if held.samples and (missing or form != _form(frame)):
                yield silence, held.read()
                silence = 0
            if form != _form(frame):
                form, held = _form(frame), av.AudioFifo()
            silence += missing
            frame.pts = None  # what it tells is in `silence`
            held.write(frame)
            if held.samples >= BLOCK_S * frame.sample_rate:
                yield silence, held.read()
                silence = 0
        if held.samples:
            yield silence, held.read()

    def _resampled(self, frames: Iterator[tuple[int, Any]], is_float: bool) -> Iterator[Samples]:
        """Samples at the rate that is asked for; `frames` come with the silence before each."""
        form: tuple[object, ...] = ()
        resampler = None
        for silence, frame in frames:
            finite = self._without_nonsense(frame, is_float)
            if resampler and form != _form(frame):  # another recording is joined to the first
                yield from self._pieces(resampler.resample(None))
                resampler = None
            if resampler is None:
                form = _form(frame)
                resampler = self._resampler(frame)
            elif silence:
                yield from self._pieces(resampler.resample(None))
                resampler = self._resampler(frame)
            yield from self._zeros(silence)
            yield from self._pieces(resampler.resample(finite))
        if resampler:
            yield from self._pieces(resampler.resample(None))

    def _resampler(self, frame: Any) -> Any:
        """To the rate that is asked for, and to the channels that are kept or mixed here; more are mixed by FFmpeg."""
        import av

        channels = len(frame.layout.channels)
        if self._separate and channels > MAX_CHANNELS:
            raise AudioError(f"{self.name} has {channels} channels; {MAX_CHANNELS} at most are decoded each for itself")
        layout = frame.layout.name if self._separate or channels == 2 else "mono"
        return av.AudioResampler(format="fltp", layout=layout, rate=self.rate_hz)

    def _pieces(self, frames: Any) -> Iterator[Samples]:
        for frame in frames:
            samples_CT = frame.to_ndarray()
            yield samples_CT if self._separate or len(samples_CT) == 1 else self._mixed(samples_CT)

    def _mixed(self, samples_CT: Samples) -> Samples:
        """The mean of two channels, (1, T)."""
        left_T, right_T = samples_CT
        exact_CT = samples_CT.astype(np.float64)  # samples of a damaged file may be so large that sums overflow
        self._powers[0] += float(exact_CT[0] @ exact_CT[0])
        self._powers[1] += float(exact_CT[1] @ exact_CT[1])
        self._product += float(exact_CT[0] @ exact_CT[1])
        mean_T: Samples = (left_T + np.float32(self._sign) * right_T) * np.float32(0.5)
        return mean_T[None]

    def _silence(self, frame: Any) -> int:
        """Samples of silence before a frame, at the rate that is asked for: what its timestamp tells to be missing.

        Packets are lost with an error or, where a page's checksum is wrong, without one; some encoders leave out what
        is silent. Never more silence than signal, and `MOST_GAP_S`: timestamps may be what was damaged.
        """
        length_s = frame.samples / frame.sample_rate
        end_s = self._end_s
        start_s = frame.time if frame.pts is not None and frame.time is not None else end_s
        self._end_s = (start_s or 0.0) + length_s  # FLAC's first frames have no timestamp; they start at 0
        if start_s is None or end_s is None:
            return 0
        missing_s = start_s - end_s
        most_s = min(MOST_GAP_S, MOST_GAP_S + self._signal_s - self.silent_s)
        self._signal_s += length_s
        if not LEAST_GAP_S < missing_s < most_s:
            return 0
        self.silent_s += missing_s
        return round(missing_s * self.rate_hz)

    @staticmethod
    def _zeros(count: int) -> Iterator[Samples]:
        if count:
            yield np.zeros((1, count), np.float32)

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        """The decoded frames; a packet that cannot be decoded is counted and skipped."""
        import av

        for packet in self._packets(container, stream):
            try:
                frames = packet.decode()
            except MemoryError:  # FFmpeg's is both; the packet is whole
                raise
            except av.FFmpegError:
                if packet.size:
                    self.packets_lost += 1
                    self.lost_s += float((packet.duration or 0) * packet.time_base)
                continue
            self.packets_decoded += bool(frames)
            yield from frames

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        """All packets and the empty one behind them; where the file cannot be read it goes on behind that place."""
        import av

        failures = 0
        while True:
            try:
                for packet in container.demux(stream):
                    yield packet
                    failures = 0
                return
            except MemoryError:
                raise
            except av.FFmpegError:
                self.packets_lost += 1
                failures += 1
                if failures > MOST_RETRIES:
                    return

    def _without_nonsense(self, frame: Any, is_float: bool) -> Any:
        """The frame, or if it has samples that are no finite numbers, one with zeros in their places."""
        import av

        first = self._samples
        self._samples += frame.samples
        if frame.format.name not in ("flt", "fltp", "dbl", "dblp"):
            return frame
        values = frame.to_ndarray()
        is_bad = ~(np.abs(values) < TOO_LARGE)  # so is what is no number
        if is_bad.any():
            channels = 1 if frame.format.is_planar else len(frame.layout.channels)
            if not self.zeroed:
                self.first_zeroed = first + int(np.argwhere(is_bad)[:, 1].min()) // channels
            self.zeroed += int(is_bad.sum())
            values = np.where(is_bad, values.dtype.type(0), values)
            finite = av.AudioFrame.from_ndarray(values, format=frame.format.name, layout=frame.layout.name)
            finite.sample_rate = frame.sample_rate
            frame = finite
        if is_float and values.size:
            self.peak = max(self.peak, float(np.abs(values).max()))
        return frame


def _form(frame: Any) -> tuple[object, ...]:
    """What a resampler is made for."""
    return frame.format.name, frame.layout.name, frame.sample_rate


def write_flac(path: Path, samples_T: Samples, *, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write mono 16-bit FLAC, whole or not at all; the same samples always give the same bytes.

    Samples beyond 1, as loud MP3s decode to, are scaled down with all others: none is clipped.
    """
    write_bytes(path, flac(samples_T, rate_hz=rate_hz))


def flac(samples_T: Samples, *, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """What `write_flac` writes."""
    import soundfile

    peak = max(1.0, float(np.abs(samples_T).max(initial=0.0)))
    out = io.BytesIO()
    soundfile.write(out, samples_T / np.float32(peak), rate_hz, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def opus(samples_T: Samples, *, bit_rate: int = 16_000) -> bytes:
    """Mono Opus in Ogg, small enough for many recordings in one page; lossy. The same samples give the same bytes."""
    import av

    held = io.BytesIO()
    with av.open(held, "w", format="ogg", options={"fflags": "+bitexact"}) as writer:  # else its serial is random
        stream = writer.add_stream("libopus", rate=SAMPLE_RATE_HZ, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples_T[None], np.float32), "flt", "mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        for out in (*resampler.resample(frame), *resampler.resample(None)):
            writer.mux(stream.encode(out))
        writer.mux(stream.encode(None))
    return held.getvalue()


def from_pcm16(content: bytes) -> Samples:
    """Samples (T,) of raw 16-bit little-endian PCM, one channel; half a sample at the end is left out."""
    return np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float32) / np.float32(2**15)


def resample(samples_T: Samples, *, from_hz: int, to_hz: int) -> Samples:
    """Band-limited resampling (soxr HQ)."""
    import soxr

    return samples_T if from_hz == to_hz else np.asarray(soxr.resample(samples_T, from_hz, to_hz), np.float32)
