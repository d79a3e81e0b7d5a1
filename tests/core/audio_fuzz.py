"""Damaged recordings of many containers: the reader gives a finite signal or a named error, in bounded time and memory.

    python tests/core/audio_fuzz.py [10000]

runs so many by hand and counts what came of them; `test_audio.py` runs a few.
"""

import collections
import random
import sys
import time
from collections.abc import Sequence

import numpy as np

from shoptalk.core import audio
from shoptalk.core.errors import AudioError

MOST_S = 60.0
"""Of signal that may come of a recording of two seconds, silence in gaps included; longer is a named error."""


def damaged(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A recording with a few faults of the kinds that disks, networks and programs make."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if content:
            content = _once_damaged(content, others, rng)
    return content


def _once_damaged(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    if rng.random() < 0.5:  # near the start, where the headers are
        place = rng.randrange(place + 1)
    part = content[place : place + int(10 ** rng.uniform(0, 3.5))]
    before = content[:place]
    behind = content[place + len(part) :]
    other = rng.choice(others)
    start = rng.randrange(len(other))
    bounds = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4))
    faults = {
        "cut off": before,
        "a part is missing": before + behind,
        "bits are flipped": _with_flipped_bits(content, rng),
        "garbage": before + rng.randbytes(len(part)) + behind,
        "spliced": before + other[start : start + len(part)] + behind,
        "zeros, as of a sparse file": before + bytes(len(part)) + behind,
        "a part twice": before + part + part + behind,
        "a number at its bounds": before + rng.choice(bounds) + content[place + 4 :],
    }
    return faults[rng.choice(list(faults))]


def _with_flipped_bits(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 3, 30))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def outcome(content: bytes) -> str:
    """What the reader makes of it; an `AssertionError` or any error but `AudioError` is a fault of the reader."""
    try:
        decoded = audio.read(content, max_s=MOST_S)
    except AudioError as error:
        return type(error).__name__
    assert decoded.samples_T.dtype == np.float32 and decoded.samples_T.ndim == 1
    assert decoded.samples_T.size and np.isfinite(decoded.samples_T).all()
    assert 0 <= decoded.lost_s < float("inf") and 0 <= decoded.silent_s <= MOST_S
    return "decoded with warnings" if decoded.warnings else "decoded"


def main() -> None:
    import resource

    from tests.core.test_audio import originals

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    slowest_s = 0.0
    recordings = originals()
    for seed in range(count):
        rng = random.Random(seed)
        name = rng.choice(sorted(recordings))
        content = damaged(recordings[name], list(recordings.values()), rng)
        begun = time.thread_time()
        try:
            counts[name][outcome(content)] += 1
        except Exception as error:
            error.add_note(f"seed {seed}, {name}")
            raise
        slowest_s = max(slowest_s, time.thread_time() - begun)
    for name, outcomes in sorted(counts.items()):
        print(name, dict(outcomes))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{count} inputs; the slowest took {slowest_s:.2f} s of CPU; the process {megabytes} MiB at most")


if __name__ == "__main__":
    main()
