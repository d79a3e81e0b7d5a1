"""Packed training material in memory, and the batches that are drawn from it: where each frame of an utterance is read.

Batches have few shapes, and each is full: what runs on a GPU can be recorded once for each shape (`graphs`).

Shapes: N frames of the whole material (10 ms), M mel bins, R recordings, B utterances, T mel frames, U tokens.
"""

import mmap
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shoptalk.core.errors import TrainingError
from shoptalk.core.recipe import TrainSection
from shoptalk.tuning import device_effects, variety
from shoptalk.tuning.batches import Row, draw_rows
from shoptalk.tuning.data import HOPS_PER_S, TOKEN_STEP
from shoptalk.tuning.packing import Pack, Recording

Array = npt.NDArray[Any]

DEV, NOISE, REAL = "dev", "noise", "real"
"""Kinds of packs, as their files' names begin; all others hold synthetic speech."""
QUIET_PART = 0.1
FRAMES = (192, 256, 320, 384, 448, 512, 640, 832, 1152, 1536, 2048)
"""Mel frames that utterances are padded to."""
TOKENS_A_FRAME = 0.115
"""What a batch has room for; 95 % of the utterances say less, and the others lie in a longer batch."""
ROWS = 256
"""Utterances of several recordings that are drawn together."""


class Shape(NamedTuple):
    """The shape of a batch: B, T and U - 1."""

    utterances: int
    frames: int
    tokens: int


@dataclass(frozen=True)
class Material:
    """All recordings, frames one behind the other."""

    frames_NM: npt.NDArray[np.float16]
    places_R2: Array
    """First frame and frames of each recording."""
    rows: Sequence[Recording]
    kinds_R: Array
    grains_R: Array
    """`packing.Pack.grain` of each."""

    def of(self, *kinds: str) -> Array:
        """The numbers of the recordings of some kinds."""
        return np.flatnonzero(np.isin(self.kinds_R, kinds))

    @property
    def speech(self) -> tuple[Array, Array]:
        """The numbers of the real and of the synthetic recordings that train."""
        return self.of(REAL), np.flatnonzero(~np.isin(self.kinds_R, [DEV, NOISE, REAL]))


class Loading:
    """Packs that processes of their own unpack, while the caller does something else."""

    def __init__(self, paths: Sequence[Path], *, processes: int):
        packs = [Pack.read(path) for path in paths]
        if not packs:
            raise TrainingError("no packs; make them with scripts/pack_features.py")
        rows = [row for pack in packs for row in pack.recordings]
        lengths = np.array([row.frames for row in rows], np.int64)
        mels = packs[0].mels
        memory = mmap.mmap(-1, max(1, int(lengths.sum()) * mels * 2))  # anonymous, so the processes share it
        frames_NM = np.frombuffer(memory, np.float16).reshape(-1, mels)
        counts = [len(pack.recordings) for pack in packs]
        kinds = [path.stem.partition("-")[0] for path in paths]
        self.material = Material(
            frames_NM=frames_NM,
            places_R2=np.stack([np.cumsum(lengths) - lengths, lengths], axis=1),
            rows=rows,
            kinds_R=np.repeat(kinds, counts),
            grains_R=np.repeat([pack.grain for pack in packs], counts),
        )
        firsts = self.material.places_R2[np.cumsum([0, *counts[:-1]]), 0]
        _shared[id(self)] = frames_NM
        self._pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork"))
        largest_first = sorted(zip(paths, firsts, strict=True), key=lambda pair: -pair[0].stat().st_size)
        self._made = [self._pool.submit(_unpack, path, int(first), id(self)) for path, first in largest_first]

    def wait(self) -> Material:
        """The material, when all of it is there."""
        for made in self._made:
            made.result()
        self._pool.shutdown()
        del _shared[id(self)]
        return self.material


_shared: dict[int, npt.NDArray[np.float16]] = {}
"""Memory that the processes of a `Loading` inherit."""


def _unpack(path: Path, first: int, memory: int) -> None:
    features_TM = Pack.read(path).features()
    _shared[memory][first : first + len(features_TM)] = features_TM


class Drawn(NamedTuple):
    """A batch as a worker draws it; NumPy arrays."""

    places_BT: Array
    parts_BT: Array
    frames_B: Array
    tokens_BU: Array
    lengths_B: Array
    effects: device_effects.Effects | None


def shapes_of(batch_s: float) -> tuple[Shape, ...]:
    """The shapes of batches of about so many seconds, padding included, the shortest first."""
    budget = round(batch_s * HOPS_PER_S)
    rooms = [-(-round(frames * TOKENS_A_FRAME) // TOKEN_STEP) * TOKEN_STEP for frames in FRAMES]
    return tuple(Shape(max(1, budget // frames), frames, room) for frames, room in zip(FRAMES, rooms, strict=True))


class Utterance(NamedTuple):
    """Where each frame is read and how far towards the frame behind, what is said, and the first recording's number."""

    places_T: Array
    parts_T: Array
    tokens: Sequence[int]
    number: int


class Draws:
    """Batches of the material for ever; those of a stream are a function of (seed, stream)."""

    def __init__(
        self,
        material: Material,
        tokens: Sequence[Sequence[int]],
        config: TrainSection,
        *,
        snr_db: tuple[float, float],
        seed: int,
    ):
        if config.rerecorded:
            raise TrainingError("packed features have no sound to augment anew; set train.rerecorded=0")
        self._material = material
        self._tokens = tokens
        self._config = config
        self._snr_db = snr_db
        self._seed = seed
        self._shapes = shapes_of(config.batch_s)
        frames_R = material.places_R2[:, 1]
        real, synthetic = material.speech
        noises = material.of(NOISE)
        self._sources = device_effects.Sources(
            noises=material.places_R2[noises if len(noises) else real if len(real) else synthetic],
            others=material.places_R2[real if len(real) else synthetic],
        )
        self._max_frames = round(config.max_utterance_s * HOPS_PER_S)
        shares = (config.rehearsal, 1 - config.rehearsal)
        usable = [numbers[frames_R[numbers] <= self._max_frames] for numbers in material.speech]
        self._pools = [
            (numbers, share) for numbers, share in zip(usable, shares, strict=True) if len(numbers) and share
        ]

    def batches(self, stream: int) -> Iterator[Drawn]:
        """Full batches without end: an utterance waits until others of its shape fill a batch."""
        rng = np.random.default_rng([self._seed, stream])
        pools = [self._members(numbers, rng) for numbers, _ in self._pools]
        shares = np.array([share for _, share in self._pools])
        frames_read = np.zeros(len(pools))
        waiting: dict[Shape, list[Utterance]] = {shape: [] for shape in self._shapes}
        while True:
            pool = int(np.argmin(frames_read / shares))
            members, pauses = next(pools[pool])
            places_T, parts_T = self._read(members, pauses, rng)
            frames_read[pool] += len(places_T)
            tokens = [token for member in members for token in self._tokens[member]]
            shape = self._holding(len(places_T), len(tokens))
            if shape is None:
                continue
            waiting[shape].append(Utterance(places_T, parts_T, tokens, members[0]))
            if len(waiting[shape]) == shape.utterances:
                yield self._batch(shape, waiting[shape], rng)
                waiting[shape] = []

    def _holding(self, frames: int, tokens: int) -> Shape | None:
        """The shortest shape that has room; none for what is too long."""
        for shape in self._shapes:
            if frames <= shape.frames and tokens <= shape.tokens:
                return shape
        return None

    def _members(self, numbers: Array, rng: np.random.Generator) -> Iterator[tuple[list[int], tuple[int, ...]]]:
        """Recordings of an utterance and the frames between them, all in a new order again and again."""
        lengths = self._material.places_R2[numbers, 1:]
        rows = self._rows(lengths, rng)
        while True:
            for number in rng.permutation(numbers):
                while rng.uniform() < self._config.joined and (row := next(rows, None)):
                    yield [int(numbers[entry]) for entry in row.entries], row.pauses
                yield [int(number)], ()

    def _rows(self, lengths: Array, rng: np.random.Generator) -> Iterator[Row]:
        while drawn := draw_rows(lengths, ROWS, max_frames=self._max_frames, pauses=variety.PAUSE_FRAMES, rng=rng):
            yield from drawn

    def _batch(self, shape: Shape, utterances: Sequence[Utterance], rng: np.random.Generator) -> Drawn:
        frames_B = np.array([len(utterance.places_T) for utterance in utterances])
        size = (len(utterances), shape.frames)
        places_BT, parts_BT = np.zeros(size, np.int32), np.zeros(size, np.float16)
        for row, utterance in enumerate(utterances):
            places_BT[row, : frames_B[row]] = utterance.places_T
            parts_BT[row, : frames_B[row]] = utterance.parts_T
        material = self._material
        firsts_B = np.array([utterance.number for utterance in utterances])
        effects = device_effects.draw(
            frames_B,
            is_spoken_B=material.grains_R[firsts_B] == "spoken",
            is_lossy_B=material.grains_R[firsts_B] == "lost",
            sources=self._sources,
            mels=material.frames_NM.shape[1],
            config=self._config,
            snr_db=self._snr_db,
            rng=rng,
        )
        said = [
            [] if silent else utterance.tokens for utterance, silent in zip(utterances, effects.wordless_B, strict=True)
        ]
        return Drawn(places_BT, parts_BT, frames_B, *padded_tokens(said, shape.tokens), effects)

    def _read(self, members: Sequence[int], pauses: Sequence[int], rng: np.random.Generator) -> tuple[Array, Array]:
        """Where each frame of an utterance is read, and how far towards the frame behind."""
        config = self._config
        tempo = rng.uniform(*config.feature_tempo)
        pieces: list[tuple[Array, Array]] = []
        for index, member in enumerate(members):
            first, frames = self._material.places_R2[member]
            at = np.arange(0, frames - 1 + 1e-6, tempo)
            pieces.append((first + at.astype(np.int64), at % 1.0))
            if index < len(pauses):
                pieces.append(self._quiet(member, pauses[index], rng))
        if variety.happens(config.feature_ends, rng):
            for end, member in ((0, members[0]), (-1, members[-1])):
                if rng.uniform() < 0.5:
                    places, parts = pieces[end]
                    cut = int(rng.integers(0, min(variety.CUT_FRAMES, len(places) // 8) + 1))
                    kept = slice(cut, None) if end == 0 else slice(0, len(places) - cut)
                    pieces[end] = (places[kept], parts[kept])
                else:
                    added = self._quiet(member, int(rng.integers(0, variety.ADDED_FRAMES + 1)), rng)
                    pieces.insert(0 if end == 0 else len(pieces), added)
        return np.concatenate([places for places, _ in pieces]), np.concatenate([parts for _, parts in pieces])

    def _quiet(self, member: int, frames: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Places of frames without speech: of the quietest tenth of a recording."""
        first, length = self._material.places_R2[member]
        loudness_T = self._material.frames_NM[first : first + length].max(axis=1)
        quiet = np.flatnonzero(loudness_T <= np.quantile(loudness_T.astype(np.float32), QUIET_PART))
        quiet = quiet if len(quiet) else np.arange(1)
        return first + quiet[rng.integers(len(quiet), size=frames)], np.zeros(frames)


def padded_tokens(said: Sequence[Sequence[int]], room: int) -> tuple[Array, Array]:
    """Tokens (B, room) and their numbers (B,)."""
    lengths_B = np.array([len(tokens) for tokens in said])
    tokens_BU = np.zeros((len(said), room), np.int64)
    for row, tokens in enumerate(said):
        tokens_BU[row, : len(tokens)] = tokens
    return tokens_BU, lengths_B


class Workers:
    """Processes that draw batches ahead; they end with `close`, or with this process."""

    def __init__(self, draws: Draws, *, processes: int, ahead: int = 6):
        context = multiprocessing.get_context("fork")
        self._queues = [context.Queue(ahead) for _ in range(processes)]
        self._processes = [
            context.Process(target=_draw_for_ever, args=(draws, number, queue), daemon=True)
            for number, queue in enumerate(self._queues)
        ]
        for process in self._processes:
            process.start()

    def __iter__(self) -> Iterator[Drawn]:
        while True:
            for queue in self._queues:
                yield queue.get()

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()


def _draw_for_ever(draws: Draws, stream: int, queue: Any) -> None:
    for drawn in draws.batches(stream):
        queue.put(drawn)


def dev_sets(material: Material) -> dict[str, Array]:
    """The numbers of the dev recordings of each source."""
    sources: dict[str, list[int]] = {}
    for number in material.of(DEV):
        sources.setdefault(material.rows[number].source, []).append(int(number))
    return {source: np.array(numbers) for source, numbers in sources.items()}
