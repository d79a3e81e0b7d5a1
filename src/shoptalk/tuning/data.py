"""From manifests to batches: recordings with cached features, noise in the mel domain, normalisation, tokens."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.core.errors import TrainingError
from shoptalk.core.recipe import TrainSection
from shoptalk.core.tokens import FRAME_S, SUBSAMPLING
from shoptalk.tuning import mel_effects
from shoptalk.tuning.alignment import UNKNOWN, frame_tokens
from shoptalk.tuning.batches import Item, Pool, padded_frames, plan_round
from shoptalk.tuning.features import FeatureCache
from shoptalk.tuning.module import Batch

HOPS_PER_S = 100
TOKEN_STEP = 8  # targets are padded to multiples of it, for the reason of `batches.FRAME_STEP`
FLOOR = 1e-5  # NeMo's guard against a silent mel bin when features are normalised
REVERBERATION_S = (0.2, 0.8)
DIRECT_DB = (0.0, 12.0)


@dataclass(frozen=True)
class Recordings:
    """One pool of training recordings with everything a batch needs."""

    cache: FeatureCache
    tokens: Sequence[Sequence[int]]
    said: Sequence[npt.NDArray[np.int64] | None]
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
    ):
        self.round = 0
        self.rank, self.processes = 0, 1
        self._pools = pools
        self._config = config
        self._noise = noise
        self._snr_db = snr_db
        self._seed = seed
        self._planned = [Pool(pool.cache.places[..., 1], pool.share) for pool in pools]
        self._timed = [_only_timed(pool) for pool in pools]
        if not any(pool.frames.size and pool.frames.min() <= self._max_frames for pool in self._planned):
            raise TrainingError("no recording is short enough to train on; raise train.max_utterance_s")
        if config.aligned_rounds and not any(one is not None for pool in pools for one in pool.said):
            raise TrainingError("no recording has the times of its words (`words` in its manifest line, as "
                                "scripts/align_speech.py writes them); set train.aligned_rounds=0")  # fmt: skip

    @property
    def _max_frames(self) -> int:
        return round(self._config.max_utterance_s * HOPS_PER_S)

    def __len__(self) -> int:
        return self._config.eval_every_steps

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng([self._seed, self.round, 1, self.rank])
        plan = plan_round(
            self._timed if self.round < self._config.aligned_rounds else self._planned, steps=len(self),
            budget_frames=round(self._config.batch_s * HOPS_PER_S), max_frames=self._max_frames,
            seed=self._seed, round_=self.round, processes=self.processes,
        )  # fmt: skip
        for items in plan[self.rank :: self.processes]:
            yield self._batch(items, rng)

    def _batch(self, items: Sequence[Item], rng: np.random.Generator) -> Batch:
        features = [self._features(item, rng) for item in items]
        tokens = [self._pools[pool].tokens[entry] for pool, entry, _ in items]
        said = [self._said(item, len(one_TM)) for item, one_TM in zip(items, features, strict=True)]
        return collate(features, tokens, said)

    def _said(self, item: Item, frames: int) -> npt.NDArray[np.int64]:
        """The token of each encoder frame; a recording played faster says the same in fewer frames."""
        pool, entry, _ = item
        known = self._pools[pool].said[entry]
        wanted = -(-frames // SUBSAMPLING)
        return np.full(wanted, UNKNOWN) if known is None else known[np.arange(wanted) * len(known) // wanted]

    def _features(self, item: Item, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        pool, entry, speed = item
        config = self._config
        heard_TM = self._pools[pool].cache.get(entry, speed).astype(np.float32)
        if rng.uniform() < config.feature_room:
            reverberation_s, direct_db = rng.uniform(*REVERBERATION_S), rng.uniform(*DIRECT_DB)
            heard_TM = mel_effects.room(heard_TM, reverberation_s=reverberation_s, direct_db=direct_db)
        if self._noise is not None and rng.uniform() < config.feature_noise:
            noise_TM = self._noise.get(int(rng.integers(len(self._noise.entries)))).astype(np.float32)
            heard_TM = mel_effects.add_noise(heard_TM, noise_TM, snr_db=rng.uniform(*self._snr_db), rng=rng)
        return mel_effects.telephone(heard_TM, rng) if rng.uniform() < config.feature_telephone else heard_TM


def _only_timed(pool: Recordings) -> Pool:
    """The pool as it is planned while frames lead: what has no word times is longer than any limit."""
    timed = np.array([one is not None for one in pool.said], bool)
    return Pool(np.where(timed[:, None], pool.cache.places[..., 1], np.iinfo(np.int64).max), pool.share)


def collate(
    features: Sequence[npt.NDArray[np.float32]],
    tokens: Sequence[Sequence[int]],
    said: Sequence[npt.NDArray[np.int64]],
) -> Batch:
    """Normalise each recording per mel bin as NeMo does ("per_feature"), and pad."""
    frames = torch.tensor([len(one) for one in features])
    lengths = torch.tensor([len(one) for one in tokens])
    features_BMT = torch.zeros(len(features), features[0].shape[1], padded_frames(int(frames.max())))
    tokens_BU = torch.zeros(len(tokens), -(-int(lengths.max()) // TOKEN_STEP) * TOKEN_STEP, dtype=torch.long)
    said_BS = torch.full((len(said), max(map(len, said))), UNKNOWN)
    for row, (one_TM, ids, heard) in enumerate(zip(features, tokens, said, strict=True)):
        normal_TM = (one_TM - one_TM.mean(axis=0)) / (one_TM.std(axis=0, ddof=1) + FLOOR)
        features_BMT[row, :, : len(one_TM)] = torch.from_numpy(normal_TM.T)
        tokens_BU[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        said_BS[row, : len(heard)] = torch.from_numpy(heard)
    return Batch(features_BMT, frames, tokens_BU, lengths, said_BS)


def recordings(cache: FeatureCache, *, share: float, tokenize: Callable[[str], list[int]], blank: int) -> Recordings:
    """Tokenise the texts of cached recordings, and place the tokens of those with word times."""
    said = [
        frame_tokens(entry.words, tokenize, frames=round(entry.duration_s / FRAME_S), frame_s=FRAME_S, blank=blank)
        if entry.words else None
        for entry in cache.entries
    ]  # fmt: skip
    return Recordings(cache, [tokenize(entry.text) for entry in cache.entries], said, share)
