"""Streaming from offline weights: an encoder that wants all of a recording hears a window of it, chunk by chunk.

The window is left context + chunk + right context. The frames of the chunk are decoded on from where the chunk before
ended, with the decoder's state carried over, so no word is said twice or lost at a seam. The frames of the right
context are decoded with a copy of that state: what they say is tentative, and said again, better, one chunk later.
What is said depends on the samples alone, never on how they were cut into feeds: every step waits for all its window.

Shapes: B streams, S samples, T mel frames of 10 ms, M mel bins, F encoder frames of 80 ms, D width of the encoder.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from shoptalk.core.errors import AudioError
from shoptalk.core.protocols import PLAIN, Feed, Options, Partial, refuse_extras
from shoptalk.core.records import Samples, Word
from shoptalk.core.tokens import FRAME_S, SUBSAMPLING, words
from shoptalk.engine.features import normalised
from shoptalk.engine.greedy import decode_stretch
from shoptalk.engine.recognizer import SHORTEST, Engine
from shoptalk.engine.steps import Carry


@dataclass(frozen=True)
class StreamSetting:
    """The window, in multiples of 0.08 s; `AudioError` for others."""

    left_s: float = 10.0
    chunk_s: float = 1.04
    right_s: float = 1.04
    first_s: float = 4.0
    """Until so much is heard all words are tentative, for features are normalised by the window."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value_s, least_s = getattr(self, field.name), FRAME_S if field.name == "chunk_s" else 0.0
            whole_s = FRAME_S * _frames(value_s) if math.isfinite(value_s) else 1.04
            if not value_s >= least_s or abs(value_s - whole_s) > 1e-6:
                cure = f"give a multiple of {FRAME_S} s, such as {max(whole_s, least_s):.2f}"
                raise AudioError(f"{field.name} of a stream is {value_s:g} s; {cure}")


class Piece(NamedTuple):
    """A token, with its place in the stream in encoder frames."""

    text: str
    frame: int
    span: int
    confidence: float


class Stream:
    """One recording under way, made by `Streamer.open` and changed by `Streamer.feed`."""

    def __init__(self, carry: Carry, mels: int, device: torch.device):
        self.samples_S: Samples = np.zeros(0, np.float32)
        """Those of which mel frames are still to be made, with what such a frame reaches back to."""
        self.first = 0
        """Samples of the stream before `samples_S`."""
        self.logmel_TM = torch.zeros(0, mels, device=device)
        """Of the window, before normalisation."""
        self.start = 0
        """Encoder frames of the stream before `logmel_TM`."""
        self.at = 0
        """Encoder frames that are decoded."""
        self.carry = carry
        self.unclosed: list[Piece] = []
        """A word that may go on: the piece that opens the next one closes it."""
        self.tentative: tuple[Word, ...] = ()
        self.ended = False

    @property
    def heard(self) -> int:
        """Samples in all."""
        return self.first + self.samples_S.size

    @property
    def mel_frames(self) -> int:
        """Mel frames made in all."""
        return self.start * SUBSAMPLING + len(self.logmel_TM)


class Streamer:
    """Any number of streams on one engine; like it, not thread-safe."""

    def __init__(self, engine: Engine, setting: StreamSetting):
        self._engine = engine
        sizes_s = (getattr(setting, field.name) for field in fields(setting))
        self._left, self._chunk, self._right, self._first = map(_frames, sizes_s)
        shape = engine.features.shape
        self._hop, self._reach = shape.hop, shape.n_fft // 2
        self._before = -(-(self._reach + 1) // shape.hop)  # mel frames; preemphasis sees one sample more

    def open(self, options: Options = PLAIN) -> Stream:
        """A stream that has no samples yet; `RecognitionError` for phrases and alternatives, which streams have not."""
        refuse_extras([options], "a stream")
        return Stream(self._engine.steps.start(1), self._engine.features.shape.mels, self._engine.device)

    @torch.inference_mode()
    def feed(self, feeds: Sequence[Feed[Stream]]) -> list[Partial]:
        """Hear more of some streams and tell what they say now; windows that are due together are encoded together.

        `AudioError`, before anything is heard: a stream that has ended or is here twice, samples that are no numbers.
        """
        _check(feeds)
        final: dict[Stream, list[Word]] = {}
        right: dict[Stream, torch.Tensor] = {}
        for stream, samples_S, _ in feeds:
            final[stream] = []
            stream.samples_S = np.concatenate((stream.samples_S, samples_S), dtype=np.float32)
        while due := [stream for stream in final if stream.heard >= self._wanted(stream)]:
            for stream in due:
                self._listen(stream, self._wanted(stream))
            sure: dict[Stream, torch.Tensor] = {}
            for stream, own_FD in self._encoded(due).items():
                split = len(own_FD) - self._right if stream.mel_frames >= self._first * SUBSAMPLING else 0
                sure[stream], right[stream] = own_FD[:split], own_FD[split:]
            self._say(sure, final)
        ending = [stream for stream, _, last in feeds if last]
        for stream in ending:
            _fill_up(stream)
            self._listen(stream, stream.heard)
        self._say(self._encoded(ending), final)
        for stream in ending:
            final[stream] += self._words(stream.unclosed)
            stream.unclosed, stream.tentative, stream.ended = [], (), True
        self._guess({stream: own_FD for stream, own_FD in right.items() if not stream.ended})
        for stream in final:
            self._forget(stream)
        return [Partial(tuple(said), stream.tentative) for stream, said in final.items()]

    def _wanted(self, stream: Stream) -> int:
        """Samples of the stream that the mel frames of its next window see."""
        end = max(stream.mel_frames // SUBSAMPLING, self._right) + self._chunk
        return (end * SUBSAMPLING - 1) * self._hop + self._reach

    def _listen(self, stream: Stream, until: int) -> None:
        """Make the mel frames that the samples up to `until` give, and drop those left of the window."""
        before = min(stream.mel_frames, self._before)
        begin = (stream.mel_frames - before) * self._hop - stream.first
        signal_1S = torch.from_numpy(stream.samples_S[begin : until - stream.first])[None].to(self._engine.device)
        samples_1 = torch.tensor([signal_1S.shape[1]])
        fresh_TM = self._engine.features.logmel(signal_1S, samples_1)[0, before:]
        start = max(0, stream.at - self._left)
        kept_TM = stream.logmel_TM[(start - stream.start) * SUBSAMPLING :]
        stream.logmel_TM, stream.start = torch.cat((kept_TM, fresh_TM)), start

    def _features(self, stream: Stream) -> torch.Tensor:
        """The window's features (T, M), normalised by the window: by all that was heard is worse when levels change."""
        return normalised(stream.logmel_TM[None], torch.tensor([len(stream.logmel_TM)]))[0]

    def _encoded(self, streams: Sequence[Stream]) -> dict[Stream, torch.Tensor]:
        """The encoder's frames (F, D) that are not yet decoded, of the streams that have any."""
        streams = [stream for stream in streams if stream.mel_frames > stream.at * SUBSAMPLING]
        if not streams:
            return {}
        features = [self._features(stream) for stream in streams]
        lengths_B = torch.tensor([len(own_TM) for own_TM in features])
        features_BTM = pad_sequence(features, batch_first=True).to(self._engine.dtype)
        encoded_BFD, frames_B = self._engine.encoder(features_BTM, lengths_B)
        rows = zip(streams, encoded_BFD.float(), frames_B.tolist(), strict=True)
        return {stream: own_FD[stream.at - stream.start : frames] for stream, own_FD, frames in rows}

    def _say(self, encoded: Mapping[Stream, torch.Tensor], final: Mapping[Stream, list[Word]]) -> None:
        """Decode frames for good; a word is final when the next one opens."""
        for row, (stream, pieces, carry) in enumerate(self._decoded(encoded)):
            stream.carry = _row(carry, row)
            stream.at += len(encoded[stream])
            closed, stream.unclosed = closed_words(stream.unclosed + pieces)
            final[stream].extend(self._words(closed))

    def _guess(self, encoded: Mapping[Stream, torch.Tensor]) -> None:
        """Decode the frames of the right context on a copy of the state."""
        for stream, pieces, _ in self._decoded(encoded):
            stream.tentative = self._words(stream.unclosed + pieces)

    def _decoded(self, encoded: Mapping[Stream, torch.Tensor]) -> list[tuple[Stream, list[Piece], Carry]]:
        """What the next frames of each stream say, and the state of all behind them."""
        if not encoded:
            return []
        frames_B = torch.tensor([len(own_FD) for own_FD in encoded.values()])
        carry = _together([stream.carry for stream in encoded])
        encoded_BFD = pad_sequence(list(encoded.values()), batch_first=True)
        decoded, carry = decode_stretch(self._engine.steps, encoded_BFD, frames_B, carry=carry)
        found = []
        for stream, one in zip(encoded, decoded, strict=True):
            texts = [self._engine.tokenizer.id_to_piece(token) for token in one.tokens]
            frames = [stream.at + frame for frame in one.frames]
            found.append((stream, list(map(Piece, texts, frames, one.spans, one.confidences)), carry))
        return found

    def _words(self, pieces: Sequence[Piece]) -> tuple[Word, ...]:
        found = words(*zip(*pieces, strict=True), frame_s=FRAME_S) if pieces else ()
        return tuple(map(self._engine.tempered, found))

    def _forget(self, stream: Stream) -> None:
        """Let go of the samples that no mel frame will see again."""
        seen = max(0, stream.mel_frames - self._before) * self._hop - stream.first
        if seen > 0:
            stream.samples_S, stream.first = stream.samples_S[seen:].copy(), stream.first + seen


def closed_words(pieces: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    """The pieces of words that cannot go on, and those of the last word, which can until another one opens."""
    last = max((number for number, piece in enumerate(pieces) if piece.text.startswith("▁")), default=0)
    return pieces[:last], pieces[last:]


def _check(feeds: Sequence[Feed[Stream]]) -> None:
    streams = [one.stream for one in feeds]
    if len(set(streams)) < len(streams):
        raise AudioError("a stream is fed twice in one call; join its samples, or feed it in two calls")
    if any(stream.ended for stream in streams):
        raise AudioError("a stream has ended; open another one")
    if not all(np.isfinite(one.samples_S).all() for one in feeds):
        raise AudioError("samples of a stream are infinite or no numbers; feed what `audio.decode` gives")


def _fill_up(stream: Stream) -> None:
    """With silence, a recording that the engine would fill up."""
    missing = max(0, SHORTEST - stream.heard)
    stream.samples_S = np.pad(stream.samples_S, (0, missing))


def _frames(seconds: float) -> int:
    return round(seconds / FRAME_S)


def _together(carries: Sequence[Carry]) -> Carry:
    """The states of some streams as those of a batch; a copy."""
    h, c = (
        [np.concatenate(layer) for layer in zip(*parts, strict=True)]
        for parts in zip(*((one.h, one.c) for one in carries), strict=True)
    )
    return Carry(
        h, c, np.concatenate([one.predicted_BJ for one in carries]), np.concatenate([one.ahead_B for one in carries])
    )


def _row(carry: Carry, row: int) -> Carry:
    """One stream's state of a batch's."""
    own = slice(row, row + 1)
    return Carry([h[own] for h in carry.h], [c[own] for c in carry.c], carry.predicted_BJ[own], carry.ahead_B[own])
