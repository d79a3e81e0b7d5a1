"""Steps that train: the real trainer at tiny shape, with one process of NCCL too, and how fast a step of 0.6B is."""

import json
import math
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from benchmarks.engine.gpu import DURATIONS, model_section, parakeet_for_tdt, shape_of
from scripts.gpu.correctness import GENERAL, TINY
from scripts.gpu.kit import ROOT
from scripts.gpu.record import Differs, Record, Setting

from shoptalk.core import config
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.recipe import TrainSection
from shoptalk.core.tables import read_text
from shoptalk.integrations import nemo
from shoptalk.tuning.module import Batch, TuningModule
from shoptalk.tuning.tokenizer import train_tokenizer
from shoptalk.tuning.trainer import ASRTrainer, TrainingData

STEPS, ROUND = 20, 10
RECIPE = (
    "name=gpu-check", "seed=3", f"train.steps={STEPS}", f"train.eval_every_steps={ROUND}", "train.batch_s=12",
    "train.warmup_steps=2", "train.learning_rate=0.0005", "train.dev_utterances=4", "train.ema=0.9",
    "train.gradient_clip=1.0", "train.precision=bf16-mixed", "train.rehearsal=0",
)  # fmt: skip
UTTERANCES = 24
CLIP_S, TOKENS_A_S = 15.0, 3
BATCHES = (16, 32, 64)
ROUNDS, WARM_UPS = 5, 2
FOREIGN_BATCHES = (16,)
"""transformers' loss walks its lattice in PyTorch, and keeps all of it: a step takes seconds."""
STEP_S, FOREIGN_S = 6.0, 12.0
"""A batch is measured no longer, if one step after the first does not take longer."""
TEXTS = "models/shoptalk-base-en-tiny/training-text.txt.xz"


Step = Callable[[int, float], torch.Tensor]
"""A training step on so many clips of so many seconds → its loss."""


class Interrupted(Exception):
    """The training was stopped on purpose, after its first round."""


def prepare() -> None:
    """Import what takes long: a step's process does so while the step before it runs."""
    import nemo.collections.asr  # noqa: F401


def training(record: Record, setting: Setting) -> None:
    record.part("twenty_steps_and_going_on", lambda: trained(interrupted=True))


def one_rank(record: Record, setting: Setting) -> None:
    """Lightning's DDP with one process, by the backend that several GPUs would use."""
    backend = "gloo" if setting.rehearsed else "nccl"
    record.part(backend, lambda: trained(interrupted=False, backend=backend))


def trained(*, interrupted: bool, backend: str = "") -> dict[str, Any]:
    """Tune the tiny base with the trainer; if `interrupted`, stop it after a round and let another go on."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "speech.jsonl"
        examples = [example for example in read_manifest(GENERAL / "rehearsal.jsonl") if example.duration_s >= 2]
        shortest = sorted(examples, key=lambda example: (example.duration_s, example.id))
        write_manifest(manifest, shortest[:UTTERANCES])
        run = Path(folder) / "run"
        stopped_at = 0
        if interrupted:
            try:
                fit(run, manifest, backend, stop=f"step {ROUND}:")
            except Interrupted:
                stopped_at = ROUND
        tuned = fit(run, manifest, backend)
        history = json.loads((run / "history.json").read_text())
        checked(history, run, tuned)
        return {"stopped_at": stopped_at, "history": history, "moved": round(moved(tuned), 6)}


def fit(run: Path, manifest: Path, backend: str, stop: str = "") -> Path:
    """Train in `run`; raise `Interrupted` when the trainer says what begins with `stop`."""

    def say(line: str) -> None:
        print(line, flush=True)
        if stop and line.startswith(stop):
            raise Interrupted

    data = TrainingData([manifest], [], [manifest])
    trainer = ASRTrainer(config.changed(RECIPE), data, run, init=str(TINY), say=say)
    trainer.prepare()
    # MLflow is not needed to see whether a training works, and not on every machine.
    with mock.patch("shoptalk.tuning.tracking.loggers", return_value=False):
        if not backend:
            return trainer.fit()
        from lightning.pytorch.strategies import DDPStrategy

        with mock.patch.object(trainer, "strategy", lambda: DDPStrategy(process_group_backend=backend)):
            return trainer.fit()


def checked(history: list[dict[str, float]], run: Path, tuned: Path) -> None:
    """`Differs` unless both rounds are there, with finite losses, and the weights are the mean's."""
    if [row["step"] for row in history] != [ROUND, STEPS]:
        raise Differs(f"the history is {history}, not one row for each of two rounds")
    if not all(math.isfinite(row["loss"]) for row in history):
        raise Differs(f"a loss is not finite: {history}")
    checkpoint = torch.load(run / "last.ckpt", map_location="cpu", weights_only=True)
    if checkpoint["global_step"] != STEPS or not checkpoint["mean"]:
        raise Differs(f"the checkpoint is of step {checkpoint['global_step']} with {len(checkpoint['mean'])} means")
    if not tuned.is_file():
        raise Differs(f"{tuned} is not there")


def moved(tuned: Path) -> float:
    """The largest change of a weight of the base; `Differs` if none changed, or one is no number."""
    before, after = nemo.restore(TINY).state_dict(), nemo.restore(tuned).state_dict()
    real = [name for name, weight in before.items() if weight.is_floating_point()]
    furthest = max(float((after[name].float() - before[name].float()).abs().max()) for name in real)
    if not 0 < furthest < math.inf:
        raise Differs(f"the weights changed by {furthest}")
    return furthest


def training_speed(record: Record, setting: Setting) -> None:
    """Hours of audio an hour of ours, then of transformers, at the same shape."""
    clip_s, device = (2.0, "cpu") if setting.rehearsed else (CLIP_S, "cuda")
    own_batches, foreign_batches = ((2,), (2,)) if setting.rehearsed else (BATCHES, FOREIGN_BATCHES)
    same: dict[str, Any] = {"size": setting.size, "clip_s": clip_s, "device": device}
    measure(record, "ours", our_step, own_batches, **same, longest_s=STEP_S)
    measure(record, "transformers", transformers_step, foreign_batches, **same, longest_s=FOREIGN_S)


def measure(
    record: Record,
    name: str,
    make: Callable[[str, str], Step],
    batches: Sequence[int],
    *,
    size: str,
    clip_s: float,
    device: str,
    longest_s: float,
) -> None:
    """Audio-hours an hour and peak memory by batch, each told when it is known; None where memory does not suffice."""
    told: dict[str, Any] = {"clip_s": clip_s, "batches": {}}

    def figures() -> dict[str, Any]:
        step = make(size, device)
        for batch in batches:
            try:
                told["batches"][str(batch)] = measured(step, batch, clip_s, device, longest_s)
            except torch.OutOfMemoryError:
                told["batches"][str(batch)] = None
                torch.cuda.empty_cache()
            rates = [row["audio_hours_per_hour"] for row in told["batches"].values() if row]
            if rates:
                told["best_audio_hours_per_hour"] = max(rates)
                record.note(name, {"passed": True, "figures": told})
        if "best_audio_hours_per_hour" not in told:
            raise Differs("memory suffices for no batch")
        return told

    record.part(name, figures)


def measured(step: Step, batch: int, clip_s: float, device: str, longest_s: float) -> dict[str, Any]:
    is_cuda = device == "cuda"
    wait = torch.cuda.synchronize if is_cuda else lambda: None
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    taken_s: list[float] = []
    loss = torch.zeros(())
    while len(taken_s) < WARM_UPS + (ROUNDS if is_cuda else 1):
        wait()
        started = time.perf_counter()
        loss = step(batch, clip_s)
        wait()
        taken_s.append(time.perf_counter() - started)
        if len(taken_s) > 1 and sum(taken_s) > longest_s:
            break
    if not math.isfinite(float(loss)):
        raise Differs(f"the loss is {float(loss)}")
    warm_s = taken_s[WARM_UPS:] or taken_s[-1:]
    step_s = statistics.median(warm_s)
    peak = torch.cuda.max_memory_allocated() if is_cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "step_s": round(step_s, 4),
        "steps": len(warm_s),
        "audio_hours_per_hour": round(batch * clip_s / step_s, 1),
        "peak_gib": round(peak / 2**30, 2),
        "loss": round(float(loss), 3),
    }


def our_step(size: str, device: str) -> Step:
    """A step of `TuningModule` as the trainer takes it under bf16-mixed: clipped, fused AdamW."""
    shape = shape_of(size)
    texts = read_text(ROOT / TEXTS).splitlines()[:4000]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = train_tokenizer(texts, Path(folder) / "tokenizer", vocabulary=shape.vocabulary)
        model = nemo.build(model_section(shape), tokenizer, sigma=0.0, omega=0.0)
    train = TrainSection(freeze_batch_norm=False)
    module = TuningModule(model, train, durations=DURATIONS, blank=shape.vocabulary, seed=1).to(device).train()
    module.check_every = ROUNDS + WARM_UPS
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)

    def step(batch: int, clip_s: float) -> torch.Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = module.training_step(random_batch(shape.vocabulary, shape.mels, batch, clip_s, device), 0)
        return stepped(loss, module, optimizer)

    return step


def random_batch(vocabulary: int, mels: int, batch: int, clip_s: float, device: str) -> Batch:
    frames, tokens = round(clip_s * 100), round(clip_s * TOKENS_A_S)
    on_host = (frames,) * batch, (tokens,) * batch
    return Batch(
        torch.randn(batch, mels, frames, device=device),
        torch.full((batch,), frames, device=device),
        torch.randint(vocabulary, (batch, tokens), device=device),
        torch.full((batch,), tokens, device=device),
        torch.zeros(batch, 0, dtype=torch.long, device=device),
        *on_host,
    )


def transformers_step(size: str, device: str) -> Step:
    """The same step with ParakeetForTDT and its own loss."""
    shape = shape_of(size)
    with torch.device(device):  # random numbers for so many weights take a CPU long
        model = parakeet_for_tdt(shape)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(batch: int, clip_s: float) -> torch.Tensor:
        own = random_batch(shape.vocabulary, shape.mels, batch, clip_s, device)
        mask_BT = torch.ones(own.features.shape[0], own.features.shape[2], dtype=torch.long, device=device)
        inputs_BU = torch.nn.functional.pad(own.tokens, (1, 0), value=shape.vocabulary)  # the blank comes first
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = model(
                input_features=own.features.mT, attention_mask=mask_BT, decoder_input_ids=inputs_BU, labels=own.tokens
            ).loss
        return stepped(loss, model, optimizer)

    return step


def stepped(loss: torch.Tensor, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()
