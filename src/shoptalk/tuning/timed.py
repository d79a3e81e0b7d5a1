"""Training in a given time on one device, where minutes of a GPU are lent: the schedule goes by the clock, not steps.

All material lies on the device as features, effects are applied there (`device_effects`), and processes on the CPU
only draw where to read (`material`). The loss is that of `module`. The mean weights are written every few seconds, so
that a command that is killed leaves the newest.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shoptalk.core.files import write_file, write_text
from shoptalk.core.recipe import TrainSection
from shoptalk.integrations import nemo
from shoptalk.tuning import device_effects
from shoptalk.tuning.batches import padded_frames
from shoptalk.tuning.data import HOPS_PER_S
from shoptalk.tuning.material import Array, Drawn, Material, dev_sets, padded_tokens
from shoptalk.tuning.module import TuningModule, by_decay
from shoptalk.tuning.trainer import errors_and_words

WARM_UP = 0.04
"""Part of the time in which the learning rate rises; the encoder gets no gradient from the new CTC head then."""
LOOK_S = 20.0
"""Between two dev scorings, each of which writes the weights."""
TOLD_STEPS = 50
MEASURED = range(8, 14)
"""Steps whose parts are timed, with the device waited for."""
DROPOUT_PART = 0.5
"""Of the model's dropout: minutes leave little to learn by heart."""
WEIGHTS, HISTORY = "mean.pt", "history.json"

Clock = Callable[[], float]


@dataclass
class Watch:
    """Seconds of the parts of some steps."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)
    on: bool = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside; nothing is waited for unless `on`."""
        if not self.on:
            yield
            return
        self._wait()
        started = time.perf_counter()
        yield
        self._wait()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def rate_at(share: float, config: TrainSection) -> float:
    """Part of the peak learning rate when that share of the time is over: warm-up, plateau, linear decay to nothing."""
    return max(0.0, min(share / WARM_UP, (1 - share) / config.decay_part, 1.0))


class TimedTraining:
    """A base that is trained on packed material until a time."""

    def __init__(
        self,
        model: nemo.Model,
        config: TrainSection,
        material: Material,
        tokens: Sequence[Sequence[int]],
        *,
        device: torch.device,
        seed: int,
        out: Path,
        say: Callable[[str], None] = print,
    ):
        torch.manual_seed(seed)
        self.config = config
        self.device = device
        self.out = out
        self.say = say
        self.clock: Clock = time.monotonic
        self.hours = 0.0
        self.history: list[dict[str, float]] = []
        self._tokenizer = model.tokenizer
        blank = model.tokenizer.vocab_size
        for layer in model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p *= DROPOUT_PART
        self.module = TuningModule(model, config, durations=nemo.durations(model), blank=blank, seed=seed).to(device)
        self.trained = self.module.state_dict()  # the tensors that training changes in place
        self.mean = {name: value.clone() for name, value in self.trained.items()}
        self.material_NM = torch.from_numpy(material.frames_NM).to(device)
        factors = config.feature_warp_factors
        self.tables = device_effects.Tables(material.frames_NM.shape[1], factors, device)
        decayed, kept = by_decay(self.module)
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), fused=True)
        self.parameters = [*decayed, *kept]
        self.watch = Watch(device)
        self.dev = {source: _dev_batch(material, tokens, numbers) for source, numbers in dev_sets(material).items()}
        self.texts = [row.text for row in material.rows]

    def run(self, batches: Iterator[Drawn], *, until: float) -> None:
        """Train until the clock shows `until`, scoring and writing every `LOOK_S` and at the end."""
        self.module.train()
        started = looked = self.clock()
        step, share = 0, 0.0
        while share < 1.0:
            self.watch.on = step in MEASURED
            with self.watch.part("wait for the batch"):
                drawn = next(batches)
            share = (self.clock() - started) / (until - started)
            losses = self._step(drawn, step, share)
            step += 1
            self.hours += float(drawn.frames_B.sum()) / HOPS_PER_S / 3600
            if step == MEASURED.stop:
                parts = {name: round(1000 * s / len(MEASURED)) for name, s in self.watch.seconds.items()}
                self.say(f"ms a step of {drawn.places_BT.shape}: {parts}, {sum(parts.values())} in all")
            if step % TOLD_STEPS == 0 or step == 1:
                self._tell(step, share, losses, started)
            if self.clock() - looked > LOOK_S:
                self._look(step, share)
                looked = self.clock()
        self._look(step, 1.0)

    def _step(self, drawn: Drawn, step: int, share: float) -> dict[str, torch.Tensor]:
        """One optimiser step; one whose gradient is no number changes nothing."""
        rate = self.config.learning_rate * rate_at(share, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self._losses(drawn, detached=share < WARM_UP)
        with self.watch.part("backward"):
            losses["loss"].backward()
        with self.watch.part("optimiser"):
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip, foreach=True)
            self.optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self._follow(step)
        return {**losses, "norm": norm}

    def _precision(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def _losses(self, drawn: Drawn, *, detached: bool) -> dict[str, torch.Tensor]:
        """The CTC head's and the transducer's loss, both together (means over the tokens), and what the head says."""
        with self.watch.part("copy"):
            given = device_effects.moved(
                [*drawn[:5], *(vars(drawn.effects).values() if drawn.effects else ())], self.device
            )
            places_BT, parts_BT, frames_B, tokens_BU, lengths_B = given[:5]
        with self.watch.part("effects"), torch.no_grad():
            log_BTM = device_effects.gathered(self.material_NM, places_BT, parts_BT)
            tensors: list[Any] = list(given[5:])
            effects = device_effects.Effects(*tensors) if drawn.effects else None
            if effects:
                log_BTM = device_effects.apply(log_BTM, frames_B, effects, self.material_NM, self.tables)
            features_BMT = device_effects.normalised(log_BTM, frames_B, effects)
        with self._precision():
            return self._heard(features_BMT, frames_B, tokens_BU, lengths_B, drawn, detached)

    def _heard(
        self,
        features_BMT: torch.Tensor,
        frames_B: torch.Tensor,
        tokens_BU: torch.Tensor,
        lengths_B: torch.Tensor,
        drawn: Drawn,
        detached: bool,
    ) -> dict[str, torch.Tensor]:
        module = self.module
        with self.watch.part("encoder"):
            encoded_BCS, encoded_B = module.model.encoder(audio_signal=features_BMT, length=frames_B)
        weight = self.config.ctc_weight
        with self.watch.part("ctc"):
            seen_BSC = encoded_BCS.transpose(1, 2)
            log_probs_BSV = module.ctc_head(seen_BSC.detach() if detached else seen_BSC).float().log_softmax(-1)
            ctc_B = torch.nn.functional.ctc_loss(
                log_probs_BSV.transpose(0, 1),
                tokens_BU,
                encoder_frames(drawn.frames_B),
                torch.from_numpy(drawn.lengths_B),
                blank=module.blank,
                reduction="none",
                zero_infinity=True,
            )
            ctc = ctc_B.sum() / lengths_B.sum().clamp(min=1)
        with self.watch.part("predictor and joiner"):
            predicted_BCU, _, _ = module.model.decoder(targets=tokens_BU, target_length=lengths_B)
            logits_BSUK = module.model.joint.joint(seen_BSC, predicted_BCU.transpose(1, 2))
        with self.watch.part("tdt loss"):
            tdt = module.loss(logits_BSUK, tokens_BU, encoded_B, lengths_B)
        loss = weight * ctc + (1 - weight) * tdt
        return {"loss": loss, "ctc": ctc.detach(), "tdt": tdt.detach(), "log_probs": log_probs_BSV.detach()}

    def _follow(self, step: int) -> None:
        """The running mean of the weights follows; faster at the start, when old weights are worth little."""
        decay = min(self.config.ema, (1 + step) / (10 + step))
        real = [name for name, value in self.trained.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.mean[name] for name in real], [self.trained[name] for name in real], 1 - decay)
        for name in self.trained.keys() - set(real):
            self.mean[name].copy_(self.trained[name])

    def _tell(self, step: int, share: float, losses: Mapping[str, torch.Tensor], started: float) -> None:
        shown = ", ".join(f"{name} {losses[name].item():.3f}" for name in ("loss", "ctc", "tdt", "norm"))
        passed_s = self.clock() - started
        self.say(f"step {step}, {100 * share:.0f} %, {passed_s:.1f} s, {self.hours:.2f} h of audio: {shown}")

    def _look(self, step: int, share: float) -> None:
        """Score the mean weights on dev by the CTC head, and write them."""
        kept = {name: value.clone() for name, value in self.trained.items()}
        self.module.load_state_dict(self.mean)
        self.module.eval()
        row = {"step": step, "share": round(share, 4), "hours": round(self.hours, 3), **self._dev_scores()}
        self.module.train()
        self.module.load_state_dict(kept)
        self.history.append(row)
        self.say(json.dumps(row))
        half = {name: value.half() if value.is_floating_point() else value for name, value in self.mean.items()}
        with write_file(self.out / WEIGHTS) as partial:
            torch.save({name: value.cpu() for name, value in half.items()}, partial)
        write_text(self.out / HISTORY, json.dumps(self.history, indent=1))

    def _dev_scores(self) -> dict[str, float]:
        """Of each source: WER of the CTC head's best path, and the transducer's loss a token."""
        scores: dict[str, float] = {}
        for source, (numbers, drawn) in self.dev.items():
            with torch.no_grad():
                losses = self._losses(drawn, detached=False)
            best_BS = losses["log_probs"].argmax(-1).cpu()
            errors = words = 0
            for number, best_S, frames in zip(numbers, best_BS, encoder_frames(drawn.frames_B).tolist(), strict=True):
                kept = torch.unique_consecutive(best_S[:frames]).tolist()
                text = self._tokenizer.ids_to_text([token for token in kept if token != self.module.blank])
                wrong, said = errors_and_words(self.texts[number], text)
                errors, words = errors + wrong, words + said
            scores[f"ctc_wer_{source}"] = round(errors / max(1, words), 4)
            scores[f"loss_{source}"] = round(float(losses["tdt"]), 4)
        return scores


def encoder_frames(frames_B: Array) -> torch.Tensor:
    """Frames (B,) behind three convolutions of stride 2, kernel 3 and padding 1, on the CPU: CTC waits for others."""
    lengths_B = torch.from_numpy(frames_B)
    for _ in range(3):
        lengths_B = (lengths_B - 1) // 2 + 1
    return lengths_B


def _dev_batch(material: Material, tokens: Sequence[Sequence[int]], numbers: Array) -> tuple[Array, Drawn]:
    """The dev recordings of a source as one batch without effects."""
    firsts, frames_B = material.places_R2[numbers].T.copy()
    places_BT = np.minimum(firsts[:, None] + np.arange(padded_frames(int(frames_B.max()))), len(material.frames_NM) - 1)
    parts_BT = np.zeros(places_BT.shape, np.float16)
    said = padded_tokens([tokens[number] for number in numbers])
    return numbers, Drawn(places_BT.astype(np.int32), parts_BT, frames_B, *said, None)
