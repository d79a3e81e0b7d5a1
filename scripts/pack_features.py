"""Pack the base's training material as log-mel features, to train on a machine that is lent for minutes (docs/gpu.md).

    python scripts/pack_features.py .local/packed

Packs `.local/base/{dev-more,real-more,synthetic,noise}.jsonl` and all parts that are spoken; what is packed already is
left. Real speech is packed finest. It tells the sizes: which packs travel is for whoever carries them to choose.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from speak_features import BASE, SEED

from shoptalk.core import recordings
from shoptalk.core.examples import read_manifest
from shoptalk.core.files import read_lines
from shoptalk.core.progress import progress
from shoptalk.core.records import Example
from shoptalk.integrations import nemo
from shoptalk.tuning import mel_decoder, packing

FOLDER = Path(".local/base")
CHUNK = 500
"""Recordings of a pack: some half an hour."""
LONGEST_S = 20.0


class Kind(NamedTuple):
    """Lists that are packed alike."""

    name: str
    lists: str
    step: float
    grain: str


KINDS = (
    Kind("dev", "dev-more.jsonl", 0.7, ""),
    Kind("noise", "noise.jsonl", 1.5, "lost"),
    Kind("real", "real-more.jsonl", 1.5, "lost"),
    Kind("vocoded", "synthetic.jsonl", 2.5, "lost"),
    Kind("spoken", "parts/???-features.jsonl", 3.0, "spoken"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=[kind.name for kind in KINDS], default=[k.name for k in KINDS])
    arguments = parser.parse_args()
    featurize = nemo.featurizer(nemo.restore(BASE))

    def features(row: Example, grain: str) -> packing.Features:
        if row.audio.suffix != recordings.FEATURES:
            return featurize(recordings.load(row))
        ready_TM = np.asarray(recordings.features(row.audio), np.float32)
        if grain != "spoken":
            return ready_TM
        return mel_decoder.without_grain(ready_TM, np.random.default_rng([SEED, *row.id.encode()]))

    for kind in KINDS:
        for path in sorted(FOLDER.glob(kind.lists)) if kind.name in arguments.kinds else ():
            for target, rows in _chunks(path, kind, arguments.folder):
                if not target.is_file():
                    made = [features(row, kind.grain) for row in progress(rows, target.stem, total=len(rows))]
                    texts = [(row.text, row.source) for row in rows]
                    packing.pack(made, texts, step=kind.step, grain=kind.grain).write(target)
        packs = list(arguments.folder.glob(f"{kind.name}-*.pack"))
        print(f"{kind.name}: {len(packs)} packs, {sum(pack.stat().st_size for pack in packs) / 2**20:.1f} MiB")


def _chunks(path: Path, kind: Kind, folder: Path) -> Iterator[tuple[Path, list[Example]]]:
    rows = _noises(path) if kind.name == "noise" else [row for row in read_manifest(path) if row.duration_s < LONGEST_S]
    for first in range(0, len(rows), CHUNK):
        yield folder / f"{kind.name}-{path.stem}-{first // CHUNK:02}.pack", rows[first : first + CHUNK]


def _noises(path: Path) -> list[Example]:
    """The recordings of a noise manifest, whose lines have no text."""
    files = [path.parent / row["audio"] for row in read_lines(path)]
    return [Example(id=file.name, audio=file, duration_s=recordings.recording_s(file), text="") for file in files]


if __name__ == "__main__":
    main()
