"""The training step on a tiny real model: it learns, SpecAugment reaches the encoder, BatchNorm is frozen or not."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from tests.waiting import NothingWaits

from shoptalk.core.errors import TrainingError
from shoptalk.core.recipe import TrainSection
from shoptalk.integrations import nemo
from shoptalk.tuning.alignment import UNKNOWN
from shoptalk.tuning.cpu_speed import quicken
from shoptalk.tuning.module import CHECK_EVERY, Batch, TuningModule, centre_input, rate_at, spec_augment
from shoptalk.tuning.tdt_loss import TdtLoss
from shoptalk.tuning.tdt_on_device import losses_on_device

FREE = TrainSection(time_masks=0, frequency_masks=0, omega=0, warmup_steps=0, learning_rate=5e-3, decay_part=0.01)


@pytest.fixture(scope="module")
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    frames = torch.tensor([160, 120])
    tokens = torch.randint(1, 40, (2, 8), generator=generator)
    said = torch.full((2, 20), UNKNOWN)
    said[0] = torch.arange(20)
    return Batch(torch.randn(2, 80, 192, generator=generator), frames, tokens, torch.tensor([8, 5]), said)


@pytest.fixture
def model(tiny_nemo: Path) -> Any:
    return nemo.restore(tiny_nemo)


def module(model: Any, config: TrainSection = FREE, **changes: Any) -> TuningModule:
    made = TuningModule(
        model,
        config.model_copy(update=changes),
        durations=nemo.durations(model),
        blank=model.tokenizer.vocab_size,
        seed=7,
    )
    quicken(made)
    return made


@dataclass
class Repeated:
    """One batch, again and again; Lightning would take a list of batches for several loaders."""

    batch: Batch
    steps: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return repeat(self.batch, self.steps)


PRECISIONS = ("32-true", "bf16-mixed")
"""Both are trained in on every CPU, not only the one that this machine would choose."""


def train(made: TuningModule, batch: Batch, steps: int, precision: Any = "32-true", clip: float = 1.0) -> list[float]:
    """The losses of so many steps on one batch, by Lightning as in a real training."""
    losses: list[float] = []
    plain = made.training_step

    def told(*args: Any) -> torch.Tensor:
        loss = plain(*args)
        losses.append(float(loss))
        return loss

    made.training_step = told  # type: ignore[method-assign]
    Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, gradient_clip_val=clip, precision=precision,
    ).fit(made, train_dataloaders=Repeated(batch, steps))  # fmt: skip
    made.training_step = plain  # type: ignore[method-assign]
    return losses


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("changes", [{}, {"ctc_weight": 0.3, "ema": 0.9}])
def test_the_loss_falls(model: Any, batch: Batch, changes: dict[str, float], precision: str) -> None:
    losses = train(module(model, **changes), batch, 15, precision)
    assert len(losses) == 15 and losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients_are_clipped_before_they_are_used(model: Any, batch: Batch, precision: str) -> None:
    made = module(model)
    clip = made.configure_gradient_clipping
    norms: list[tuple[float, float]] = []

    def norm() -> float:
        return float(torch.nn.utils.get_total_norm([p.grad for p in made.parameters() if p.grad is not None]))

    def clip_and_note(*args: Any, **kwargs: Any) -> None:
        before = norm()
        clip(*args, **kwargs)
        norms.append((before, norm()))

    made.configure_gradient_clipping = clip_and_note  # type: ignore[method-assign]
    train(made, batch, 3, precision, clip=0.05)
    assert len(norms) == 3
    for before, after in norms:
        assert before > 0.1 and after == pytest.approx(0.05, rel=1e-3)


def test_bfloat16_learns_what_float32_learns(tiny_nemo: Path, batch: Batch) -> None:
    losses = [train(module(nemo.restore(tiny_nemo)), batch, 8, precision) for precision in PRECISIONS]
    assert losses[0] == pytest.approx(losses[1], rel=0.03)


def test_the_running_mean_lies_where_the_model_lies(model: Any) -> None:
    made = module(model, ema=0.9).to("meta")  # as Lightning moves a model to its GPU
    made.on_train_start()
    assert made.mean and {value.device.type for value in made.mean.values()} == {"meta"}


@pytest.mark.parametrize(("part", "utterances"), [(1.0, 2), (0.5, 1), (0.3, 1)])
def test_the_transducer_loss_is_computed_on_its_part(model: Any, batch: Batch, part: float, utterances: int) -> None:
    made = module(model, transducer_part=part, ctc_weight=0.4)
    targets: list[int] = []
    losses = made.loss.forward
    made.loss.forward = lambda *given: targets.append(len(given[1])) or losses(*given)  # type: ignore[method-assign]
    train(made, batch, steps=2)
    assert targets == [utterances] * 2


def test_aligned_rounds_learn_the_known_frames_and_leave_the_transducer_alone(model: Any, batch: Batch) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    made = module(model, ctc_weight=0.3, aligned_rounds=1, eval_every_steps=12, weight_decay=1e-9)
    losses = train(made, batch, 12)
    assert losses[-1] < 0.85 * losses[0]
    moved = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"encoder"}


def test_frames_that_are_not_known_count_for_nothing(model: Any, batch: Batch) -> None:
    made = module(model, ctc_weight=0.3).eval()
    logits = torch.randn(2, 24, 60, requires_grad=True)
    made._aligned(logits, batch).backward()
    assert logits.grad is not None
    assert logits.grad[0, :20].any(-1).all() and not logits.grad[0, 20:].any() and not logits.grad[1].any()


def test_centred_input_has_mean_zero_and_variance_one(model: Any, batch: Batch) -> None:
    centre_input(model, batch)
    seen: list[torch.Tensor] = []
    model.encoder.pre_encode.out.register_forward_hook(lambda layer, args, out: seen.append(out.detach()))
    with torch.no_grad():
        _, frames = model.encoder(audio_signal=batch.features, length=batch.frames)
    channels = torch.cat([row[:count] for row, count in zip(seen[0], frames.tolist(), strict=True)])
    assert torch.allclose(channels.mean(0), torch.zeros(()), atol=1e-4)
    assert torch.allclose(channels.std(0), torch.ones(()), atol=1e-3)


def test_spec_augment_reaches_the_encoder(model: Any, batch: Batch) -> None:
    heard: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(
        lambda layer, args, kwargs: heard.append(kwargs["audio_signal"].clone()), with_kwargs=True
    )
    train(module(model), batch, 1)
    assert torch.equal(heard[0], batch.features)
    train(module(model, frequency_masks=2, frequency_mask_bins=20, time_masks=2, time_mask_part=0.2), batch, 1)
    bands, stretches = (heard[1] == 0).all(dim=2), (heard[1][:, :, :120] == 0).all(dim=1)
    assert bands.any() and stretches.any()
    kept = heard[1] != 0
    assert torch.equal(heard[1][kept], batch.features[kept]) and kept.float().mean() > 0.3


def statistics(model: Any) -> torch.Tensor:
    return torch.cat([value.flatten().clone() for key, value in model.state_dict().items() if "running_" in key])


def test_batch_norm_is_frozen_or_moves(model: Any, batch: Batch) -> None:
    before = statistics(model.eval())
    train(module(model, freeze_batch_norm=True), batch, 2)
    assert torch.equal(statistics(model), before)
    assert model.encoder.training and not model.encoder.layers[0].conv.batch_norm.training
    train(module(model, freeze_batch_norm=False), batch, 2)
    assert not torch.allclose(statistics(model), before)


def test_the_mean_follows_the_weights_and_is_what_is_saved(model: Any, batch: Batch) -> None:
    made = module(model, ema=0.9)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    train(made, batch, 1)
    key = "joint.enc.weight"
    step = model.state_dict()[key] - start[key]
    decay = 1 / 10  # at the first step: (1 + 0) / (10 + 0)
    assert torch.allclose(made.weights()[key] - start[key], (1 - decay) * step, atol=1e-6)
    assert made.weights().keys() == model.state_dict().keys()
    counted = "encoder.layers.0.conv.batch_norm.num_batches_tracked"
    assert made.weights()[counted] == model.state_dict()[counted]
    note: dict[str, Any] = {"loops": {"fit_loop": {"epoch_loop.batch_progress": {"current": {"ready": 5}}}}}
    made.on_save_checkpoint(note)
    other = module(model, ema=0.9)
    other.on_load_checkpoint(note)
    assert torch.equal(other.weights()[key], made.weights()[key])
    plain = module(model)
    assert torch.equal(plain.weights()[key], model.state_dict()[key])


def test_a_loss_that_is_no_number_stops_the_training(model: Any, batch: Batch) -> None:
    broken = batch._replace(features=batch.features * float("nan"))
    with pytest.raises(TrainingError, match="lower train.learning_rate"):
        train(module(model), broken, 1)


def test_losses_that_are_checked_together_are_told_by_their_step(model: Any, batch: Batch) -> None:
    made = module(model)
    made.check_every = 3
    for number in range(2):
        made._unchecked.append((number, torch.tensor(1.0 if number else math.inf)))
    with pytest.raises(TrainingError, match="the loss at step 0 is inf"):
        made.training_step(batch, 0)
    made.training_step(batch, 0)
    made.check_losses()
    made._unchecked.append((4, torch.tensor(math.nan)))
    with pytest.raises(TrainingError, match="the loss at step 4 is nan"):
        made.check_losses()


@pytest.mark.parametrize("changes", [{}, {"transducer_part": 0.5, "ctc_weight": 0.3}])
def test_the_host_waits_for_no_step(model: Any, batch: Batch, changes: dict[str, float]) -> None:
    """As on a GPU: with the loss of other devices, without the layers of a CPU, losses unchecked for the time being."""
    config = FREE.model_copy(update={"time_masks": 2, "frequency_masks": 2, **changes})
    made = TuningModule(model, config, durations=nemo.durations(model), blank=model.tokenizer.vocab_size, seed=7)
    made.check_every = CHECK_EVERY
    batch = batch._replace(host_frames=(160, 120), host_lengths=(8, 5))
    with mock.patch("shoptalk.tuning.module.TdtLoss.forward", on_device), NothingWaits():
        made.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
    assert len(made._unchecked) == 1


def on_device(loss: TdtLoss, logits: torch.Tensor, targets: torch.Tensor, *lengths: torch.Tensor) -> torch.Tensor:
    return losses_on_device(logits, targets, *lengths, blank=loss.blank, durations=loss.durations).sum()


def test_biases_and_norms_are_not_decayed(model: Any) -> None:
    decayed, kept = module(model).configure_optimizers()["optimizer"].param_groups
    assert decayed["weight_decay"] > 0 and kept["weight_decay"] == 0
    assert {p.ndim for p in kept["params"]} == {1} and min(p.ndim for p in decayed["params"]) == 2
    assert len(decayed["params"]) + len(kept["params"]) == len([p for p in model.parameters() if p.requires_grad])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(5, 200), min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 40),
    st.floats(0, 1), st.integers(0, 999),
)  # fmt: skip
def test_masks_zero_and_never_reach_beyond(
    frames: list[int], bands: int, stretches: int, bins: int, part: float, seed: int
) -> None:
    config = TrainSection(frequency_masks=bands, frequency_mask_bins=bins, time_masks=stretches, time_mask_part=part)
    features = torch.ones(len(frames), 80, 200)  # the padding too, so that a mask in it would show
    masked = spec_augment(features, frames, config, np.random.default_rng(seed))
    assert features.all(), "the batch itself is left alone"
    assert set(masked.unique().tolist()) <= {0.0, 1.0}
    for row, length in enumerate(frames):
        whole = (masked[row] == 0).all(dim=0)
        assert int((masked[row] == 0).all(dim=1).sum()) <= bands * bins or whole.all()
        if bands * bins < 80:
            assert int(whole[:length].sum()) <= stretches * max(1, round(length * part))
            assert not whole[length:].any()


def test_masks_are_drawn_from_the_generator() -> None:
    features, frames = torch.ones(2, 80, 100), [100, 60]
    draws = [spec_augment(features, frames, TrainSection(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    off = TrainSection(frequency_masks=0, time_masks=0)
    assert torch.equal(spec_augment(features, frames, off, np.random.default_rng(1)), features)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    config = TrainSection(steps=100, warmup_steps=9, decay_part=0.5, learning_rate=1e-3, min_learning_rate=1e-4)
    rates = [rate_at(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[4] == pytest.approx(0.5)
    assert rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5) and rates[-1] == pytest.approx(0.1)
    assert rates[50:] == sorted(rates[50:], reverse=True) and min(rates) >= 0.1 - 1e-9
