"""Streaming from offline weights: an encoder that wants all of a recording gets a window of it, chunk by chunk.

The window is left context + chunk + right context. The frames of the chunk are decoded on from where the chunk before
ended: the decoder's state is carried over, so that no word is doubled or lost at a seam. The frames of the right
context are decoded with a copy of that state. Their words are tentative: one chunk later they come again, better.

With a beam, chunk and right context are searched together, from the state at the chunk's start. The best path's tokens
are kept as far as the chunk reaches, and what follows is tentative. So a token is chosen by what comes behind it. A
stream with phrases is also decoded greedily without them: its words stand where some stand without phrases.

The result depends on the samples alone, never on how they were cut into feeds: every step waits for all its window.

Shapes: B streams, S samples, T mel frames of 10 ms, M mel bins, F encoder frames of 80 ms, D width of the encoder.
"""

import math
import pickle
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError, RecognitionError
from shoptalk.core.protocols import PLAIN, Feed, Options, Partial
from shoptalk.core.records import Samples, Word
from shoptalk.core.tokens import FRAME_S, SUBSAMPLING, placed, words
from shoptalk.engine import stream_beams
from shoptalk.engine.boosting import compile_phrases
from shoptalk.engine.features import normalised
from shoptalk.engine.greedy import Decoded, decode_stretch
from shoptalk.engine.invented import LEAD_S, MARGIN_S, PHRASE_WORDS, REPEATS, far_from, loops, unspoken
from shoptalk.engine.long_form import moved
from shoptalk.engine.recognizer import BEAM, SHORTEST, Engine
from shoptalk.engine.steps import Carry
from shoptalk.engine.stream_beams import Boosted, Piece, Stretch

PLAIN_WORDS_S = 4.0
"""Words of the decoding without phrases are kept for so long: words of phrases are held against them."""


@dataclass(frozen=True)
class StreamSetting:
    """The window, in multiples of 0.08 s; `AudioError` for others."""

    left_s: float = 10.0
    chunk_s: float = 1.04
    right_s: float = 1.04
    first_s: float = 2.08
    """Until so much has come all words are tentative, because features are normalised by the window."""

    def __post_init__(self) -> None:
        _check_multiple("left_s", self.left_s, least_s=0.0)
        _check_multiple("chunk_s", self.chunk_s, least_s=FRAME_S)
        _check_multiple("right_s", self.right_s, least_s=0.0)
        _check_multiple("first_s", self.first_s, least_s=0.0)


def _check_multiple(name: str, value_s: float, *, least_s: float) -> None:
    nearest_s = FRAME_S * _frames(value_s) if math.isfinite(value_s) else 1.04
    if not value_s >= least_s or abs(value_s - nearest_s) > 1e-6:
        cure = f"give a multiple of {FRAME_S} s, such as {max(nearest_s, least_s):.2f}"
        raise AudioError(f"{name} of a stream is {value_s:g} s; {cure}")


class Stream:
    """One recording under way, made by `Streamer.open` and changed by `Streamer.feed`."""

    def __init__(self, carry: Carry, mels: int, device: torch.device):
        self.samples_S: Samples = np.zeros(0, np.float32)
        """Those of which mel frames are still to be made, with what such a frame reaches back to."""
        self.dropped = 0
        """Samples of the stream before `samples_S`."""
        self.filled_up = 0
        """Samples of silence that were put behind a short recording."""
        self.logmel_TM = torch.zeros(0, mels, device=device)
        """Of the window, before normalisation."""
        self.window_start = 0
        """Encoder frames of the stream before `logmel_TM`."""
        self.decoded = 0
        """Encoder frames that are decoded for good."""
        self.window_end = 0
        """Samples of the stream up to the end of the window."""
        self.carry = carry
        self.ahead: list[Piece] = []
        """What the best path of a beam has behind the decoded frames."""
        self.boosted: Boosted | None = None
        """Only a stream with phrases has it."""
        self.unclosed: list[Piece] = []
        """A word that may go on: the piece that opens the next one closes it."""
        self.final_until_s = 0.0
        """The end of the last final word."""
        self.unclosed_is_left_out = False
        """Whether that word is to be left out: no speech carries it, or only phrases gave it."""
        self.final_words: list[Word] = []
        """The last final words, before which the next ones may be a loop."""
        self.tentative: tuple[Word, ...] = ()
        self.ended = False

    @property
    def samples(self) -> int:
        """Samples that have come in all."""
        return self.dropped + self.samples_S.size

    @property
    def length_s(self) -> float:
        """Of the recording so far."""
        return (self.samples - self.filled_up) / SAMPLE_RATE_HZ

    @property
    def mel_frames(self) -> int:
        """Mel frames made in all."""
        return self.window_start * SUBSAMPLING + len(self.logmel_TM)


class Streamer:
    """Any number of streams on one engine; like it, not thread-safe."""

    def __init__(self, engine: Engine, setting: StreamSetting):
        self._engine = engine
        # in encoder frames
        self._left = _frames(setting.left_s)
        self._chunk = _frames(setting.chunk_s)
        self._right = _frames(setting.right_s)
        self._first = _frames(setting.first_s)
        # in samples: from one mel frame to the next, and from the middle of one to its end
        self._hop = engine.features.shape.hop
        self._reach = engine.features.shape.n_fft // 2
        # mel frames whose samples reach into those of a new one; preemphasis sees one sample more
        self._before = -(-(self._reach + 1) // self._hop)

    def open(self, options: Options = PLAIN) -> Stream:
        """A stream that has no samples yet.

        `RecognitionError` for alternatives, which streams have not; `BoostError` for a phrase that cannot be boosted.
        """
        if options.alternatives:
            raise RecognitionError("a stream has no alternatives; leave them out")
        stream = Stream(self._engine.steps.start(1), self._engine.features.shape.mels, self._engine.device)
        automaton = compile_phrases(options.phrases, self._engine.tokenizer)
        if automaton is not None:
            stream.boosted = Boosted(options.phrases, automaton, plain=self._engine.steps.start(1))
            stream_beams.start(automaton, stream.carry)
        return stream

    @torch.inference_mode()
    def feed(self, feeds: Sequence[Feed[Stream]]) -> list[Partial]:
        """Take in samples of some streams and return the words of each; windows that are due are encoded together.

        `AudioError`, before anything changes: a stream that has ended or is here twice, samples that are no numbers.
        """
        _check(feeds)
        final: dict[Stream, list[Word]] = {}
        for stream, samples_S, _ in feeds:
            final[stream] = []
            stream.samples_S = np.concatenate((stream.samples_S, samples_S), dtype=np.float32)
        right = self._decode_due(final)
        self._decode_ends([stream for stream, _, last in feeds if last], final)
        self._decode_tentatively({stream: own_FD for stream, own_FD in right.items() if not stream.ended})
        for stream in final:
            self._forget(stream)
        return [Partial(tuple(words_of_stream), stream.tentative) for stream, words_of_stream in final.items()]

    def wanted(self, stream: Stream) -> int:
        """Samples until its next window is complete, 1 at least: fewer change nothing of what it says."""
        return max(1, self._wanted(stream) - stream.samples)

    def save(self, stream: Stream) -> bytes:
        """The stream as bytes, about 0.5 MB: most of it are the features of its window."""
        saved = copy(stream)
        saved.logmel_TM = stream.logmel_TM.cpu()
        if saved.boosted:
            saved.boosted = replace(saved.boosted, automaton=None)
        return pickle.dumps(saved)

    def restore(self, saved: bytes) -> Stream:
        """The stream as it was saved, by this process or another one with the same model."""
        stream: Stream = pickle.loads(saved)
        stream.logmel_TM = stream.logmel_TM.to(self._engine.device)
        if stream.boosted:
            stream.boosted.automaton = compile_phrases(stream.boosted.phrases, self._engine.tokenizer)
        return stream

    def _decode_due(self, final: Mapping[Stream, list[Word]]) -> dict[Stream, torch.Tensor]:
        """Decode all chunks whose windows are complete, and add to `final`; returns frames (F, D) of right contexts."""
        right: dict[Stream, torch.Tensor] = {}
        while due := [stream for stream in final if stream.samples >= self._wanted(stream)]:
            for stream in due:
                self._add_mel_frames(stream, self._wanted(stream))
            encoded = self._encoded(due)
            splits: list[int] = []
            for stream, own_FD in encoded.items():
                is_begun = stream.mel_frames >= self._first * SUBSAMPLING
                splits.append(max(0, len(own_FD) - self._right) if is_begun else 0)
                right[stream] = own_FD[splits[-1] :]
            self._decode_finally(encoded, splits, final)
        return right

    def _decode_ends(self, streams: Sequence[Stream], final: Mapping[Stream, list[Word]]) -> None:
        """Decode all that is left of streams that end."""
        for stream in streams:
            _fill_up(stream)
            self._add_mel_frames(stream, stream.samples)
        encoded = self._encoded(streams)
        self._decode_finally(encoded, [len(own_FD) for own_FD in encoded.values()], final)
        for stream in streams:
            self._add_final(final[stream], stream, stream.unclosed, [], {0} if stream.unclosed_is_left_out else set())
            stream.unclosed = []
            stream.tentative = ()
            stream.ended = True

    def _wanted(self, stream: Stream) -> int:
        """Samples of the stream that its next window needs."""
        end = stream.mel_frames // SUBSAMPLING + self._chunk
        return (end * SUBSAMPLING - 1) * self._hop + self._reach

    def _add_mel_frames(self, stream: Stream, until: int) -> None:
        """Make the mel frames that the samples up to `until` give, and drop those left of the window."""
        before = min(stream.mel_frames, self._before)
        begin = (stream.mel_frames - before) * self._hop - stream.dropped
        signal_S = torch.from_numpy(stream.samples_S[begin : until - stream.dropped])
        signal_1S = signal_S[None].to(self._engine.device)
        samples_1 = torch.tensor([signal_1S.shape[1]])
        new_TM = self._engine.features.logmel(signal_1S, samples_1)[0, before:]
        window_start = max(0, stream.decoded - self._left)
        kept_TM = stream.logmel_TM[(window_start - stream.window_start) * SUBSAMPLING :]
        stream.logmel_TM = torch.cat((kept_TM, new_TM))
        stream.window_start = window_start
        stream.window_end = until

    def _features(self, stream: Stream) -> torch.Tensor:
        """The window's features (T, M), normalised by the window: over all that came is worse when levels change."""
        return normalised(stream.logmel_TM[None], torch.tensor([len(stream.logmel_TM)]))[0]

    def _encoded(self, streams: Sequence[Stream]) -> dict[Stream, torch.Tensor]:
        """The encoder's frames (F, D) that are not yet decoded, of the streams that have any."""
        streams = [stream for stream in streams if stream.mel_frames > stream.decoded * SUBSAMPLING]
        if not streams:
            return {}
        features = [self._features(stream) for stream in streams]
        lengths_B = torch.tensor([len(own_TM) for own_TM in features])
        features_BTM = pad_sequence(features, batch_first=True).to(self._engine.dtype)
        encoded_BFD, frames_B = self._engine.encoder(features_BTM, lengths_B)
        encoded: dict[Stream, torch.Tensor] = {}
        for stream, own_FD, frames in zip(streams, encoded_BFD.float(), frames_B.tolist(), strict=True):
            encoded[stream] = own_FD[stream.decoded - stream.window_start : frames]
        return encoded

    def _decode_finally(
        self, encoded: Mapping[Stream, torch.Tensor], splits: Sequence[int], final: Mapping[Stream, list[Word]]
    ) -> None:
        """Decode frames for good, of each stream those before its split; a word is final when the next one opens."""
        chunks = {stream: own_FD[:split] for (stream, own_FD), split in zip(encoded.items(), splits, strict=True)}
        searched = {stream: own_FD for stream, own_FD in encoded.items() if self._width(stream) > 1}
        pieces_of = self._decoded({stream: own_FD for stream, own_FD in chunks.items() if stream not in searched})
        pieces_of |= self._searched(searched, [len(chunks[stream]) for stream in searched])
        left_out = self._left_out({stream: stream.unclosed + pieces for stream, pieces in pieces_of.items()})
        for stream, pieces in pieces_of.items():
            stream.decoded += len(chunks[stream])
            closed, stream.unclosed = closed_words(stream.unclosed + pieces)
            self._add_final(final[stream], stream, closed, stream.unclosed, left_out[stream])

    def _decode_tentatively(self, encoded: Mapping[Stream, torch.Tensor]) -> None:
        """Decode the frames of the right context on a copy of the state, where a beam did not do so already."""
        greedy = {stream: own_FD for stream, own_FD in encoded.items() if self._width(stream) == 1}
        pieces_of = self._decoded(greedy, go=False)
        for stream in encoded:
            pieces = pieces_of[stream] if stream in greedy else stream.ahead
            pieces_of[stream] = stream.unclosed + pieces
        left_out = self._left_out(pieces_of)
        for stream, own_FD in encoded.items():
            own_words = self._words(pieces_of[stream])
            kept = [word for place, word in enumerate(own_words) if place not in left_out[stream]]
            stream.tentative = self._placed(stream, kept, stream.decoded + len(own_FD))

    def _left_out(self, pieces_of: Mapping[Stream, Sequence[Piece]]) -> dict[Stream, set[int]]:
        """The places of each stream's words that no speech carries, or that only phrases gave.

        The first word may be an unclosed one. What decided on it may be gone, so it stays as it was decided.
        """
        left_out = self._silent(pieces_of)
        for stream, pieces in pieces_of.items():
            if stream.boosted:
                own = stream.boosted
                plain = [*own.plain_closed, *self._words([*own.plain_unclosed, *own.plain_guess])]
                left_out[stream] |= far_from(plain, self._words(pieces))
            if stream.unclosed:
                left_out[stream].discard(0)
                left_out[stream] |= {0} if stream.unclosed_is_left_out else set()
        return left_out

    def _silent(self, pieces_of: Mapping[Stream, Sequence[Piece]]) -> dict[Stream, set[int]]:
        """The places of each stream's words around which there is no speech; the window's samples alone decide."""
        if not self._engine.speech_vad:
            return {stream: set() for stream in pieces_of}
        audio: list[Samples] = []
        words_of_each: list[list[Word]] = []
        for stream, pieces in pieces_of.items():
            audio.append(stream.samples_S[: stream.window_end - stream.dropped])
            dropped_s = stream.dropped / SAMPLE_RATE_HZ
            words_of_each.append([moved(word, -dropped_s) for word in self._words(pieces)])
        silent = unspoken(audio, words_of_each, self._engine.speech_vad)
        return dict(zip(pieces_of, silent, strict=True))

    def _decoded(self, encoded: Mapping[Stream, torch.Tensor], *, go: bool = True) -> dict[Stream, list[Piece]]:
        """The tokens of the next frames of each stream, decoded greedily; with `go` the streams stand behind them."""
        rows, carries = self._greedy(encoded, [stream.carry for stream in encoded])
        for stream, carry in zip(encoded, carries, strict=True):
            if go:
                stream.carry = carry
        return {stream: self._pieces(stream.decoded, row) for stream, row in zip(encoded, rows, strict=True)}

    def _greedy(
        self, encoded: Mapping[Stream, torch.Tensor], carries: Sequence[Carry]
    ) -> tuple[list[Decoded], list[Carry]]:
        """What greedy decoding makes of frames, and its state behind them; `carries` are not changed."""
        if not encoded:
            return [], []
        encoded_BFD, frames_B = _padded(encoded)
        rows, carry = decode_stretch(self._engine.steps, encoded_BFD, frames_B, carry=Carry.joined(carries))
        return rows, [carry.row(row) for row in range(len(rows))]

    def _width(self, stream: Stream) -> int:
        """Of the stream's beam; 1 where it is decoded greedily."""
        return max(self._engine.beam, BEAM if stream.boosted else 1)

    def _searched(self, encoded: Mapping[Stream, torch.Tensor], splits: Sequence[int]) -> dict[Stream, list[Piece]]:
        """The best path's tokens before the splits, behind which the streams then stand."""
        self._decode_without_phrases(
            {stream: own_FD for stream, own_FD in encoded.items() if stream.boosted},
            [split for stream, split in zip(encoded, splits, strict=True) if stream.boosted],
        )
        stretches: list[Stretch] = []
        for (stream, own_FD), split in zip(encoded.items(), splits, strict=True):
            automaton = stream.boosted.automaton if stream.boosted else None
            stretches.append(Stretch(automaton, stream.carry, own_FD, split, self._width(stream)))
        searched = stream_beams.search(self._engine.steps, stretches)
        pieces_of: dict[Stream, list[Piece]] = {}
        for stream, (decoded, kept, carry) in zip(encoded, searched, strict=True):
            pieces = self._pieces(stream.decoded, decoded)
            pieces_of[stream], stream.ahead = pieces[:kept], pieces[kept:]
            stream.carry = carry
        return pieces_of

    def _decode_without_phrases(self, encoded: Mapping[Stream, torch.Tensor], splits: Sequence[int]) -> None:
        """What streams with phrases would say without them."""
        boosted = [stream.boosted for stream in encoded if stream.boosted]
        split_of = dict(zip(encoded, splits, strict=True))
        chunks = {stream: own_FD[: split_of[stream]] for stream, own_FD in encoded.items()}
        right = {stream: own_FD[split_of[stream] :] for stream, own_FD in encoded.items()}
        rows, carries = self._greedy(chunks, [own.plain for own in boosted])
        guesses, _ = self._greedy(right, carries)
        for place, (stream, own) in enumerate(zip(encoded, boosted, strict=True)):
            closed, own.plain_unclosed = closed_words(own.plain_unclosed + self._pieces(stream.decoded, rows[place]))
            own.plain_closed += self._words(closed)
            own.plain_guess = self._pieces(stream.decoded + split_of[stream], guesses[place])
            own.plain = carries[place]
            since_s = stream.decoded * FRAME_S - PLAIN_WORDS_S
            own.plain_closed = [word for word in own.plain_closed if word.end_s > since_s]

    def _pieces(self, before: int, row: Decoded) -> list[Piece]:
        """The tokens of a stretch with its place in the stream: `before` encoder frames of it."""
        texts = [self._engine.tokenizer.id_to_piece(token) for token in row.tokens]
        frames = [before + frame for frame in row.frames]
        return list(map(Piece, texts, frames, row.spans, row.confidences))

    def _add_final(
        self, final: list[Word], stream: Stream, closed: list[Piece], unclosed: list[Piece], left_out: set[int]
    ) -> None:
        """Add the words of closed pieces; the last of them ends where the unclosed word behind it starts, or before.

        Those at `left_out` places, and those of a loop, are not added. A loop of several words is found if its
        repetition becomes final at once.
        """
        count = len(self._words(closed))
        plain = self._words(closed + unclosed)
        before = len(stream.final_words)
        looped = loops([*stream.final_words, *plain[:count]])
        kept = [plain[place] for place in range(count) if place not in left_out and before + place not in looped]
        in_time = self._placed(stream, [*kept, *plain[count:]], stream.decoded)[: len(kept)]
        final += in_time
        stream.final_words = [*stream.final_words, *kept][-PHRASE_WORDS * REPEATS :]
        if in_time:
            stream.final_until_s = in_time[-1].end_s
        stream.unclosed_is_left_out = count in left_out

    def _words(self, pieces: Sequence[Piece]) -> tuple[Word, ...]:
        if not pieces:
            return ()
        texts, frames, spans, confidences = zip(*pieces, strict=True)
        return tuple(words(texts, frames, spans, confidences, frame_s=FRAME_S))

    def _placed(self, stream: Stream, own_words: Sequence[Word], until: int) -> tuple[Word, ...]:
        """Words behind the stream's final ones, up to encoder frame `until`, and never behind the recording's end."""
        until_s = min(until * FRAME_S, stream.length_s)
        in_time = placed(own_words, from_s=stream.final_until_s, until_s=until_s)
        return tuple(self._engine.tempered(word) for word in in_time)

    def _forget(self, stream: Stream) -> None:
        """Let go of the samples that no mel frame will see again, nor the VAD."""
        until = max(0, stream.mel_frames - self._before) * self._hop
        if self._engine.speech_vad:
            until = min(until, round((stream.decoded * FRAME_S - MARGIN_S - LEAD_S) * SAMPLE_RATE_HZ))
        unneeded = until - stream.dropped
        if unneeded > 0:
            stream.samples_S = stream.samples_S[unneeded:].copy()
            stream.dropped += unneeded


def closed_words(pieces: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    """The pieces of words that cannot go on, and those of the last word, which can until another one opens."""
    openings = [place for place, piece in enumerate(pieces) if piece.text.startswith("▁")]
    last = openings[-1] if openings else 0
    return pieces[:last], pieces[last:]


def _check(feeds: Sequence[Feed[Stream]]) -> None:
    streams = [feed.stream for feed in feeds]
    if len(set(streams)) < len(streams):
        raise AudioError("a stream is fed twice in one call; join its samples, or feed it in two calls")
    if any(stream.ended for stream in streams):
        raise AudioError("a stream has ended; open another one")
    if not all(np.isfinite(feed.samples_S).all() for feed in feeds):
        raise AudioError("samples of a stream are infinite or no numbers; feed what `audio.decode` gives")


def _fill_up(stream: Stream) -> None:
    """With silence, a recording that the engine would fill up."""
    stream.filled_up = max(0, SHORTEST - stream.samples)
    stream.samples_S = np.pad(stream.samples_S, (0, stream.filled_up))


def _frames(seconds: float) -> int:
    return round(seconds / FRAME_S)


def _padded(encoded: Mapping[Stream, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The frames (B, F, D) of streams side by side, and how many count (B,)."""
    frames_B = torch.tensor([len(own_FD) for own_FD in encoded.values()])
    return pad_sequence(list(encoded.values()), batch_first=True), frames_B
