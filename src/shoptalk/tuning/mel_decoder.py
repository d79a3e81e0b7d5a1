"""Log-mel features of Kokoro's speech without its vocoder, from what Kokoro knows before it: a twelfth of the time.

A small network learns from recordings that Kokoro spoke whole which features their hidden states become. Training
needs the features only, so text can be turned into many hours of them. Shapes: B utterances, K Kokoro frames
(12.5 ms), T mel frames (10 ms), M mel bins, C channels, S numbers of a voice's timbre.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.core import runtime

Array = npt.NDArray[np.float32]

MEL_FRAMES_PER_KOKORO_FRAME = 1.25
VOICED_HZ = 10.0
EDGE_FRAMES = 10
SILENCE_DB = -45.0
"""Below the loudest frame, what counts as silence, of which `EDGE_FRAMES` stay at both ends; as Kokoro is trimmed."""
WINDOW = 200
"""Mel frames of a training example."""
LONGEST_SILENCE = 400
"""Mel frames before the speech, at most."""


class Pair(NamedTuple):
    """What the vocoder reads, brought to mel frames (C, T), the voice's timbre (S,), and what it made of it (T, M)."""

    seen_CT: Array
    timbre_S: Array
    features_TM: Array


class MelDecoder(torch.nn.Module):
    """Mean and log-variance of each mel bin: a few convolutions that the voice's timbre scales and shifts."""

    centre_C: torch.Tensor
    spread_C: torch.Tensor
    mean_M: torch.Tensor

    def __init__(self, channels_in: int, timbre: int, mels: int, *, channels: int = 192, layers: int = 5):
        super().__init__()
        self.enter = torch.nn.Conv1d(channels_in, channels, 1)
        self.layers = torch.nn.ModuleList(_Layer(channels, timbre) for _ in range(layers))
        self.leave = torch.nn.Conv1d(channels, 2 * mels, 1)
        for parameter in self.leave.parameters():
            torch.nn.init.zeros_(parameter)
        self.register_buffer("centre_C", torch.zeros(channels_in))
        self.register_buffer("spread_C", torch.ones(channels_in))
        self.register_buffer("mean_M", torch.zeros(mels))

    @staticmethod
    def restore(weights: Mapping[str, torch.Tensor]) -> "MelDecoder":
        """A decoder from its `state_dict`."""
        timbre = weights["layers.0.voice.weight"].shape[1]
        decoder = MelDecoder(weights["centre_C"].numel(), timbre, weights["mean_M"].numel())
        decoder.load_state_dict(weights)
        return decoder.eval()

    def forward(self, seen_BCT: torch.Tensor, timbre_BS: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and log-variances, both (B, M, T)."""
        x = self.enter((seen_BCT - self.centre_C[:, None]) / self.spread_C[:, None])
        for layer in self.layers:
            x = layer(x, timbre_BS)
        mean_BMT, variance_BMT = self.leave(torch.nn.functional.gelu(x)).chunk(2, 1)
        return 2 * mean_BMT + self.mean_M[:, None], variance_BMT.clamp(-6.0, 4.0)

    def speak(self, seen_CT: Array, timbre_S: Array, rng: np.random.Generator) -> Array:
        """Features (T, M) drawn from what the network thinks likely: means alone would be smoother than speech."""
        with torch.inference_mode():
            mean_BMT, variance_BMT = self(torch.from_numpy(seen_CT)[None], torch.from_numpy(timbre_S)[None])
        mean_TM, spread_TM = mean_BMT[0].T.numpy(), (variance_BMT[0].T / 2).exp().numpy()
        drawn: Array = mean_TM + spread_TM * rng.standard_normal(mean_TM.shape, np.float32)
        return drawn


class _Layer(torch.nn.Module):
    def __init__(self, channels: int, timbre: int):
        super().__init__()
        self.mix = torch.nn.Conv1d(channels, channels, 5, padding=2)
        self.voice = torch.nn.Linear(timbre, 2 * channels)

    def forward(self, x: torch.Tensor, timbre_BS: torch.Tensor) -> torch.Tensor:
        scale, shift = self.voice(timbre_BS)[:, :, None].chunk(2, 1)
        out: torch.Tensor = x + self.mix(torch.nn.functional.gelu(x * (1 + scale) + shift))
        return out


def seen(hidden_CK: Array, pitch_K: Array) -> Array:
    """Hidden states, log-pitch and voicing at the mel frames (C + 2, T), linearly between Kokoro's frames."""
    voiced_K = pitch_K > VOICED_HZ
    rows_CK = np.concatenate([hidden_CK, [np.log1p(np.maximum(pitch_K, 0.0)) / 5, voiced_K]]).astype(np.float32)
    frames = round(rows_CK.shape[1] * MEL_FRAMES_PER_KOKORO_FRAME) + 1
    # Mel frame t is centred at t · 10 ms, Kokoro's frame k at (k + ½) · 12.5 ms.
    place_T = np.clip(np.arange(frames) / MEL_FRAMES_PER_KOKORO_FRAME - 0.5, 0, rows_CK.shape[1] - 1)
    before_T = np.floor(place_T).astype(int)
    after_T, part_T = np.minimum(before_T + 1, rows_CK.shape[1] - 1), (place_T - before_T).astype(np.float32)
    return rows_CK[:, before_T] * (1 - part_T) + rows_CK[:, after_T] * part_T


def fit(
    pairs: Sequence[Pair],
    *,
    steps: int,
    batch: int = 8,
    learning_rate: float = 2e-3,
    seed: int,
    progress: Callable[[float], object],
) -> MelDecoder:
    """Train a decoder by Gaussian likelihood; `progress` gets the loss of each step, in nats a bin."""
    with runtime.seeded(seed):
        return _fit(pairs, np.random.default_rng(seed), steps, batch, learning_rate, progress)


def _fit(
    pairs: Sequence[Pair],
    rng: np.random.Generator,
    steps: int,
    batch: int,
    learning_rate: float,
    progress: Callable[[float], object],
) -> MelDecoder:
    decoder = MelDecoder(pairs[0].seen_CT.shape[0], pairs[0].timbre_S.size, pairs[0].features_TM.shape[1])
    all_CT = np.concatenate([pair.seen_CT for pair in pairs], axis=1)
    decoder.centre_C.copy_(torch.from_numpy(all_CT.mean(1)))
    decoder.spread_C.copy_(torch.from_numpy(all_CT.std(1) + 1e-3))
    decoder.mean_M.copy_(torch.from_numpy(np.concatenate([pair.features_TM for pair in pairs]).mean(0)))
    optimizer = torch.optim.AdamW(decoder.parameters(), learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        seen_BCT, timbre_BS, wanted_BMT, counts_BT = _examples(pairs, rng.integers(len(pairs), size=batch), rng)
        mean_BMT, variance_BMT = decoder(seen_BCT, timbre_BS)
        nats_BMT = ((wanted_BMT - mean_BMT).square() * (-variance_BMT).exp() + variance_BMT) / 2
        loss = (nats_BMT.mean(1) * counts_BT).sum() / counts_BT.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress(loss.item())
    return decoder.eval()


def _examples(pairs: Sequence[Pair], chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> list[torch.Tensor]:
    """Windows of the chosen pairs, padded to one length, and which of their frames count."""
    rows = []
    for index in chosen:
        pair = pairs[index]
        frames = min(pair.seen_CT.shape[1], len(pair.features_TM))
        begin = int(rng.integers(max(1, frames - WINDOW + 1)))
        part = slice(begin, min(begin + WINDOW, frames))
        short = max(0, WINDOW - frames)
        seen_CT = np.pad(pair.seen_CT[:, part], ((0, 0), (0, short)))
        wanted_MT = np.pad(pair.features_TM[part].T, ((0, 0), (0, short)))
        counts_T = np.pad(np.ones(WINDOW - short, np.float32), (0, short))
        rows.append((seen_CT, pair.timbre_S, wanted_MT, counts_T))
    return [torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)]


def loud_part(features_TM: Array) -> slice:
    """The frames between silence at both ends, `EDGE_FRAMES` of it kept."""
    loudness_T = np.log(np.exp(features_TM).sum(axis=1))
    loud = np.flatnonzero(loudness_T > loudness_T.max() + SILENCE_DB * np.log(10) / 10)
    return slice(max(0, int(loud[0]) - EDGE_FRAMES), int(loud[-1]) + 1 + EDGE_FRAMES)


def without_grain(features_TM: Array, rng: np.random.Generator) -> Array:
    """The means of features that `MelDecoder.speak` drew with `rng` and of which `loud_part` was kept; about.

    What was drawn is known, but not how much of it was added: that is estimated from the neighbourhood. Means need a
    third of the space of drawn features, and other grain can be drawn each time that they are trained on.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter

    drawn_TM = rng.standard_normal((len(features_TM) + LONGEST_SILENCE, features_TM.shape[1]), np.float32)
    head_TM = (features_TM - uniform_filter(features_TM, 5))[:40]
    likeness = [float(np.vdot(head_TM, drawn_TM[first : first + len(head_TM)])) for first in range(LONGEST_SILENCE)]
    drawn_TM = drawn_TM[int(np.argmax(likeness)) :][: len(features_TM)]
    power_TM = gaussian_filter(np.square(drawn_TM), (4, 3))
    smooth_TM = gaussian_filter(features_TM, 1.5)
    for _ in range(3):
        spread_TM = gaussian_filter((features_TM - smooth_TM) * drawn_TM, (4, 3)) / power_TM
        mean_TM = features_TM - np.clip(spread_TM, 0.05, 7.0) * drawn_TM  # the bounds of `MelDecoder.forward`
        smooth_TM = gaussian_filter(mean_TM, (1.0, 0.8))
    return np.asarray(mean_TM, np.float32)
