"""Write the running mean of the weights of a training that goes on as a `.nemo`, to score it or to train on from it.

    python scripts/export_base.py runs/base-tiny-more --to .local/base/plateau.nemo [--half]

It reads the training's last checkpoint, which is whole at any time; nothing that runs is disturbed.
"""

import argparse
import json
from pathlib import Path

import torch

from shoptalk.core import config
from shoptalk.integrations import nemo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of `shoptalk train`")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--half", action="store_true", help="in half precision, as models ship")
    arguments = parser.parse_args()
    made_by = json.loads((arguments.run / "recipe.json").read_text())
    train = config.load(Path(made_by["recipe"]), tuple(made_by["set"])).train
    if train.model:
        parser.error(f"{made_by['recipe']} trains from scratch; its tokenizer comes with the finished model only")
    checkpoint = torch.load(arguments.run / "60-train" / "last.ckpt", map_location="cpu", weights_only=True)
    model = nemo.restore(Path(train.init))
    model.load_state_dict(checkpoint["mean"])
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    nemo.save(model, arguments.to, half=arguments.half)
    print(f"{arguments.to}: the mean weights after {checkpoint['global_step']} steps")


if __name__ == "__main__":
    main()
