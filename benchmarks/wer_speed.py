"""How long 100,000 pairs of sentences take to count: ours, jiwer, and rapidfuzz, jiwer's core; writes JSON.

    python benchmarks/wer_speed.py [results/wer_speed.json] [--pairs 100000] [--repeats 7]

All start from the same lists of 10 to 20 normalised words of the general test set, a tenth of which were misheard, and
jiwer is told to take them as they are. `strings_` start from text, with jiwer's plain split, and ours without keeping
the lists, which would set off the garbage collector. Variants take turns in one process and thread. Counts must be
equal, pair by pair.
"""

import argparse
import gc
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import rapidfuzz

from shoptalk.core import device, files
from shoptalk.core.examples import read_manifest
from shoptalk.core.text import words
from shoptalk.scoring import wer

TEST = Path(__file__).parents[1] / "assets/general/test.jsonl"
RATES = {"substituted": 0.06, "deleted": 0.02, "inserted": 0.02}
SEED = 7

Pair = tuple[list[str], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/wer_speed.json"))
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    pairs = make_pairs(arguments.pairs)
    result = {
        "command": f"python benchmarks/wer_speed.py --pairs {arguments.pairs} --repeats {arguments.repeats}",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "jiwer": version("jiwer"),
        "rapidfuzz": version("rapidfuzz"),
        "pairs": len(pairs),
        "words": sum(len(reference) for reference, _ in pairs),
        "errors_made": RATES,
        "equal_counts": equal(pairs),
        **measure(variants(pairs), arguments.repeats),
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def make_pairs(count: int) -> list[Pair]:
    """The running words of the test set, cut into pieces, and each piece as a recogniser might have heard it.

    Each word is a string of its own in memory, as after normalising.
    """
    rows = [words(row.text) for row in read_manifest(TEST)]
    vocabulary = sorted({word for row in rows for word in row})
    rng = np.random.default_rng(SEED)
    running = itertools.cycle(itertools.chain.from_iterable(rows))
    bounds = np.cumsum(list(RATES.values()))

    def misheard(reference: Sequence[str]) -> list[str]:
        fates = np.searchsorted(bounds, rng.random(len(reference))).tolist()
        others = rng.integers(len(vocabulary), size=len(reference)).tolist()
        heard = []
        for word, fate, other in zip(reference, fates, others, strict=True):
            heard += [[vocabulary[other]], [], [word, vocabulary[other]], [word]][fate]
        return heard

    references = [list(itertools.islice(running, length)) for length in rng.integers(10, 21, count).tolist()]
    return [(" ".join(one).split(), " ".join(misheard(one)).split()) for one in references]


def variants(pairs: Sequence[Pair]) -> dict[str, Callable[[], object]]:
    editops, opcodes = rapidfuzz.distance.Levenshtein.editops, rapidfuzz.distance.Levenshtein.opcodes
    references, heard = [one for one, _ in pairs], [one for _, one in pairs]
    said, got = [" ".join(one) for one in references], [" ".join(one) for one in heard]
    split = jiwer.Compose([jiwer.ReduceToListOfListOfWords()])
    return {
        "jiwer": lambda: jiwer.process_words(references, heard, list, list),
        "ours": lambda: wer.count_all(pairs),
        "rapidfuzz_editops": lambda: [editops(one, two) for one, two in pairs],
        "rapidfuzz_opcodes": lambda: [opcodes(one, two) for one, two in pairs],
        "strings_jiwer": lambda: jiwer.process_words(said, got, split, split),
        "strings_ours": lambda: wer.count_all((one.split(), two.split()) for one, two in zip(said, got, strict=True)),
    }


def equal(pairs: Sequence[Pair]) -> bool:
    """Whether ours are jiwer's substitutions, deletions and insertions, in each pair and in all."""
    ours = wer.count_all(pairs)
    output = jiwer.process_words([one for one, _ in pairs], [one for _, one in pairs], list, list)
    column = {"substitute": 0, "delete": 1, "insert": 2}
    theirs = np.zeros((len(pairs), 3), dtype=int)
    for place, chunks in enumerate(output.alignments):
        for chunk in chunks:
            if chunk.type != "equal":
                length = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
                theirs[place, column[chunk.type]] += length
    sums = [output.substitutions, output.deletions, output.insertions]
    return bool((ours[:, :3] == theirs).all()) and ours[:, :3].sum(axis=0).tolist() == sums


def measure(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, Any]:
    """Processor seconds of each way, and how many times as long as ours jiwer takes, repeat by repeat."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            gc.collect()
            begin = time.process_time()  # of the one thread: other work on the machine counts less
            way()
            seconds[name].append(time.process_time() - begin)

    def times(slow: str, fast: str) -> dict[str, float]:
        each = [one / two for one, two in zip(seconds[slow], seconds[fast], strict=True)]
        of_minima = min(seconds[slow]) / min(seconds[fast])
        return {"of_minima": round(of_minima, 1), "median": round(statistics.median(each), 1)}

    return {
        "cpu_seconds": {
            name: {"minimum": round(min(values), 4), "median": round(statistics.median(values), 4)}
            for name, values in seconds.items()
        },
        "jiwer_times_ours": times("jiwer", "ours"),
        "strings_jiwer_times_ours": times("strings_jiwer", "strings_ours"),
        "ours_times_rapidfuzz_editops": times("ours", "rapidfuzz_editops"),
    }


if __name__ == "__main__":
    main()
