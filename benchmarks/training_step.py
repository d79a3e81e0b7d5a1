"""How many seconds of audio a training step of the base takes in a second on one CPU thread; writes JSON.

Run: python benchmarks/training_step.py [results/training_step.json] [--rounds 8]. Each variant adds one thing to the
one before it: NeMo's modules as they are in float32; quick dropout and convolutions in the layout that oneDNN is fast
in; kept memory; bfloat16 matrix products, where the CPU has them. Each lives in a
process of its own, since kept memory cannot be taken back, and they take turns step by step, so that a busy machine
slows all alike. The loss is our TDT loss throughout: NeMo has none for a CPU.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

VARIANTS = ("plain_float32", "quickened", "kept_memory", "bfloat16_products")
BATCH, SECONDS, TOKENS = 16, 4.0, 24
RECIPE = Path("recipes/base-tiny-start.yaml")


def work(number: int, pipe: Connection) -> None:
    """Take a training step whenever asked; answer with wall and CPU seconds and page faults."""
    import torch

    from shoptalk.core.runtime import keep_memory
    from shoptalk.tuning.cpu_speed import quicken

    torch.set_num_threads(1)
    torch.manual_seed(1)
    if number >= 2 and not keep_memory():
        raise SystemExit("kept memory needs glibc")
    module = base()
    if number >= 1:
        quicken(module)
    module.train()
    module.config = module.config.model_copy(update={"aligned_rounds": 0})
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5)
    batch = random_batch(module.blank)
    while pipe.recv():
        wall, cpu, faults = time.perf_counter(), time.process_time(), minor_faults()
        half = torch.autocast("cpu", dtype=torch.bfloat16) if number >= 3 else contextlib.nullcontext()
        with half:
            loss = module.training_step(batch, 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        pipe.send((time.perf_counter() - wall, time.process_time() - cpu, minor_faults() - faults))


def base() -> Any:
    """The module of the base's recipe, with random weights."""
    from shoptalk.core import config
    from shoptalk.core.recipe import ModelSection
    from shoptalk.integrations import nemo
    from shoptalk.tuning.module import TuningModule
    from shoptalk.tuning.tokenizer import train_tokenizer

    train = config.load(RECIPE).train
    shape = train.model or ModelSection()
    lines = Path("assets/general/rehearsal.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = train_tokenizer(texts, Path(folder) / "tokenizer", vocabulary=shape.vocabulary)
        model = nemo.build(shape, tokenizer, sigma=train.sigma, omega=train.omega)
    return TuningModule(model, train, durations=shape.durations, blank=model.tokenizer.vocab_size, seed=1)


def random_batch(vocabulary: int) -> Any:
    import torch

    from shoptalk.tuning.module import Batch

    frames = round(SECONDS * 100)
    tokens = torch.randint(vocabulary, (BATCH, TOKENS))
    said = torch.randint(vocabulary, (BATCH, frames // 8))
    lengths = torch.full((BATCH,), frames), tokens, torch.full((BATCH,), TOKENS)
    return Batch(torch.randn(BATCH, 80, frames), *lengths, said)


def minor_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measure(rounds: int) -> dict[str, list[tuple[float, float, int]]]:
    """Steps of all variants in turn; the first two of each warm it up."""
    context = multiprocessing.get_context("spawn")
    pipes, taken = {}, defaultdict(list)
    from shoptalk.core import device

    has_bfloat16 = device.multiplies_bfloat16(device.processor())
    variants = VARIANTS if has_bfloat16 else VARIANTS[:-1]
    for number, name in enumerate(variants):
        pipes[name], other = context.Pipe()
        context.Process(target=work, args=(number, other), daemon=True).start()
        other.close()  # so that a worker that dies is an EOFError here instead of an endless wait
    for _ in range(rounds + 2):
        for name, pipe in pipes.items():
            pipe.send(True)
            taken[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return {name: steps[2:] for name, steps in taken.items()}


def figures(steps: list[tuple[float, float, int]], plain_s: float) -> dict[str, float]:
    wall, cpu, faults = (statistics.median(column) for column in zip(*steps, strict=True))
    return {
        "audio_s_per_s": round(BATCH * SECONDS / wall, 1),
        "audio_s_per_cpu_s": round(BATCH * SECONDS / cpu, 1),
        "step_s": round(wall, 3),
        "times_plain": round(plain_s / cpu, 2),
        "minor_faults": round(faults),
    }


def about() -> dict[str, Any]:
    """Where and of what the figures are."""
    import torch

    from shoptalk.core import device

    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "command": "python benchmarks/training_step.py",
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip() or "uncommitted",
        **device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "torch": torch.__version__,
        "threads": 1,
        "batch": {"utterances": BATCH, "seconds": SECONDS, "tokens": TOKENS, "recipe": str(RECIPE)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/training_step.json"))
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, here and in the workers
    taken = measure(arguments.rounds)
    plain_s = statistics.median(cpu for _, cpu, _ in taken[VARIANTS[0]])
    result = {**about(), "rounds": arguments.rounds, "variants": {n: figures(s, plain_s) for n, s in taken.items()}}
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    arguments.target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
