"""Three things that decide how fast a base trains on a CPU, each beside its plain way in one run; writes JSON.

    python benchmarks/training_speed.py [results/training_speed.json] [--rounds 12]

- the TDT loss, forward and backward: ours; transformers' (anti-diagonals in PyTorch); NeMo's PyTorch reference, cell by
  cell, its `.cuda()` turned into nothing (a fifth of the frames, and the time times five: it is slow);
- batches of like length under a budget of seconds, against batches drawn as they come;
- where the time of a step goes.
One thread, the base's weights and the rehearsal recordings that ship. Variants take turns.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

BASE = "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
RECIPE = Path("recipes/base-tiny.yaml")
SPEECH = Path("assets/general/rehearsal.jsonl")
LATTICE = {"utterances": 8, "frames": 50, "tokens": 20, "vocabulary": 256}
DURATIONS = (0, 1, 2, 3, 4)
CELL_BY_CELL_FRAMES = 10


def losses(rounds: int) -> dict[str, Any]:
    """Seconds for loss and gradient of one batch, and how the values differ."""
    import torch
    from nemo.collections.asr.losses.rnnt_pytorch import TDTLossPytorch
    from transformers.loss.loss_tdt import tdt_loss

    from shoptalk.tuning.tdt_loss import tdt_losses

    B, T, U, V = LATTICE.values()
    targets = torch.randint(V, (B, U))
    counts = torch.full((B,), U)

    def ours(logits: torch.Tensor) -> torch.Tensor:
        frames = torch.full((B,), logits.shape[1])
        return tdt_losses(logits, targets, frames, counts, blank=V, durations=DURATIONS).sum()

    def transformers(logits: torch.Tensor) -> torch.Tensor:
        frames = torch.full((B,), logits.shape[1])
        tokens, spans = logits[..., : V + 1], logits[..., V + 1 :]
        return tdt_loss(tokens, spans, targets, frames, counts, V, list(DURATIONS), reduction="sum")

    def cell_by_cell(logits: torch.Tensor) -> torch.Tensor:
        frames = torch.full((B,), logits.shape[1])
        reference = TDTLossPytorch(blank=V, durations=list(DURATIONS), reduction="sum")
        with mock.patch.object(torch.Tensor, "cuda", lambda self: self):
            return reference(acts=logits, labels=targets, act_lens=frames, label_lens=counts)

    def timed(loss: Callable[[torch.Tensor], torch.Tensor], frames: int) -> tuple[float, float]:
        logits = torch.randn(B, frames, U + 1, V + 1 + len(DURATIONS), generator=torch.manual_seed(1))
        logits.requires_grad_()
        begin = time.perf_counter()
        value = loss(logits)
        value.backward()
        return time.perf_counter() - begin, float(value)

    taken: dict[str, list[tuple[float, float]]] = {"ours": [], "transformers": []}
    for _ in range(rounds + 1):
        taken["ours"].append(timed(ours, T))
        taken["transformers"].append(timed(transformers, T))
    slow_s, slow_value = timed(cell_by_cell, CELL_BY_CELL_FRAMES)
    _, own_value = timed(ours, CELL_BY_CELL_FRAMES)
    seconds = {name: statistics.median(s for s, _ in runs[1:]) for name, runs in taken.items()}
    seconds["nemo_cell_by_cell"] = slow_s * T / CELL_BY_CELL_FRAMES
    return {
        "lattice": LATTICE,
        "seconds": {name: round(one, 4) for name, one in seconds.items()},
        "times_ours": {name: round(one / seconds["ours"], 1) for name, one in seconds.items()},
        "relative_difference": {
            "transformers": abs(taken["transformers"][0][1] / taken["ours"][0][1] - 1),
            "nemo_cell_by_cell": abs(slow_value / own_value - 1),
        },
    }


def batches(rounds: int) -> dict[str, Any]:
    """Audio-seconds a second, padding not counted, with batches planned by length and with batches as they come; and
    where the time of the planned steps goes."""
    import torch

    from shoptalk.tuning.batches import Pool, _cut, plan_round

    module, pool, train = _module_and_speech()
    frames = pool.cache.lengths
    budget = round(train.batch_s * 100)
    planned = plan_round([Pool(frames, 1.0)], steps=rounds, budget_frames=budget, max_frames=1_000, seed=1, round_=0)
    order = torch.randperm(len(frames), generator=torch.manual_seed(2)).tolist()
    items = [(0, entry, 0) for entry in order if frames[entry, 0] <= 1_000]
    mixed = list(_cut(items, frames[[entry for _, entry, _ in items], 0], budget))[:rounds]
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-6, fused=True)
    clock = _Clock(module)
    seconds: dict[str, list[float]] = {"planned": [], "as_they_come": []}
    heard: dict[str, list[float]] = {"planned": [], "as_they_come": []}
    for first, second in zip(planned, mixed, strict=True):
        for name, chosen in (("planned", first), ("as_they_come", second)):
            clock.running = name == "planned"
            begin = time.perf_counter()
            with clock.part("features"):
                batch = _batch(pool, chosen)
            loss = module.training_step(batch, 0)
            with clock.part("backward"):
                loss.backward()
            with clock.part("optimiser"):
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            seconds[name].append(time.perf_counter() - begin)
            heard[name].append(float(batch.frames.sum()) / 100)
    rate = {name: sum(heard[name][2:]) / sum(seconds[name][2:]) for name in seconds}
    return {
        "audio_s_per_s": {name: round(one, 1) for name, one in rate.items()},
        "planned_times_as_they_come": round(rate["planned"] / rate["as_they_come"], 2),
        "part_of_a_step": clock.parts(sum(seconds["planned"])),
    }


def _module_and_speech() -> tuple[Any, Any, Any]:
    from shoptalk.core import config
    from shoptalk.core.examples import read_manifest
    from shoptalk.core.runtime import keep_memory
    from shoptalk.integrations import nemo
    from shoptalk.tuning.cpu_speed import quicken
    from shoptalk.tuning.data import recordings
    from shoptalk.tuning.features import make, opened
    from shoptalk.tuning.module import TuningModule

    train = config.load(RECIPE).train
    model = nemo.restore(BASE)
    entries = read_manifest(SPEECH)[::3]
    with tempfile.TemporaryDirectory() as folder:
        mels, featurize = model.cfg.preprocessor.features, nemo.featurizer(model)
        make(Path(folder), entries, (1.0,), mels=mels, featurize=featurize, progress=lambda _: None)
        cache = opened(Path(folder), entries, (1.0,), mels=mels)
        pool = recordings(cache, share=1.0, tokenize=model.tokenizer.text_to_ids, blank=model.tokenizer.vocab_size)
    module = TuningModule(model, train, durations=nemo.durations(model), blank=model.tokenizer.vocab_size, seed=1)
    keep_memory()
    quicken(module)
    return module.train(), pool, train


def _batch(pool: Any, items: Sequence[Any]) -> Any:
    import numpy as np

    from shoptalk.tuning.data import collate

    features = [pool.cache.get(entry).astype(np.float32) for _, entry, _ in items]
    return collate(features, [pool.tokens[entry] for _, entry, _ in items], [np.zeros(0, np.int64) for _ in items])


class _Clock:
    """Seconds in the named parts of a step, by wrapping the calls that they are made of."""

    def __init__(self, module: Any):
        self.running = True
        self._seconds: dict[str, float] = {}
        self._wrap(module.model.encoder, "forward", "encoder")
        self._wrap(module.model.decoder, "forward", "prediction network")
        self._wrap(module.model.joint, "joint", "joint")
        self._wrap(module.loss, "forward", "TDT loss and its gradient")
        self._wrap(module, "_ctc", "CTC loss")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        if self.running:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begin

    def _wrap(self, owner: Any, method: str, name: str) -> None:
        call = getattr(owner, method)

        def measured(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return call(*args, **kwargs)

        setattr(owner, method, measured)

    def parts(self, total_s: float) -> dict[str, float]:
        rest = {"the rest": total_s - sum(self._seconds.values())}
        return {name: round(one / total_s, 3) for name, one in {**self._seconds, **rest}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/training_speed.json"))
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    import torch

    from shoptalk.core import device

    torch.manual_seed(1)
    result = {
        "command": "python benchmarks/training_speed.py",
        "date": f"{date.today()}",
        "machine": device.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "loss": losses(arguments.rounds),
        "batches": batches(arguments.rounds),
    }
    arguments.target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
