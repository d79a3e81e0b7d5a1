"""Train the base in a given time on one device, from packed features (docs/gpu.md).

    python scripts/train_base_timed.py --packs FOLDER ... --seconds 170 --out FOLDER [--device cpu]
    python scripts/train_base_timed.py --export OUT/mean.pt --to .local/base/timed.nemo [--half]

The packs are those of scripts/pack_features.py, the recipe is recipes/base-tiny-timed.yaml. The seconds count from the
start of the program, unpacking and imports included. OUT has the mean weights and the learning curve at any time.
`--recorded` repeats recordings of the step (CUDA graphs). Where that fails, CUDA is of no more use to this process: it
ends with status 3, so that whoever started it starts it again without.
"""

import time

STARTED = time.monotonic()

import argparse  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that draw; torch is told below

import torch  # noqa: E402

from shoptalk.core import config  # noqa: E402
from shoptalk.tuning.material import Draws, Loading, Workers  # noqa: E402

RECIPE = Path("recipes/base-tiny-timed.yaml")
TORCH_THREADS = 4
NOT_RECORDED = 3
"""Status of a training whose recordings failed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packs", type=Path, nargs="+", help="folders of packs")
    parser.add_argument("--seconds", type=float, default=170.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--weights", type=Path, help="weights that a training wrote, to train on from")
    parser.add_argument("--recorded", action="store_true", help="record the step on the device and repeat that")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the recipe")
    parser.add_argument("--export", type=Path, help="weights that a training wrote, to be written as `.nemo`")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--half", action="store_true", help="in half precision, as models ship")
    arguments = parser.parse_args()
    if arguments.export:
        export(arguments.export, arguments.to, arguments.set, half=arguments.half)
    else:
        train(arguments)


def say(line: str) -> None:
    print(f"{time.monotonic() - STARTED:6.1f} s  {line}", flush=True)


def train(arguments: argparse.Namespace) -> None:
    recipe = config.load(RECIPE, tuple(arguments.set))
    # The last first: a folder of later parts need not be there.
    paths = sorted(path for folder in arguments.packs for path in folder.glob("*.pack"))
    loading = Loading(paths, processes=arguments.processes)
    say(f"unpacking {len(paths)} packs")
    from shoptalk.integrations import nemo
    from shoptalk.tuning.lines import Spelling
    from shoptalk.tuning.timed import TimedTraining

    torch.set_num_threads(min(TORCH_THREADS, arguments.processes))
    model = nemo.restore(Path(recipe.train.init))
    spelling = Spelling(model.tokenizer.text_to_ids, unknown=model.tokenizer.tokenizer.unk_id())
    say("the model is there")
    material = loading.wait()
    tokens = [spelling.tokens(row.text) for row in material.rows]
    real, synthetic = (material.places_R2[numbers, 1].sum() / 360_000 for numbers in material.speech)
    say(f"{real:.1f} hours of real and {synthetic:.1f} of synthetic speech are there")
    draws = Draws(material, tokens, recipe.train, snr_db=recipe.augment.snr_db, seed=recipe.seed)
    workers = Workers(draws, processes=max(1, arguments.processes - 2))  # before there is anything on the device
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    training = TimedTraining(
        model,
        recipe.train,
        material,
        tokens,
        device=torch.device(arguments.device),
        seed=recipe.seed,
        out=arguments.out,
        weights=arguments.weights,
        recorded=arguments.recorded,
        say=say,
    )
    say(f"training on {arguments.device}, {'recorded' if arguments.recorded else 'not recorded'}")
    gc.freeze()
    try:
        training.run(iter(workers), until=STARTED + arguments.seconds)
    except Exception:
        if not arguments.recorded:
            raise
        traceback.print_exc()
        say("THE RECORDED TRAINING FAILED: start it again without --recorded")
        workers.close()
        sys.exit(NOT_RECORDED)
    workers.close()
    say("done")


def export(weights: Path, to: Path, changes: list[str], *, half: bool) -> None:
    from shoptalk.integrations import nemo

    model = nemo.restore(Path(config.load(RECIPE, tuple(changes)).train.init))
    mean = torch.load(weights, map_location="cpu", weights_only=True)
    model.load_state_dict({name.removeprefix("model."): v for name, v in mean.items() if name.startswith("model.")})
    to.parent.mkdir(parents=True, exist_ok=True)
    nemo.save(model, to, half=half)
    print(to)


if __name__ == "__main__":
    main()
