"""`shoptalk transcribe`: recordings and raw PCM read whole or block by block, and phrases read from a file."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError, RecipeError
from shoptalk.core.protocols import Feed, Options, Partial, Phrase, StreamingRecognizer
from shoptalk.core.records import Samples

Stream = TypeVar("Stream")

STANDARD_INPUT = "-"
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 4
"""What a stream is fed at a time, at most: less than a chunk of the engine's, so that no word waits for the next."""
SAMPLE_BYTES = 2


def read_options(phrases: str | None, alternatives: int) -> Options:
    """The options of every recording of a command."""
    return Options(read_phrases(Path(phrases)) if phrases else (), alternatives)


def read_phrases(path: Path) -> tuple[Phrase, ...]:
    """One phrase a line, after a tab its weight; `RecipeError` for a line that is none."""
    if not path.is_file():
        raise RecipeError(f"--phrases {path}: no such file; write one phrase a line, after a tab its weight")
    phrases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text, _, weight = line.partition("\t")
        if not text.strip():
            continue
        try:
            phrases.append(Phrase(text.strip(), float(weight or 1)))
        except ValueError as error:
            raise RecipeError(f"--phrases {path}: line {number}: {error}") from None
    return tuple(phrases)


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
    """What a stream says, block by block, whenever there is something new; the last block ends it."""
    opened = recognizer.open(options)
    tentative: tuple[object, ...] = ()
    for block_S in blocks:
        [partial] = recognizer.feed([Feed(opened, block_S)])
        if partial.final or partial.tentative != tentative:
            tentative = partial.tentative
            yield partial
    [partial] = recognizer.feed([Feed(opened, np.zeros(0, np.float32), last=True)])
    yield partial
