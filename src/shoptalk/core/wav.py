"""Plain WAV files: samples behind a header, which need no decoder. Everything else about audio is in `audio`."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from shoptalk.core.records import Samples

INTEGERS, FLOATS, EXTENSIBLE = 1, 3, 0xFFFE
"""Format tags of the header."""
SAMPLE_FORMATS = {
    (INTEGERS, 8): "u8",
    (INTEGERS, 16): "s16",
    (INTEGERS, 24): "s32",
    (INTEGERS, 32): "s32",
    (FLOATS, 32): "flt",
    (FLOATS, 64): "dbl",
}
"""FFmpeg's names, by format tag and bits; 24 bits are the upper ones of 32."""
TYPES = {"u8": "u1", "s16": "<i2", "s32": "<i4", "flt": "<f4", "dbl": "<f8"}
SCALES = {8: (128.0, 2.0**-7), 16: (0.0, 2.0**-15), 24: (0.0, 2.0**-31), 32: (0.0, 2.0**-31)}
"""What stands for silence, and what makes a number between -1 and 1 of an integer, by its bits in the file."""
SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format tag in an extensible header."""
USUAL_PLACES = {1: 0x4, 2: 0x3}
"""Of the speakers, by the number of channels: the middle; left and right."""
MOST_CHUNKS = 1_000
"""A file with more chunks is left to FFmpeg."""
DISGUISED = (
    b"\x7f\xfe\x80\x01",
    b"\xfe\x7f\x01\x80",
    b"\x1f\xff\xe8\x00",
    b"\xff\x1f\x00\xe8",
    b"\x72\xf8\x1f\x4e",
)
"""How frames of DTS and of S/PDIF begin: a file that says PCM may hold them, and FFmpeg knows how to tell."""
DISGUISED_WITHIN = 4096
"""Bytes at the front where such a frame would begin."""


@dataclass(frozen=True)
class PlainWav:
    """Where the samples of a file are, and what they are."""

    start: int
    """Of the samples, in bytes."""
    size: int
    """In bytes, whole samples of all channels."""
    rate_hz: int
    channels: int
    bits: int
    sample_format: str
    """As FFmpeg names it."""

    @property
    def is_float(self) -> bool:
        return self.sample_format in ("flt", "dbl")


def plain(file: BinaryIO, head: bytes) -> PlainWav | None:
    """What the header tells, if the file is whole, of one or two channels, and nothing but samples; else None.

    The file is left where it was.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    before = file.tell()
    try:
        return _read_header(file)
    finally:
        file.seek(before)


def blocks(file: BinaryIO, wav: PlainWav, *, seconds: int) -> Iterator[Samples]:
    """Samples of each channel between -1 and 1, (C, T), so many seconds at a time; of integers alone."""
    zero, scale = SCALES[wav.bits]
    for samples_TC in _read(file, wav, seconds=seconds):
        samples_CT = np.ascontiguousarray(samples_TC.T, np.float32)
        if zero:
            samples_CT -= zero
        samples_CT *= scale
        yield samples_CT


def frames(file: BinaryIO, wav: PlainWav, *, seconds: int) -> Iterator[Any]:
    """The samples as FFmpeg's frames of so many seconds, the last one shorter."""
    import av

    layout = "mono" if wav.channels == 1 else "stereo"
    for samples_TC in _read(file, wav, seconds=seconds):
        frame = av.AudioFrame.from_ndarray(samples_TC.reshape(1, -1), format=wav.sample_format, layout=layout)
        frame.sample_rate = wav.rate_hz
        yield frame


def _read(file: BinaryIO, wav: PlainWav, *, seconds: int) -> Iterator[Any]:
    """The samples as they are in the file, (T, C), so many seconds at a time. The file may be moved meanwhile."""
    block = seconds * wav.rate_hz * wav.channels * wav.bits // 8
    for place in range(0, wav.size, block):
        file.seek(wav.start + place)
        content = file.read(min(block, wav.size - place))
        samples = _widened(content) if wav.bits == 24 else np.frombuffer(content, TYPES[wav.sample_format])
        yield samples.reshape(-1, wav.channels)


def _read_header(file: BinaryIO) -> PlainWav | None:
    start = file.tell()
    chunks: dict[bytes, tuple[int, int]] = {}
    end = file.seek(0, 2)
    place = start + 12
    while place + 8 <= end:
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(8))
        is_doubtful = name in chunks and name in (b"fmt ", b"data")
        is_cut = name == b"data" and place + 8 + size > end
        if is_doubtful or is_cut or len(chunks) > MOST_CHUNKS:
            return None
        chunks[name] = place + 8, size
        place += 8 + size + size % 2
    if b"fmt " not in chunks or b"data" not in chunks or chunks[b"fmt "] > chunks[b"data"]:
        return None
    file.seek(chunks[b"fmt "][0])
    form = file.read(min(40, chunks[b"fmt "][1]))
    file.seek(chunks[b"data"][0])
    front = file.read(DISGUISED_WITHIN)
    if any(mark in front for mark in DISGUISED):
        return None
    return _of_form(form, *chunks[b"data"])


def _of_form(form: bytes, start: int, size: int) -> PlainWav | None:
    """From the chunk that tells the format, and the place of the samples."""
    if len(form) < 16:
        return None
    tag, channels, rate_hz, _, of_all, bits = struct.unpack("<HHIIHH", form[:16])
    if tag == EXTENSIBLE and len(form) == 40 and form[26:] == SUBFORMAT:
        valid_bits, places, tag = struct.unpack("<HIH", form[18:26])
        if valid_bits != bits or places not in (0, USUAL_PLACES.get(channels)):
            return None
    sample_format = SAMPLE_FORMATS.get((tag, bits), "")
    whole = size - size % of_all if of_all else 0
    if not sample_format or channels not in (1, 2) or of_all != channels * bits // 8 or not whole or not rate_hz:
        return None
    return PlainWav(start, whole, rate_hz, channels, bits, sample_format)


def _widened(content: bytes) -> Any:
    """Integers of 24 bits as the upper ones of 32."""
    samples = np.zeros((len(content) // 3, 4), np.uint8)
    samples[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
    return samples.view("<i4").ravel()
