"""`shoptalk transcribe`: recordings and raw PCM read whole or block by block, and phrases read from a file."""

import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

import numpy as np

from shoptalk.core import audio, tables
from shoptalk.core.audio import ENDINGS, SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError, BoostError, RecipeError
from shoptalk.core.progress import say, tell
from shoptalk.core.protocols import Feed, Options, Partial, Phrase, StreamingRecognizer
from shoptalk.core.records import Samples

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

Stream = TypeVar("Stream")

STANDARD_INPUT = "-"
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 4
"""What a stream is fed at a time, at most: less than a chunk of the engine's, so that no word waits for the next."""
SAMPLE_BYTES = 2
HEAD_BYTES = 4096
"""Of what comes on standard input so much tells encoded audio from raw PCM: two frames of MP3, 128 ms of PCM."""
ENCODED = (
    *(b"RIFF RF64 RIFX FORM fLaC OggS caff .snd #!AMR riff".split()),
    b"\x1aE\xdf\xa3",
    b"\x30\x26\xb2\x75",
    b"ID3",
)
"""First bytes of audio files; MP4 and bare MPEG frames are told otherwise."""
_KILOBITS = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
)
"""Bit rates of MP3: of MPEG 2 and 2.5, and of MPEG 1."""
_RATES_HZ = (44_100, 48_000, 32_000)
_RATE_DIVISOR = {3: 1, 2: 2, 0: 4}
"""Of the sample rate, by the version's bits: MPEG 1, 2, 2.5."""
COMMA_WEIGHT = re.compile(r"(.*\S)\s*,\s*(\d+(?:\.\d+)?)")
SHOWN = 20
"""Lines of a list that are told one by one."""


def read_phrases(path: Path) -> dict[int, Phrase]:
    """The phrases of a file by line: one a line, after a tab its weight. A line that is none is left out and told."""
    if not path.is_file():
        raise RecipeError(f"--phrases {path}: no such file; write one phrase a line, after a tab its weight")
    phrases: dict[int, Phrase] = {}
    remarks = []
    lines = tables.read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        text, tab, weight = line.partition("\t")
        by_comma = COMMA_WEIGHT.fullmatch(text.strip())
        if by_comma and not weight.strip():
            text, weight = by_comma.groups()
            remarks.append(f"line {number}: taken as {text!r} with weight {weight}; write a tab before a weight")
        try:
            phrases[number] = Phrase(text.strip(), _weight(weight.strip()))
        except BoostError as error:
            remarks.append(f"line {number} is left out: {error}")
    _tell(path, remarks)
    return phrases


def writable(path: Path, phrases: Mapping[int, Phrase], tokenizer: "SentencePieceProcessor") -> tuple[Phrase, ...]:
    """The phrases that a model can write; the lines of others are told."""
    from shoptalk.engine.phrases import spellings

    kept = []
    remarks = []
    texts = [phrase.text for phrase in phrases.values()]
    for (number, phrase), spelling in zip(phrases.items(), spellings(texts, tokenizer), strict=True):
        if isinstance(spelling, BoostError):
            remarks.append(f"line {number} is left out: {spelling}")
        else:
            kept.append(phrase)
    _tell(path, remarks)
    return tuple(kept)


def _weight(written: str) -> float:
    try:
        return float(written or 1)
    except ValueError:
        raise BoostError(f"the weight {written!r} is no number; write one as 1.5 after a tab") from None


def _tell(path: Path, remarks: Sequence[str]) -> None:
    for remark in remarks[:SHOWN]:
        say(f"--phrases {path}: {remark}")
    if len(remarks) > SHOWN:
        say(f"--phrases {path}: {len(remarks) - SHOWN} more lines")


class Recording(NamedTuple):
    """A recording that is to be transcribed."""

    name: str
    """Its path as given, or below the folder that was given; or `STANDARD_INPUT`."""
    place: Path
    """Where its transcript goes, below any folder: relative to the folder that was given, with its own ending."""


def recordings(given: str) -> list[Recording]:
    """A recording as it is named; of a folder all recordings in it and below, by name. `AudioError` if it has none."""
    folder = Path(given)
    if given == STANDARD_INPUT:
        return [Recording(given, Path("standard-input"))]
    if not folder.is_dir():
        return [Recording(given, Path(folder.name))]
    found = []
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in place.parts)
        if path.suffix.lower() in ENDINGS and path.is_file() and not is_hidden:
            found.append(Recording(str(path), place))
    if not found:
        raise AudioError(f"{given}: a folder without recordings ({' '.join(sorted(ENDINGS))}); name files or another")
    return found


def read_channels(name: str, *, each: bool) -> tuple[Samples, ...]:
    """A recording, or what comes on standard input: mixed, or with `each` every channel for itself.

    `AudioError` if it cannot be read.
    """
    if name != STANDARD_INPUT:
        return _decoded(name, Path(name), each=each)
    content = sys.stdin.buffer.read()
    if is_encoded(content):
        return _decoded("standard input", content, each=each)
    return (np.concatenate([np.zeros(0, np.float32), *pcm_blocks(io.BytesIO(content))]),)


def read_blocks(name: str) -> Iterator[Samples]:
    """A recording in blocks, or raw PCM from standard input as it comes."""
    if name != STANDARD_INPUT:
        [samples_T] = _decoded(name, Path(name), each=False)
        yield from _blocks(samples_T)
        return
    source = sys.stdin.buffer
    head = b""
    while len(head) < HEAD_BYTES and (more := _read_some(source, HEAD_BYTES - len(head))):
        head += more
    if is_encoded(head):
        [samples_T] = _decoded("standard input", head + source.read(), each=False)
        yield from _blocks(samples_T)
        return
    yield from pcm_blocks(source, begun=head)


def _blocks(samples_T: Samples) -> Iterator[Samples]:
    for start in range(0, samples_T.size, BLOCK_SAMPLES):
        yield samples_T[start : start + BLOCK_SAMPLES]


def is_encoded(head: bytes) -> bool:
    """Whether bytes begin an audio file, or a file that is none at all; else they are taken as raw PCM."""
    if head.startswith((*ENCODED, *audio.NO_AUDIO)) or head[4:8] == b"ftyp":
        return True
    length = _mpeg_frame(head)
    behind = head[length : length + 6]
    is_alike = behind[1:2] == head[1:2] and len(behind) > 2 and (behind[2] ^ head[2]) & 0x0C == 0  # version, rate
    return bool(length) and is_alike and _mpeg_frame(behind) > 0


def _mpeg_frame(head: bytes) -> int:
    """Bytes of the frame of MP3 or AAC (ADTS) that begins here; 0 where none does, as in nearly all raw PCM."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:  # AAC
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        is_header = head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13
        return length if is_header and length > 7 else 0
    rate_number, kilobits = head[2] >> 2 & 3, _KILOBITS[version == 3][head[2] >> 4]
    if version == 1 or layer != 1 or rate_number == 3 or not kilobits:
        return 0
    rate_hz = _RATES_HZ[rate_number] // _RATE_DIVISOR[version]
    return (144 if version == 3 else 72) * 1000 * kilobits // rate_hz + (head[2] >> 1 & 1)


def _decoded(name: str, source: Path | bytes, *, each: bool) -> tuple[Samples, ...]:
    """The channels of a recording; what of it is left out or changed is told on standard error."""
    decoded = audio.read(source, separate=each)
    for warning in decoded.warnings:
        tell(f"shoptalk: warning: {name}: {warning}")
    return decoded.channels or (decoded.samples_T,)


def _read_some(source: BinaryIO, size: int) -> bytes:
    """What is there, at most so much, without waiting for more; nothing at the end."""
    content: bytes = getattr(source, "read1", source.read)(size)
    return content


def pcm_blocks(source: BinaryIO, begun: bytes = b"") -> Iterator[Samples]:
    """Raw PCM, signed 16 bits, little endian, mono, at `SAMPLE_RATE_HZ`: what is there is not kept waiting for more.

    `begun` was read of it before. `AudioError` at the end if half a sample is left over, for then the rest was no such
    PCM either.
    """
    left = begun
    is_open = True
    while is_open:
        content = _read_some(source, BLOCK_SAMPLES * SAMPLE_BYTES)
        is_open = bool(content)
        content = left + content
        whole = len(content) // SAMPLE_BYTES * SAMPLE_BYTES
        left = content[whole:]
        if whole:
            yield np.frombuffer(content[:whole], dtype="<i2").astype(np.float32) / np.float32(32768)
    if left:
        raise AudioError("standard input ends in the middle of a sample; send raw PCM, s16le, 16 kHz, mono")


def stream(recognizer: StreamingRecognizer[Stream], blocks: Iterable[Samples], options: Options) -> Iterator[Partial]:
    """The hypotheses of a stream, block by block, whenever there is something new; the last block ends it."""
    opened = recognizer.open(options)
    tentative: tuple[object, ...] = ()
    for block_S in blocks:
        [partial] = recognizer.feed([Feed(opened, block_S)])
        if partial.final or partial.tentative != tentative:
            tentative = partial.tentative
            yield partial
    [partial] = recognizer.feed([Feed(opened, np.zeros(0, np.float32), last=True)])
    yield partial
