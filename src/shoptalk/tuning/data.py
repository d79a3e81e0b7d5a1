"""From manifests to batches: recordings with cached features, noise in the mel domain, normalisation, tokens."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, IterableDataset

from shoptalk.core.errors import TrainingError
from shoptalk.core.recipe import TrainSection
from shoptalk.core.tokens import FRAME_S, SUBSAMPLING
from shoptalk.tuning import mel_effects
from shoptalk.tuning.alignment import UNKNOWN, frame_tokens
from shoptalk.tuning.batches import Item, Pool, Row, draw_rows, padded_frames, plan_round, with_rows
from shoptalk.tuning.features import FeatureCache, FeatureCaches
from shoptalk.tuning.module import Batch
from shoptalk.tuning.rerecording import Rerecord
from shoptalk.tuning.variety import PAUSE_FRAMES, happens, varied, without_words

HOPS_PER_S = 100
TOKEN_STEP = 8  # targets are padded to multiples of it, for the reason of `batches.FRAME_STEP`
BATCHES_AHEAD = 2
FLOOR = 1e-5  # NeMo's guard against a silent mel bin when features are normalised


@dataclass(frozen=True)
class Recordings:
    """One pool of training recordings with everything a batch needs."""

    cache: FeatureCache | FeatureCaches
    tokens: Sequence[Sequence[int]]
    alignments: Sequence[npt.NDArray[np.int64] | None]
    """The token of each encoder frame at speed 1, of recordings whose word times are known."""
    share: float


class Rounds:
    """Yields the batches of one round after another; round r is a function of (seed, r)."""

    def __init__(
        self,
        pools: Sequence[Recordings],
        config: TrainSection,
        *,
        noise: FeatureCache | None,
        snr_db: tuple[float, float],
        seed: int,
        rerecord: Rerecord | None = None,
    ):
        self.round = 0
        self.rank, self.processes = 0, 1
        self.ahead = False
        """Whether a process of its own makes the batches, the same ones, while a GPU computes."""
        self._pools = pools
        self._config = config
        self._noise = noise
        self._snr_db = snr_db
        self._rerecord = rerecord
        self._seed = seed
        self._planned = [Pool(pool.cache.lengths, pool.share) for pool in pools]
        self._timed = [_only_timed(pool) for pool in pools]
        if not any(pool.frames.size and pool.frames.min() <= self._max_frames for pool in self._planned):
            raise TrainingError("no recording is short enough to train on; raise train.max_utterance_s")
        if config.aligned_rounds and not any(_is_timed(pool).any() for pool in pools):
            raise TrainingError(
                "no recording has the times of its words (`words` in its manifest line, as scripts/align_speech.py "
                "writes them); set train.aligned_rounds=0"
            )

    @property
    def _max_frames(self) -> int:
        return round(self._config.max_utterance_s * HOPS_PER_S)

    def __len__(self) -> int:
        return self._config.eval_every_steps

    def __iter__(self) -> Iterator[Batch]:
        if self.ahead:
            yield from ahead_of_time(self.made)
        else:
            yield from self.made()

    @property
    def bytes_ahead(self) -> int:
        """Memory of the batches that are made before they are asked for, the one in work and the one in use among
        them."""
        longest = max(round(self._config.batch_s * HOPS_PER_S), self._max_frames)
        mels = self._pools[0].cache.get(0, 0).shape[1]
        return 4 * (BATCHES_AHEAD + 2) * padded_frames(longest) * mels

    def made(self) -> Iterator[Batch]:
        """The batches of this round, made in this process."""
        rng = np.random.default_rng([self._seed, self.round, 1, self.rank])
        rows = [self._rows(number) for number in range(len(self._pools))]
        pools = self._timed if self._aligned else self._planned
        plan = plan_round(
            [with_rows(pool, joined) for pool, joined in zip(pools, rows, strict=True)],
            steps=len(self),
            budget_frames=round(self._config.batch_s * HOPS_PER_S),
            max_frames=self._max_frames,
            seed=self._seed,
            round_=self.round,
            processes=self.processes,
        )
        for items in plan[self.rank :: self.processes]:
            yield self._batch(items, rows, rng)

    @property
    def _aligned(self) -> bool:
        """Whether frames lead in this round; then every utterance keeps the times of its words."""
        return self.round < self._config.aligned_rounds

    def _rows(self, number: int) -> list[Row]:
        """The rows of this round, the same in every process: `joined` of all that may be drawn."""
        frames, part = self._planned[number].frames, self._config.joined
        if self._aligned or not part:
            return []
        rng = np.random.default_rng([self._seed, self.round, 2, number])
        count = round(len(frames) * part / (1 - part))
        return draw_rows(frames, count, max_frames=self._max_frames, pauses=PAUSE_FRAMES, rng=rng)

    def _batch(self, items: Sequence[Item], rows: Sequence[Sequence[Row]], rng: np.random.Generator) -> Batch:
        features, tokens, alignments = [], [], []
        for item in items:
            utterance_TM, ids, aligned_S = self._utterance(item, rows[item[0]], rng)
            features.append(utterance_TM)
            tokens.append(ids)
            alignments.append(aligned_S)
        return collate(features, tokens, alignments)

    def _utterance(
        self, item: Item, rows: Sequence[Row], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], Sequence[int], npt.NDArray[np.int64]]:
        """Features, tokens and the token of each encoder frame."""
        number, entry, speed = item
        pool, config = self._pools[number], self._config
        alone = len(pool.tokens)  # entries below are recordings, those from it on are `rows`
        row = Row((entry,), ()) if entry < alone else rows[entry - alone]
        tokens: list[int] = []
        for member in row.entries:
            tokens += pool.tokens[member]
        clean = [self._recorded(pool, member, speed, rng) for member in row.entries]
        clean_TM = mel_effects.join(clean, pauses=row.pauses, rng=rng) if row.pauses else clean[0]
        if not self._aligned and happens(config.wordless, rng):
            frames, mels = clean_TM.shape
            silent_TM = without_words(frames, mels, rng, noise=self._noise)
            return silent_TM, [], np.full(-(-len(silent_TM) // SUBSAMPLING), UNKNOWN)
        if self._aligned:
            config = config.model_copy(update={"feature_ends": 0.0})

        def another(rng: np.random.Generator) -> npt.NDArray[np.float32]:
            other = int(rng.integers(len(pool.tokens)))
            return pool.cache.get(other, speed).astype(np.float32)

        varied_TM = varied(clean_TM, config, rng, noise=self._noise, snr_db=self._snr_db, another=another)
        known_S = None if row.pauses else pool.alignments[entry]
        return varied_TM, tokens, _stretched(known_S, len(varied_TM))

    def _recorded(self, pool: Recordings, entry: int, speed: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Features as they are kept, or in a part of the draws of the sound under effects that are drawn anew."""
        if self._rerecord and happens(self._config.rerecorded, rng):
            made_TM = self._rerecord(pool.cache.entries[entry], self._config.feature_speeds[speed], rng)
            if made_TM is not None:
                return made_TM
        return pool.cache.get(entry, speed).astype(np.float32)


class _Made(IterableDataset[Batch]):
    """What a loader's process goes through."""

    def __init__(self, make: Callable[[], Iterator[Batch]]):
        self._make = make

    def __iter__(self) -> Iterator[Batch]:
        return self._make()


def ahead_of_time(make: Callable[[], Iterator[Batch]], *, pinned: bool = True) -> Iterator[Batch]:
    """What `make` gives, made by one forked process, so that chance runs on as in this one.

    Batches come through shared memory, `BATCHES_AHEAD` and one at a time, and if `pinned` into memory that a GPU
    fetches from while it computes.
    """
    yield from DataLoader(
        _Made(make),
        batch_size=None,
        num_workers=1,
        collate_fn=_itself,
        prefetch_factor=BATCHES_AHEAD,
        pin_memory=pinned,
        multiprocessing_context="fork",
    )


def _itself(batch: Any) -> Any:
    return batch


def _stretched(known_S: npt.NDArray[np.int64] | None, frames: int) -> npt.NDArray[np.int64]:
    """The token of each encoder frame at the speed played: a faster recording has the same tokens in fewer frames."""
    wanted = -(-frames // SUBSAMPLING)
    if known_S is None:
        return np.full(wanted, UNKNOWN)
    return known_S[np.arange(wanted) * len(known_S) // wanted]


def _is_timed(pool: Recordings) -> npt.NDArray[np.bool_]:
    """Whether the word times of each recording are known."""
    return np.array([alignment is not None for alignment in pool.alignments], bool)


def _only_timed(pool: Recordings) -> Pool:
    """The pool as it is planned while frames lead: what has no word times is longer than any limit."""
    timed = _is_timed(pool)
    return Pool(np.where(timed[:, None], pool.cache.lengths, np.iinfo(np.int64).max), pool.share)


def collate(
    features: Sequence[npt.NDArray[np.float32]],
    tokens: Sequence[Sequence[int]],
    alignments: Sequence[npt.NDArray[np.int64]],
) -> Batch:
    """Normalise each recording per mel bin as NeMo does ("per_feature"), and pad."""
    frames = torch.tensor([len(features_TM) for features_TM in features])
    lengths = torch.tensor([len(ids) for ids in tokens])
    features_BMT = torch.zeros(len(features), features[0].shape[1], padded_frames(int(frames.max())))
    longest = max(1, int(lengths.max()))  # a batch may be without words
    tokens_BU = torch.zeros(len(tokens), -(-longest // TOKEN_STEP) * TOKEN_STEP, dtype=torch.long)
    alignment_BS = torch.full((len(alignments), max(map(len, alignments))), UNKNOWN)
    for row, (features_TM, ids, aligned_S) in enumerate(zip(features, tokens, alignments, strict=True)):
        normal_TM = (features_TM - features_TM.mean(axis=0)) / (features_TM.std(axis=0, ddof=1) + FLOOR)
        features_BMT[row, :, : len(features_TM)] = torch.from_numpy(normal_TM.T)
        tokens_BU[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        alignment_BS[row, : len(aligned_S)] = torch.from_numpy(aligned_S)
    on_host = tuple(map(len, features)), tuple(map(len, tokens))
    return Batch(features_BMT, frames, tokens_BU, lengths, alignment_BS, *on_host)


def recordings(
    cache: FeatureCache | FeatureCaches,
    *,
    share: float,
    tokenize: Callable[[str], list[int]],
    blank: int,
    timed: bool = True,
) -> Recordings:
    """Tokenise the texts of cached recordings, and if `timed` place the tokens of those with word times."""
    tokens: list[list[int]] = []
    alignments: list[npt.NDArray[np.int64] | None] = []
    for entry in cache.entries:
        tokens.append(tokenize(entry.text))
        if not timed or not entry.words:
            alignments.append(None)
            continue
        frames = round(entry.duration_s / FRAME_S)
        alignments.append(frame_tokens(entry.words, tokenize, frames=frames, frame_s=FRAME_S, blank=blank))
    return Recordings(cache, tokens, alignments, share)
