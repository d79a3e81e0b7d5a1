"""NIST's sclite as an oracle: its alignments of any pairs, and how `sclite.jsonl` was made of them.

    python -m tests.scoring.golden.sclite     # from the repository root; needs Debian's package sctk (2.4.10)

An alignment is a string of C (correct), S (substituted), D (deleted) and I (inserted).
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_suffix(".jsonl")
COMMAND = "sctk sclite -r ref.trn trn -h hyp.trn trn -i spu_id -s -o sgml stdout"
"""-s: letter case counts."""
SENTENCES = Path(__file__).parents[3] / "assets" / "general" / "test.jsonl"

Pair = tuple[list[str], list[str]]


def installed() -> bool:
    return shutil.which("sctk") is not None


def alignments(pairs: Sequence[Pair]) -> list[str]:
    """What sclite makes of each pair (reference, heard)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, side in (("ref", 0), ("hyp", 1)):
            lines = [" ".join([*pair[side], f"(s_{number})"]) for number, pair in enumerate(pairs)]
            Path(folder, f"{name}.trn").write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = subprocess.run(COMMAND.split(), cwd=folder, capture_output=True, text=True, check=True)
    found = re.findall(r'<PATH id="\(s_(\d+)\)"[^>]*>\n(.*?)</PATH>', done.stdout, re.DOTALL)
    # C,"word","word":S,"word","other":...; no word of ours holds a colon
    paths = {int(number): "".join(step[0] for step in path.strip().split(":") if step) for number, path in found}
    return [paths[number] for number in range(len(pairs))]


def mistaken(words: Sequence[str], others: Sequence[str], rng: np.random.Generator, rate: float) -> list[str]:
    """The words as a recogniser might hear them: one in 1/rate substituted, deleted, or followed by another."""
    heard: list[str] = []
    for word, fate in zip(words, rng.random(len(words)) / rate, strict=True):
        other = str(rng.choice(others))
        heard += [other] if fate < 0.6 else [] if fate < 0.8 else [word, other] if fate < 1.0 else [word]
    return heard


def examples() -> list[Pair]:
    """Sentences that were misheard to a tenth, a third and two thirds; and short words at random, for the ties."""
    from shoptalk.core.text import words

    rng = np.random.default_rng(20)
    rows = [words(json.loads(line)["text"]) for line in SENTENCES.read_text(encoding="utf-8").splitlines()[::4]]
    vocabulary = sorted({word for row in rows for word in row})
    pairs = [(row, mistaken(row, vocabulary, rng, (0.1, 0.33, 0.67)[place % 3])) for place, row in enumerate(rows)]
    for _ in range(300):
        letters = list("abcdefghijkl")[: int(rng.choice([2, 3, 5, 12]))]
        reference, heard = (rng.choice(letters, int(rng.integers(0, 15))).tolist() for _ in range(2))
        pairs.append((reference, heard))
    return pairs


def main() -> None:
    pairs = examples()
    rows = (
        {"reference": " ".join(reference), "heard": " ".join(heard), "edits": edits}
        for (reference, heard), edits in zip(pairs, alignments(pairs), strict=True)
    )
    GOLDEN.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
