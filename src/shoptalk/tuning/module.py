"""The training step: features to loss, with SpecAugment that is applied, as a Lightning module around a NeMo model.

Shapes: B utterances, T mel frames, M mel bins, S encoder frames, U target tokens + 1, K = tokens + blank + durations.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningModule

from shoptalk.core.errors import TrainingError
from shoptalk.core.recipe import TrainSection
from shoptalk.core.tokens import SUBSAMPLING
from shoptalk.integrations import nemo
from shoptalk.tuning.alignment import UNKNOWN
from shoptalk.tuning.cpu_speed import reseed
from shoptalk.tuning.lightning_internals import clips_itself, end_round
from shoptalk.tuning.tdt_loss import TdtLoss

CHECK_EVERY = 20
"""Steps on a GPU whose losses are checked together."""


class Batch(NamedTuple):
    """Normalised log-mel features (B, M, T) with their lengths (B,), tokens (B, U - 1) with theirs, and the token of
    each encoder frame (B, S), `alignment.UNKNOWN` where that is not known."""

    features: torch.Tensor
    frames: torch.Tensor
    tokens: torch.Tensor
    lengths: torch.Tensor
    alignment: torch.Tensor
    host_frames: tuple[int, ...] = ()
    host_lengths: tuple[int, ...] = ()
    """Both lengths once more, so that asking for them does not wait for a GPU; empty: ask all the same."""

    def frames_on_host(self) -> Sequence[int]:
        """Mel frames of each utterance."""
        return self.host_frames or self.frames.tolist()

    def lengths_on_host(self) -> Sequence[int]:
        """Tokens of each utterance."""
        return self.host_lengths or self.lengths.tolist()


class TuningModule(LightningModule):
    """A NeMo FastConformer-TDT with its loss, optimiser and, if asked for, an auxiliary CTC head and mean weights."""

    def __init__(self, model: Any, config: TrainSection, *, durations: Sequence[int], blank: int, seed: int):
        super().__init__()
        self.model = model
        self.config = config
        self.blank = blank
        self.loss = TdtLoss(blank=blank, durations=durations, sigma=config.sigma, omega=config.omega, seed=seed)
        self.ctc_head = torch.nn.Linear(nemo.encoder_width(model), blank + 1) if config.ctc_weight else None
        self.mean = _copies(model.state_dict()) if config.ema else {}
        self._rng = np.random.default_rng(seed)
        self.check_every = 1
        """Losses that are checked together: each check waits for the device."""
        self._unchecked: list[tuple[int, torch.Tensor]] = []
        self._followed: _Followed | None = None
        nemo.give_logits(model)  # which the loss takes

    def on_train_start(self) -> None:
        # The mean is no part of the module's state, so that Lightning does not move it where it moves the model.
        self.mean = {key: value.to(self.device) for key, value in self.mean.items()}
        self._followed = _followed(self.mean, self.model.state_dict(keep_vars=True)) if self.mean else None
        self.check_every = 1 if self.device.type == "cpu" else CHECK_EVERY

    def on_train_epoch_start(self) -> None:
        # Chance depends on (seed, step), so that a resumed run goes on as the interrupted one would have.
        self.model.train()  # Lightning leaves layers in the mode it finds them in
        # The loss's choice between TDT and RNN-T is the same in all processes, which take steps of one kind together.
        self._rng = np.random.default_rng([self.global_step, 1, self.global_rank])
        self.loss._rng = np.random.default_rng([self.global_step, 2])
        torch.manual_seed(self.global_step)
        reseed(self.model, self.global_step * self.trainer.world_size + self.global_rank)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if self.config.freeze_batch_norm:
            for layer in self.model.modules():
                if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        features_BMT = spec_augment(batch.features, batch.frames_on_host(), self.config, self._rng)
        encoded_BCS, frames_B = self.model.encoder(audio_signal=features_BMT, length=batch.frames)
        round_ = self.global_step // self.config.eval_every_steps
        if self.ctc_head is None:
            loss = self._transducer_loss(encoded_BCS, frames_B, batch)
        elif round_ < self.config.aligned_rounds:
            loss = self._aligned(self.ctc_head(encoded_BCS.transpose(1, 2)), batch)
        else:
            ctc = self._ctc(self.ctc_head(encoded_BCS.transpose(1, 2)), batch)
            self.log("ctc_loss", ctc)
            weight = self.config.ctc_weight
            loss = weight * ctc + (1 - weight) * self._transducer_loss(encoded_BCS, frames_B, batch)
        self._unchecked.append((self.global_step, loss.detach()))
        if len(self._unchecked) >= self.check_every:
            self.check_losses()
        self.log("loss", loss, prog_bar=True)
        return loss

    def check_losses(self) -> None:
        """`TrainingError` if a loss since the last check was not finite; weights that follow it are never kept."""
        unchecked, self._unchecked = self._unchecked, []
        if not unchecked:
            return
        for (step, _), loss in zip(unchecked, torch.stack([loss for _, loss in unchecked]).tolist(), strict=True):
            if not math.isfinite(loss):
                raise TrainingError(f"the loss at step {step} is {loss}; lower train.learning_rate")

    def _aligned(self, logits_BSV: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy of the CTC head on the frames whose token is known."""
        frames = min(logits_BSV.shape[1], batch.alignment.shape[1])
        logits_NV = logits_BSV[:, :frames].float().flatten(0, 1)
        tokens_N = batch.alignment[:, :frames].flatten()
        return torch.nn.functional.cross_entropy(logits_NV, tokens_N, ignore_index=UNKNOWN)

    def _transducer_loss(self, encoded_BCS: torch.Tensor, frames_B: torch.Tensor, batch: Batch) -> torch.Tensor:
        if self.config.transducer_part < 1:
            part = math.ceil(self.config.transducer_part * len(frames_B))
            chosen = _sent(self._rng.permutation(len(frames_B))[:part], encoded_BCS.device)
            encoded_BCS, frames_B = encoded_BCS[chosen], frames_B[chosen]
            batch = batch._replace(tokens=batch.tokens[chosen], lengths=batch.lengths[chosen])
        predicted_BCU, _, _ = self.model.decoder(targets=batch.tokens, target_length=batch.lengths)
        logits_BSUK = self.model.joint.joint(encoded_BCS.transpose(1, 2), predicted_BCU.transpose(1, 2))
        loss: torch.Tensor = self.loss(logits_BSUK, batch.tokens, frames_B, batch.lengths)
        return loss

    def _ctc(self, logits_BSV: torch.Tensor, batch: Batch) -> torch.Tensor:
        log_probs_SBV = logits_BSV.float().log_softmax(-1).transpose(0, 1)
        losses_B = torch.nn.functional.ctc_loss(
            log_probs_SBV,
            batch.tokens,
            torch.tensor([-(-frames // SUBSAMPLING) for frames in batch.frames_on_host()]),
            torch.tensor(batch.lengths_on_host()),
            blank=self.blank,
            reduction="none",
            zero_infinity=True,
        )
        return losses_B.sum() / batch.lengths.sum().clamp(min=1)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip the gradients, also those of a fused optimiser under bfloat16."""
        precision = self.trainer.precision_plugin
        if clips_itself(precision):
            precision.clip_grad_by_norm(optimizer, gradient_clip_val or 0.0)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self._followed:
            # The mean follows faster at the start, when old weights are worth little.
            decay = min(self.config.ema, (1 + self.global_step) / (10 + self.global_step))
            with torch.no_grad():
                torch._foreach_lerp_(self._followed.means, self._followed.weights, 1 - decay)
                for mean, count in self._followed.integers:
                    mean.copy_(count)

    def weights(self) -> dict[str, torch.Tensor]:
        """What is scored and saved: the running mean if there is one, else the last weights, which go on changing."""
        return self.mean if self.mean else dict(self.model.state_dict())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mean"] = self.mean

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.mean = checkpoint["mean"]
        end_round(checkpoint)

    def configure_optimizers(self) -> Any:
        config = self.config
        decayed, kept = by_decay(self)
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, config))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def centre_input(model: Any, batch: Batch) -> None:
    """Give each channel behind the subsampling mean 0 and variance 1 on a batch, in place; for a training from scratch.

    From random weights the channels differ between frames by an eighth of their mean, so that the layers see little of
    the speech at first (data-dependent initialisation: arXiv 1511.06422).
    """
    project, seen = model.encoder.pre_encode.out, []
    hook = project.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    with torch.no_grad():
        _, frames_B = model.encoder(audio_signal=batch.features, length=batch.frames)
    hook.remove()
    channels_NC = torch.cat([row[:frames] for row, frames in zip(seen[0], frames_B.tolist(), strict=True)])
    mean_C, spread_C = channels_NC.mean(0), channels_NC.std(0)
    with torch.no_grad():
        project.weight.div_(spread_C[:, None])
        project.bias.sub_(mean_C).div_(spread_C)


def rate_at(step: int, config: TrainSection) -> float:
    """Part of the peak learning rate at a step: linear warm-up, plateau, linear decay over the last `decay_part`."""
    floor = config.min_learning_rate / config.learning_rate
    warm = min(1.0, (step + 1) / (config.warmup_steps + 1))
    left = (config.steps - step) / max(1.0, config.decay_part * config.steps)
    return max(floor, min(warm, left, 1.0))


def spec_augment(
    features_BMT: torch.Tensor, frames: Sequence[int], config: TrainSection, rng: np.random.Generator
) -> torch.Tensor:
    """Zero drawn bands and stretches (arXiv 1904.08779); stretches are at most `time_mask_part` of each utterance."""
    utterances, mels, longest = features_BMT.shape
    is_hidden_BM, is_hidden_BT = np.zeros((utterances, mels), bool), np.zeros((utterances, longest), bool)
    for row, own in enumerate(frames):
        for _ in range(config.frequency_masks):
            width = int(rng.integers(0, config.frequency_mask_bins + 1))
            start = int(rng.integers(0, max(1, mels - width)))
            is_hidden_BM[row, start : start + width] = True
        for _ in range(config.time_masks):
            width = int(rng.integers(0, max(1, round(own * config.time_mask_part)) + 1))
            start = int(rng.integers(0, max(1, own - width)))
            is_hidden_BT[row, start : start + width] = True
    device = features_BMT.device
    is_hidden_BMT = _sent(is_hidden_BM, device)[:, :, None] | _sent(is_hidden_BT, device)[:, None]
    return features_BMT.masked_fill(is_hidden_BMT, 0.0)


def _sent(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array on a device, by a copy that a GPU makes itself when it comes to it."""
    on_host = torch.from_numpy(values)
    return on_host if device.type == "cpu" else on_host.pin_memory().to(device, non_blocking=True)


class _Followed(NamedTuple):
    """The tensors of the mean, and those that they follow; integers (BatchNorm's counts) in pairs."""

    means: list[torch.Tensor]
    weights: list[torch.Tensor]
    integers: list[tuple[torch.Tensor, torch.Tensor]]


def _followed(mean: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> _Followed:
    real = [key for key, weight in weights.items() if weight.is_floating_point()]
    integers = [(mean[key], weights[key]) for key in weights.keys() - set(real)]
    return _Followed([mean[key] for key in real], [weights[key] for key in real], integers)


def _copies(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in weights.items()}


def by_decay(module: torch.nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Matrices are decayed; biases, norms and BatchNorm are not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [p for p in trained if p.ndim >= 2], [p for p in trained if p.ndim < 2]
