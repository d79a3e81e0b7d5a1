"""`shoptalk transcribe`: recordings and raw PCM read whole or block by block, and phrases read from a file."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np

from shoptalk.core import audio, tables
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError, BoostError, RecipeError
from shoptalk.core.progress import say
from shoptalk.core.protocols import Feed, Options, Partial, Phrase, StreamingRecognizer
from shoptalk.core.records import Samples

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

Stream = TypeVar("Stream")

STANDARD_INPUT = "-"
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 4
"""What a stream is fed at a time, at most: less than a chunk of the engine's, so that no word waits for the next."""
SAMPLE_BYTES = 2
ENDINGS = frozenset(
    ".wav .w64 .aif .aiff .au .caf .flac .mp3 .ogg .oga .opus .m4a .mp4 .mov .mkv .webm .aac .amr .wma".split()
)
"""What recordings in a folder are told by; a file that is named itself may have any ending."""
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


def recordings(name: str) -> list[str]:
    """A recording as it is named; of a folder all recordings in it and below, by name. `AudioError` if it has none."""
    folder = Path(name)
    if name == STANDARD_INPUT or not folder.is_dir():
        return [name]
    paths = []
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in ENDINGS and path.is_file() and not is_hidden:
            paths.append(str(path))
    if not paths:
        raise AudioError(f"{name}: a folder without recordings ({' '.join(sorted(ENDINGS))}); name files or another")
    return paths


def read_samples(name: str) -> Samples:
    """All of a recording, or of the raw PCM on standard input; `AudioError` if it cannot be read."""
    if name != STANDARD_INPUT:
        return _decoded(name)
    return np.concatenate([np.zeros(0, np.float32), *pcm_blocks(sys.stdin.buffer)])


def read_blocks(name: str) -> Iterator[Samples]:
    """A recording in blocks, or raw PCM from standard input as it comes."""
    if name == STANDARD_INPUT:
        yield from pcm_blocks(sys.stdin.buffer)
        return
    samples_T = _decoded(name)
    for start in range(0, samples_T.size, BLOCK_SAMPLES):
        yield samples_T[start : start + BLOCK_SAMPLES]


def _decoded(name: str) -> Samples:
    """A recording; what of it is left out or changed is told on standard error."""
    decoded = audio.read(Path(name))
    for warning in decoded.warnings:
        print(f"shoptalk: warning: {name}: {warning}", file=sys.stderr)
    return decoded.samples_T


def pcm_blocks(source: BinaryIO) -> Iterator[Samples]:
    """Raw PCM, signed 16 bits, little endian, mono, at `SAMPLE_RATE_HZ`: what is there is not kept waiting for more.

    `AudioError` at the end if half a sample is left over, for then the rest was no such PCM either.
    """
    left = b""
    read = getattr(source, "read1", source.read)
    while content := read(BLOCK_SAMPLES * SAMPLE_BYTES):
        content = left + content
        whole = len(content) // SAMPLE_BYTES * SAMPLE_BYTES
        left = content[whole:]
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
