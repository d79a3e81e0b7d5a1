"""Word errors of a base on the way: checkpoints that were copied while it trained, on speech that none of them heard.

    python benchmarks/learning_curve.py runs/base-tiny/60-train/tuned.nemo CHECKPOINT...

CHECKPOINT is a copy of a run's `last.ckpt` (its mean weights are scored) or a `.nemo`. Clean test sentences in unheard
voices and every third of the real test recordings: how far training came, not what to choose. Writes
results/learning_curve.json, or what --to names.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

TEST = Path("assets/general/test.jsonl")
REAL_EVERY = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="a .nemo of the same shape")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--to", type=Path, default=Path("results/learning_curve.json"))
    arguments = parser.parse_args()
    from shoptalk.core import device, files
    from shoptalk.core.examples import read_manifest
    from shoptalk.core.recordings import load

    rows = read_manifest(TEST)
    sets = {
        "unheard_voices": [row for row in rows if row.source == "synthetic"],
        "real": [row for row in rows if row.source != "synthetic"][::REAL_EVERY],
    }
    heard = {name: [load(row) for row in part] for name, part in sets.items()}
    curve = []
    for path in arguments.checkpoints:
        point = {"checkpoint": _name(path), **_errors(arguments.model, path, sets, heard)}
        print(json.dumps(point), flush=True)
        curve.append(point)
    shown = " ".join(str(path) if path.suffix == ".nemo" else path.name for path in arguments.checkpoints)
    result = {
        "command": f"python benchmarks/learning_curve.py {arguments.model} {shown}",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "words": {name: sum(len(row.text.split()) for row in part) for name, part in sets.items()},
        "curve": curve,
    }
    files.write_text(arguments.to, json.dumps(result, indent=1) + "\n")


def _name(path: Path) -> str:
    """The file of a checkpoint, the run of a `.nemo` (runs/NAME/60-train/tuned.nemo)."""
    return path.parents[1].name if path.suffix == ".nemo" else path.name


def _errors(model_path: Path, path: Path, sets: dict[str, Sequence[Any]], heard: dict[str, Any]) -> dict[str, float]:
    """Step of a checkpoint and its word error rates."""
    import torch

    from shoptalk.integrations import nemo
    from shoptalk.scoring.wer import count_words, total

    found: dict[str, float] = {}
    if path.suffix == ".nemo":
        model = nemo.restore(path)
    else:
        kept = torch.load(path, weights_only=True)
        model = nemo.restore(model_path)
        model.load_state_dict(kept["mean"])
        found["step"] = kept["global_step"]
    recognizer = nemo.NemoRecognizer(model, batch=16)
    for name, part in sets.items():
        texts = recognizer.recognize(heard[name])
        counts = [count_words(row.text, one.text) for row, one in zip(part, texts, strict=True)]
        found[f"wer_{name}"] = round(total(counts).rate, 4)
    return found


if __name__ == "__main__":
    main()
