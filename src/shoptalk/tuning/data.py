"""From manifests to batches: recordings with cached features, noise in the mel domain, normalisation, tokens."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.config import TrainSection
from shoptalk.errors import TrainingError
from shoptalk.tuning.batches import Item, Pool, padded_frames, plan_round
from shoptalk.tuning.features import Entry, FeatureCache, Featurize, cached
from shoptalk.tuning.module import Batch

HOPS_PER_S = 100
TOKEN_STEP = 8  # targets are padded to multiples of it, for the reason of `batches.FRAME_STEP`
FLOOR = 1e-5  # NeMo's guard against a silent mel bin when features are normalised


@dataclass(frozen=True)
class Recordings:
    """One pool of training recordings with everything a batch needs."""

    cache: FeatureCache
    tokens: Sequence[Sequence[int]]
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
        self._pools = pools
        self._config = config
        self._noise = noise
        self._snr_db = snr_db
        self._seed = seed
        self._planned = [Pool(pool.cache.places[..., 1], pool.share) for pool in pools]
        if not any(pool.frames.size and pool.frames.min() <= self._max_frames for pool in self._planned):
            raise TrainingError("no recording is short enough to train on; raise train.max_utterance_s")

    @property
    def _max_frames(self) -> int:
        short = self.round < self._config.short_rounds
        return round((self._config.short_s if short else self._config.max_utterance_s) * HOPS_PER_S)

    def __len__(self) -> int:
        return self._config.eval_every_steps

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng([self._seed, self.round, 1])
        plan = plan_round(
            self._planned, steps=len(self), budget_frames=round(self._config.batch_s * HOPS_PER_S),
            max_frames=self._max_frames, seed=self._seed, round_=self.round,
        )  # fmt: skip
        for items in plan:
            yield self._batch(items, rng)

    def _batch(self, items: Sequence[Item], rng: np.random.Generator) -> Batch:
        features = [self._features(item, rng) for item in items]
        return collate(features, [self._pools[pool].tokens[entry] for pool, entry, _ in items])

    def _features(self, item: Item, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        pool, entry, speed = item
        clean_TM = self._pools[pool].cache.get(entry, speed).astype(np.float32)
        if self._noise is None or rng.uniform() >= self._config.feature_noise:
            return clean_TM
        noise_TM = self._noise.get(int(rng.integers(len(self._noise.entries)))).astype(np.float32)
        return add_mel_noise(clean_TM, noise_TM, snr_db=float(rng.uniform(*self._snr_db)), rng=rng)


def collate(features: Sequence[npt.NDArray[np.float32]], tokens: Sequence[Sequence[int]]) -> Batch:
    """Normalise each recording per mel bin as NeMo does ("per_feature"), and pad."""
    frames = torch.tensor([len(one) for one in features])
    lengths = torch.tensor([len(one) for one in tokens])
    features_BMT = torch.zeros(len(features), features[0].shape[1], padded_frames(int(frames.max())))
    tokens_BU = torch.zeros(len(tokens), -(-int(lengths.max()) // TOKEN_STEP) * TOKEN_STEP, dtype=torch.long)
    for row, (one_TM, ids) in enumerate(zip(features, tokens, strict=True)):
        normal_TM = (one_TM - one_TM.mean(axis=0)) / (one_TM.std(axis=0, ddof=1) + FLOOR)
        features_BMT[row, :, : len(one_TM)] = torch.from_numpy(normal_TM.T)
        tokens_BU[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
    return Batch(features_BMT, frames, tokens_BU, lengths)


def add_mel_noise(
    clean_TM: npt.NDArray[np.float32], noise_TM: npt.NDArray[np.float32], *, snr_db: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Add noise in the mel power domain at an SNR measured on the louder half of the speech frames."""
    start = int(rng.integers(len(noise_TM)))
    noise = np.exp(np.take(noise_TM, np.arange(start, start + len(clean_TM)), axis=0, mode="wrap"))
    clean = np.exp(clean_TM)
    loudness = clean.sum(axis=1)
    active = loudness[loudness >= np.median(loudness)].mean()
    gain = active / (noise.sum(axis=1).mean() + 1e-10) * 10 ** (-snr_db / 10)
    return np.log(clean + gain * noise)


def recordings(
    entries: Sequence[Entry],
    *,
    share: float,
    speeds: Sequence[float],
    folder: Path,
    mels: int,
    featurize: Featurize,
    tokenize: Callable[[str], list[int]],
    progress: Callable[[int], object],
) -> Recordings:
    """Cache the features of the entries and tokenise their texts."""
    cache = cached(folder, entries, speeds, mels=mels, featurize=featurize, progress=progress)
    return Recordings(cache, [tokenize(entry.text) for entry in entries], share)
