"""Batches of like length under a budget of audio seconds, drawn from (seed, round) alone so that training resumes.

A round is the stretch of training between two dev scorings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Item = tuple[int, int, int]
"""(pool, entry, speed): which recording of which pool, at which of the cached speeds."""


FRAME_STEP = 64
"""Mel frames that batches are padded to multiples of: oneDNN makes and caches a kernel for each new shape, and with a
new shape in every step training took 1.7 times as long."""


def padded_frames(frames: int) -> int:
    """The next multiple of `FRAME_STEP`."""
    return -(-frames // FRAME_STEP) * FRAME_STEP


@dataclass(frozen=True)
class Pool:
    """Recordings that are drawn together, with the part of the seconds they get."""

    frames: npt.NDArray[np.int64]
    """Mel frames, shape (entries, speeds)."""
    share: float


def plan_round(
    pools: Sequence[Pool],
    *,
    steps: int,
    budget_frames: int,
    max_frames: int,
    seed: int,
    round_: int,
    processes: int = 1,
) -> list[list[Item]]:
    """`steps` batches for each process, their padded size at most `budget_frames` mel frames (or one long recording).

    Batch `step * processes + rank` is what process `rank` takes at that step; those of one step are of like length, so
    that no process waits long for another.
    """
    rng = np.random.default_rng([seed, round_])
    items: list[Item] = []
    wanted = steps * budget_frames * processes
    for number, pool in enumerate(pools):
        items += _draw(number, pool, round(wanted * pool.share), max_frames, rng)
    lengths = np.array([pools[pool].frames[entry, speed] for pool, entry, speed in items])
    order = np.argsort(lengths * rng.uniform(0.95, 1.05, lengths.size), kind="stable")
    batches = list(_cut([items[i] for i in order], lengths[order], budget_frames))
    chosen = rng.permutation(-(-len(batches) // processes))
    firsts = (chosen[step % len(chosen)] * processes for step in range(steps))
    return [batches[(first + rank) % len(batches)] for first in firsts for rank in range(processes)]


def _draw(number: int, pool: Pool, wanted: int, max_frames: int, rng: np.random.Generator) -> Iterator[Item]:
    """Go through the pool in a new order again and again, each time at a drawn speed, until it is enough."""
    usable = np.flatnonzero(pool.frames.max(axis=1) <= max_frames)
    total = 0
    while total < wanted and usable.size:
        for entry in rng.permutation(usable):
            speed = int(rng.integers(pool.frames.shape[1]))
            total += int(pool.frames[entry, speed])
            yield number, int(entry), speed
            if total >= wanted:
                return


def _cut(items: Sequence[Item], lengths: npt.NDArray[np.int64], budget: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    longest = 0
    for item, length in zip(items, lengths, strict=True):
        padded = padded_frames(int(length))
        if batch and max(longest, padded) * (len(batch) + 1) > budget:
            yield batch
            batch, longest = [], 0
        batch.append(item)
        longest = max(longest, padded)
    if batch:
        yield batch


@dataclass(frozen=True)
class Row:
    """Recordings of one pool in a row, drawn to be one utterance."""

    entries: tuple[int, ...]
    pauses: tuple[int, ...]
    """Frames of quiet behind each but the last."""


def draw_rows(
    frames: npt.NDArray[np.int64], count: int, *, max_frames: int, pauses: tuple[int, int], rng: np.random.Generator
) -> list[Row]:
    """`count` rows of two to four recordings, none longer than `max_frames` at any speed; none where two are too long.

    `frames` has the mel frames of each recording at each speed.
    """
    longest = frames.max(axis=1)
    usable = np.flatnonzero(longest <= (max_frames - pauses[1]) // 2)
    rows = []
    for _ in range(count if usable.size else 0):
        entries = rng.choice(usable, size=int(rng.integers(2, 5)))
        quiet = rng.integers(pauses[0], pauses[1] + 1, size=len(entries) - 1)
        ends = np.cumsum(longest[entries]) + np.cumsum([0, *quiet])
        kept = int((ends <= max_frames).sum())
        rows.append(Row(tuple(map(int, entries[:kept])), tuple(map(int, quiet[: kept - 1]))))
    return rows


def with_rows(pool: Pool, rows: Sequence[Row]) -> Pool:
    """The pool with each row as one more recording, behind all others."""
    if not rows:
        return pool
    lengths = [pool.frames[list(row.entries)].sum(axis=0) + sum(row.pauses) for row in rows]
    return Pool(np.concatenate([pool.frames, lengths]), pool.share)
