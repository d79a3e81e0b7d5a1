"""Training in a given time on one device, where minutes of a GPU are lent: the schedule goes by the clock, not steps.

All material lies on the device as features, effects are applied there (`device_effects`), and processes on the CPU
only draw where to read (`material`). The loss is that of `module`. What follows the effects can be recorded once for
each shape of batches (`graphs`). The mean weights are written every few seconds, so that a command that is killed
leaves the newest.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shoptalk.core.files import write_file, write_text
from shoptalk.core.recipe import TrainSection
from shoptalk.integrations import nemo
from shoptalk.tuning import ctc_on_device, device_effects
from shoptalk.tuning.batches import padded_frames
from shoptalk.tuning.data import HOPS_PER_S, TOKEN_STEP
from shoptalk.tuning.graphs import Graphs, Outputs, own_stream
from shoptalk.tuning.material import Array, Drawn, Material, Shape, dev_sets, padded_tokens, shapes_of
from shoptalk.tuning.module import TuningModule, by_decay
from shoptalk.tuning.trainer import errors_and_words

WARM_UP = 0.04
"""Part of the time in which the learning rate rises; the encoder gets no gradient from a new CTC head then."""
LOOK_S = 30.0
"""Between two dev scorings, each of which writes the weights."""
TOLD_STEPS = 200
MEASURED = range(8, 14)
"""Steps whose parts are timed, with the device waited for."""
REPEATS = 3
"""Repetitions by which a recording is timed."""
AHEAD = 3
"""Steps that the host may be ahead of the device; else the clock would tell the host's time."""
WEIGHTS, BEST, HISTORY = "mean.pt", "best.pt", "history.json"
"""The newest mean weights, those with the least WER on real dev speech, and the learning curve."""
SYNTHETIC = "synthetic"

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
    """A base that is trained on packed material until a time.

    `weights` are those that a training wrote, its CTC head among them. With `recorded`, a GPU repeats recordings of the
    step instead of being told each kernel.
    """

    def __init__(  # noqa: PLR0913
        self,
        model: nemo.Model,
        config: TrainSection,
        material: Material,
        tokens: Sequence[Sequence[int]],
        *,
        device: torch.device,
        seed: int,
        out: Path,
        weights: Path | None = None,
        recorded: bool = False,
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
        self.module = TuningModule(model, config, durations=nemo.durations(model), blank=blank, seed=seed).to(device)
        self.trained = self.module.state_dict()  # the tensors that training changes in place
        if weights:
            told = torch.load(weights, map_location=device, weights_only=True)
            self.module.load_state_dict({name: value.to(self.trained[name].dtype) for name, value in told.items()})
        self.mean = {name: value.clone() for name, value in self.trained.items()}
        self._head_is_new = weights is None
        self._encoder_follows_head = True
        self.material_NM = torch.from_numpy(material.frames_NM).to(device)
        factors = config.feature_warp_factors
        self.mels = material.frames_NM.shape[1]
        self.tables = device_effects.Tables(self.mels, factors, device)
        self._prepare_updates()
        self.watch = Watch(device)
        self.dev = {source: _dev_batch(material, tokens, numbers) for source, numbers in dev_sets(material).items()}
        self.texts = [row.text for row in material.rows]
        self._recorded = recorded
        self._learn: Callable[..., Outputs] = Graphs(self._gradients, device) if recorded else self._gradients
        self._change: Callable[..., Outputs] = Graphs(self._update, device) if recorded else self._update

    def _prepare_updates(self) -> None:
        """The optimiser, and what it reads and writes: all keep their places on the device."""
        decayed, kept = by_decay(self.module)
        self.parameters = [*decayed, *kept]
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self._rate = torch.zeros((), device=self.device)
        self._following = torch.zeros((), device=self.device)
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": kept, "weight_decay": 0.0},
        ]
        on_gpu = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(groups, lr=self._rate, betas=(0.9, 0.98), fused=True, capturable=on_gpu)
        real = [name for name, value in self.trained.items() if value.is_floating_point()]
        self._means, self._weights = [self.mean[name] for name in real], [self.trained[name] for name in real]
        self._counts = [(self.mean[name], self.trained[name]) for name in self.trained.keys() - set(real)]

    def run(self, batches: Iterator[Drawn], *, until: float) -> None:
        """Train until the clock shows `until`, scoring and writing every `LOOK_S` and at the end."""
        self.module.train()
        with own_stream(self.device):
            if self._recorded and self.device.type == "cuda":
                self._record(shapes_of(self.config.batch_s))
            self._run(batches, until)

    def _run(self, batches: Iterator[Drawn], until: float) -> None:
        started = looked = self.clock()
        step, share = 0, 0.0
        under_way: deque[torch.cuda.Event] = deque()
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
            self._wait_for_old(under_way)
        self._look(step, 1.0)

    def _wait_for_old(self, under_way: "deque[torch.cuda.Event]") -> None:
        """Wait until the device is `AHEAD` steps behind at most."""
        if self.device.type != "cuda":
            return
        done = torch.cuda.Event()
        done.record()
        under_way.append(done)
        if len(under_way) > AHEAD:
            under_way.popleft().synchronize()

    def _record(self, shapes: Sequence[Shape]) -> None:
        """Record the step for each shape, on numbers that mean nothing, and time it; weights are as before."""
        before = {name: value.clone() for name, value in self.trained.items()}
        for shape in reversed(shapes):  # the largest first: smaller ones then fit into its memory
            given = self._nonsense(shape)
            self._learn(*given)
            ms = self._ms_of(lambda given=given: self._learn(*given))  # type: ignore[misc]
            self.say(f"recorded {tuple(shape)}: {ms:.1f} ms")
        self._change()
        self.say(f"recorded the update: {self._ms_of(self._change):.1f} ms")
        with torch.no_grad():
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()
        self.module.load_state_dict(before)
        for name, value in before.items():
            self.mean[name].copy_(value)
        self.say(f"{torch.cuda.max_memory_reserved(self.device) / 2**30:.1f} GiB of the device are taken")

    def _nonsense(self, shape: Shape) -> list[torch.Tensor]:
        """What `_gradients` takes."""
        count, device = shape.utterances, self.device
        return [
            torch.randn(count, self.mels, shape.frames, device=device),
            torch.full((count,), shape.frames, device=device),
            torch.randint(0, self.module.blank, (count, shape.tokens), device=device),
            torch.full((count,), shape.tokens, device=device),
        ]

    def _ms_of(self, work: Callable[[], object]) -> float:
        torch.cuda.synchronize(self.device)
        started = time.perf_counter()
        for _ in range(REPEATS):
            work()
        torch.cuda.synchronize(self.device)
        return 1000 * (time.perf_counter() - started) / REPEATS

    def _step(self, drawn: Drawn, step: int, share: float) -> dict[str, torch.Tensor]:
        """One optimiser step; one whose gradient is no number changes nothing."""
        self._rate.fill_(self.config.learning_rate * rate_at(share, self.config))
        # The mean follows faster at the start, when old weights are worth little.
        self._following.fill_(1 - min(self.config.ema, (1 + step) / (10 + step)))
        given = self._sent(drawn)
        self._encoder_follows_head = not (self._head_is_new and share < WARM_UP)
        learn = self._learn if self._encoder_follows_head else self._gradients
        with self.watch.part("gradients"):
            losses = learn(*given)
        with self.watch.part("update"):
            changed = self._change()
        return {**losses, **changed}

    def _gradients(
        self, features_BMT: torch.Tensor, frames_B: torch.Tensor, tokens_BU: torch.Tensor, lengths_B: torch.Tensor
    ) -> Outputs:
        """Losses, and the gradients in their places."""
        torch._foreach_zero_([parameter.grad for parameter in self.parameters if parameter.grad is not None])
        losses = self._losses(features_BMT, frames_B, tokens_BU, lengths_B)
        losses["loss"].backward()
        return {name: losses[name].detach() for name in ("loss", "ctc", "tdt")}

    def _update(self) -> Outputs:
        """Change the weights by the gradients; the running mean follows."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip, foreach=True)
        self.optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self.optimizer.step()
        with torch.no_grad():
            ways = torch._foreach_sub(self._weights, self._means)
            torch._foreach_mul_(ways, self._following)
            torch._foreach_add_(self._means, ways)
            for mean, count in self._counts:
                mean.copy_(count)
        return {"norm": norm}

    def _precision(self) -> Any:
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()

    def _sent(self, drawn: Drawn) -> list[torch.Tensor]:
        """What `_gradients` takes, on the device and with effects."""
        with self.watch.part("copy"):
            effects_drawn = vars(drawn.effects).values() if drawn.effects else ()
            places_BT, parts_BT, frames_B, tokens_BU, lengths_B, *tensors = device_effects.moved(
                [*drawn[:5], *effects_drawn], self.device
            )
        with self.watch.part("effects"), torch.no_grad():
            log_BTM = device_effects.gathered(self.material_NM, places_BT, parts_BT)
            effects: Any = device_effects.Effects(*tensors) if drawn.effects else None  # type: ignore[arg-type]
            if effects:
                log_BTM = device_effects.apply(log_BTM, frames_B, effects, self.material_NM, self.tables)
            features_BMT = device_effects.normalised(log_BTM, frames_B, effects)
        return [features_BMT, frames_B, tokens_BU, lengths_B]

    def _losses(
        self, features_BMT: torch.Tensor, frames_B: torch.Tensor, tokens_BU: torch.Tensor, lengths_B: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The CTC head's and the transducer's loss, both together (means over the tokens), and what the head says."""
        module, weight = self.module, self.config.ctc_weight
        with self._precision():
            encoded_BCS, encoded_B = module.model.encoder(audio_signal=features_BMT, length=frames_B)
            encoded_BSC = encoded_BCS.transpose(1, 2)
            seen_BSC = encoded_BSC if self._encoder_follows_head else encoded_BSC.detach()
            log_probs_BSV = module.ctc_head(seen_BSC).float().log_softmax(-1)
            ctc_B = ctc_on_device.losses_on_device(log_probs_BSV, tokens_BU, encoded_B, lengths_B, blank=module.blank)
            ctc = ctc_B.sum() / lengths_B.sum().clamp(min=1)
            predicted_BCU, _, _ = module.model.decoder(targets=tokens_BU, target_length=lengths_B)
            logits_BSUK = module.model.joint.joint(encoded_BSC, predicted_BCU.transpose(1, 2))
            tdt = module.loss(logits_BSUK, tokens_BU, encoded_B, lengths_B)
        loss = weight * ctc + (1 - weight) * tdt
        return {"loss": loss, "ctc": ctc, "tdt": tdt, "log_probs": log_probs_BSV}

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
        is_best = all(_real_wer(row) <= _real_wer(earlier) for earlier in self.history)
        self.history.append(row)
        self.say(json.dumps(row))
        half = {name: value.half() if value.is_floating_point() else value for name, value in self.mean.items()}
        on_host = {name: value.cpu() for name, value in half.items()}
        for name in (WEIGHTS, BEST) if is_best else (WEIGHTS,):
            with write_file(self.out / name) as partial:
                torch.save(on_host, partial)
        write_text(self.out / HISTORY, json.dumps(self.history, indent=1))

    def _dev_scores(self) -> dict[str, float]:
        """Of each source: WER of the CTC head's best path, and the transducer's loss a token."""
        scores: dict[str, float] = {}
        for source, (numbers, drawn) in self.dev.items():
            with torch.no_grad():
                losses = self._losses(*self._sent(drawn))
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


def _real_wer(row: Mapping[str, float]) -> float:
    """The mean of the sources of real speech; of all where there is none."""
    wers = {name.removeprefix("ctc_wer_"): wer for name, wer in row.items() if name.startswith("ctc_wer_")}
    real = [wer for source, wer in wers.items() if source != SYNTHETIC] or list(wers.values())
    return sum(real) / max(1, len(real))


def encoder_frames(frames_B: Array) -> torch.Tensor:
    """Frames (B,) behind three convolutions of stride 2, kernel 3 and padding 1, on the CPU."""
    lengths_B = torch.from_numpy(frames_B)
    for _ in range(3):
        lengths_B = (lengths_B - 1) // 2 + 1
    return lengths_B


def _dev_batch(material: Material, tokens: Sequence[Sequence[int]], numbers: Array) -> tuple[Array, Drawn]:
    """The dev recordings of a source as one batch without effects."""
    firsts, frames_B = material.places_R2[numbers].T.copy()
    places_BT = np.minimum(firsts[:, None] + np.arange(padded_frames(int(frames_B.max()))), len(material.frames_NM) - 1)
    parts_BT = np.zeros(places_BT.shape, np.float16)
    longest = max(1, *(len(tokens[number]) for number in numbers))
    said = padded_tokens([tokens[number] for number in numbers], -(-longest // TOKEN_STEP) * TOKEN_STEP)
    return numbers, Drawn(places_BT.astype(np.int32), parts_BT, frames_B, *said, None)
