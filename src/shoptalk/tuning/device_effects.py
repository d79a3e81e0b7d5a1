"""`mel_effects` and `variety` for whole batches on a device: what was drawn for each utterance, applied to all at once.

Everything is computed for every row, with a strength of nothing where a row does not get it: no shape depends on
what was drawn, so the host never waits. Shapes: B utterances, T mel frames (10 ms), M mel bins, V voices of babble,
W masks, N frames of the whole material.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.core.recipe import TrainSection
from shoptalk.tuning import mel_effects, variety
from shoptalk.tuning.data import FLOOR
from shoptalk.tuning.mel_effects import GUARD, HOP_S

NEVER_DB = 300.0
"""An SNR at which nothing is added."""
OPEN_HZ = 8_000.0
WARPS = 64
"""So many vocal tracts; none lies at the end."""
COLOUR_KNOTS, SWELL_KNOTS = 6, 8
LONGEST_ECHO = 128
"""Frames; the slowest room has fallen by 96 dB then."""
LOUDEST_GRAIN, LOST_GRAIN = 1.0, 0.35
ALIGNED = 16

Array = npt.NDArray[Any]


class Sources(NamedTuple):
    """First frame and frames of the recordings of noise and of other voices, each (n, 2)."""

    noises: Array
    others: Array


@dataclass(frozen=True)
class Effects:
    """What was drawn for a batch, as NumPy arrays; lengths and places are in frames."""

    grain_B: Array
    """Part of the grain that packing took away that is drawn anew, and the same as a fixed spread."""
    lost_B: Array
    warp_B: Array
    """Row of `Tables.warps`."""
    tilt_db_B: Array
    echo_B: Array
    """What is left of an echo after a frame, and how loud it is."""
    echo_gain_B: Array
    level_db_B: Array
    noise_B3: Array
    """First frame, frames and start of the recorded noise."""
    noise_snr_db_B: Array
    shaped_snr_db_B: Array
    colour_BK: Array
    """Spectrum of the shaped noise at `COLOUR_KNOTS` bins, and its swell at `SWELL_KNOTS` times."""
    swell_BK: Array
    babble_BV3: Array
    """First frame, frames and start of each voice."""
    voices_BV: Array
    babble_snr_db_B: Array
    cutoff_hz_B: Array
    telephone_B: Array
    wordless_B: Array
    """0: words are left; 1: digital silence; 2: shaped noise; 3: recorded noise."""
    bands_BW2: Array
    """Frequency masks, first bin and bins; then time masks, first frame and frames."""
    stretches_BW2: Array


def moved(arrays: Sequence[Array], device: torch.device) -> list[torch.Tensor]:
    """Arrays as tensors on a device, in one copy from pinned memory: it waits for nothing that the device does."""
    ends = np.cumsum([-(-array.nbytes // ALIGNED) * ALIGNED for array in arrays])
    together = torch.empty(int(ends[-1]), dtype=torch.uint8, pin_memory=device.type == "cuda")
    starts = [0, *map(int, ends[:-1])]
    for start, array in zip(starts, arrays, strict=True):
        together.numpy()[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    there = together.to(device, non_blocking=True)
    tensors = []
    for start, array in zip(starts, arrays, strict=True):
        kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
        tensors.append(there[start : start + array.nbytes].view(kind).view(array.shape))
    return tensors


def draw(
    frames_B: Array,
    *,
    is_spoken_B: Array,
    is_lossy_B: Array,
    sources: Sources,
    mels: int,
    config: TrainSection,
    snr_db: tuple[float, float],
    rng: np.random.Generator,
) -> Effects:
    """Draw the effects of a batch with the chances of `variety.varied`."""
    count = len(frames_B)

    def happens(part: float) -> Array:
        return rng.uniform(size=count) < part

    def between(bounds: tuple[float, float], *shape: int) -> Array:
        return rng.uniform(*bounds, (count, *shape)).astype(np.float32)

    def if_happens(part: float, drawn_B: Array, otherwise: float) -> Array:
        return np.where(happens(part), drawn_B, otherwise).astype(np.float32)

    def places(of: Array, *shape: int) -> Array:
        chosen = of[rng.integers(len(of), size=(count, *shape))]
        starts = (rng.uniform(size=(count, *shape)) * chosen[..., 1]).astype(np.int64)
        return np.concatenate([chosen, starts[..., None]], axis=-1)

    low, high = config.feature_warp_factors
    warps = rng.integers(WARPS, size=count)
    echo_B = 10 ** (-6 * HOP_S / between(variety.REVERBERATION_S))
    loud_B = (1 - echo_B) * 10 ** (-between(variety.DIRECT_DB) / 10)
    swell_BK = rng.normal(size=(count, SWELL_KNOTS)) * rng.uniform(0.0, 0.6, (count, 1))
    voices = rng.integers(variety.VOICES[0], variety.VOICES[1] + 1, count)
    silent = np.where(rng.uniform(size=count) < variety.DIGITAL_SILENCE, 1, rng.integers(2, 4, count))
    return Effects(
        grain_B=between((0.5, LOUDEST_GRAIN)) * is_spoken_B.astype(np.float32),
        lost_B=between((0.0, LOST_GRAIN)) * is_lossy_B.astype(np.float32),
        warp_B=np.where(happens(config.feature_warp if low < high else 0.0), warps, WARPS),
        tilt_db_B=if_happens(config.feature_tilt, between(variety.TILT_DB_PER_OCTAVE), 0.0),
        echo_B=echo_B.astype(np.float32),
        echo_gain_B=if_happens(config.feature_room, loud_B, 0.0),
        level_db_B=if_happens(config.feature_level, between(variety.GAIN_DB), 0.0),
        noise_B3=places(sources.noises),
        noise_snr_db_B=if_happens(config.feature_noise, between(snr_db), NEVER_DB),
        shaped_snr_db_B=if_happens(config.feature_shaped_noise, between(snr_db), NEVER_DB),
        colour_BK=rng.normal(0.0, 2.0, (count, COLOUR_KNOTS)).astype(np.float32),
        swell_BK=swell_BK.astype(np.float32),
        babble_BV3=places(sources.others, variety.VOICES[1]),
        voices_BV=(np.arange(variety.VOICES[1]) < voices[:, None]).astype(np.float32),
        babble_snr_db_B=if_happens(config.feature_babble, between(snr_db), NEVER_DB),
        cutoff_hz_B=if_happens(config.feature_low_pass, between(variety.CUTOFF_HZ), OPEN_HZ),
        telephone_B=happens(config.feature_telephone).astype(np.float32),
        wordless_B=np.where(happens(config.wordless), silent, 0),
        bands_BW2=_masks(np.full(count, mels), config.frequency_masks, config.frequency_mask_bins, rng),
        stretches_BW2=_masks(frames_B, config.time_masks, (frames_B * config.time_mask_part)[:, None], rng),
    )


def _masks(sizes_B: Array, masks: int, widest: float | Array, rng: np.random.Generator) -> Array:
    """First place and width of each mask, (B, W, 2), as `module.spec_augment` draws them."""
    widths_BW = (rng.uniform(size=(len(sizes_B), masks)) * (np.round(widest) + 1)).astype(np.int64)
    starts_BW = (rng.uniform(size=widths_BW.shape) * np.maximum(1, sizes_B[:, None] - widths_BW)).astype(np.int64)
    return np.stack([starts_BW, widths_BW], axis=-1)


class Tables:
    """What the effects look up, on a device."""

    def __init__(self, mels: int, warp_factors: tuple[float, float], device: torch.device):
        lowest, highest = warp_factors
        factors = [*np.linspace(lowest, highest, WARPS), 1.0]
        places = [mel_effects.warped_places(mels, round(float(factor), 3)) for factor in factors]
        centre_hz_M = mel_effects.centres_hz(mels)
        octaves = np.log2(np.maximum(centre_hz_M, 100.0) / 1_000.0)

        def on(values: Any, kind: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.as_tensor(np.asarray(values)).to(device, kind)

        self.warps_FM = on([before for before, _ in places], torch.long)
        self.warp_parts_FM = on([part for _, part in places])
        self.centre_hz_M = on(centre_hz_M)
        self.octaves_M = on(octaves)
        self.telephone_M = on(mel_effects.telephone_gain(mels))
        self.colour_KM = on(_between_knots(COLOUR_KNOTS, mels))


def _between_knots(knots: int, places: int) -> Array:
    """Weights (K, places) that draw straight lines through values at evenly spaced knots."""
    at = np.linspace(0, places - 1, knots)
    return np.stack([np.interp(np.arange(places), at, row) for row in np.eye(knots)])


def gathered(material_NM: torch.Tensor, places_BT: torch.Tensor, parts_BT: torch.Tensor) -> torch.Tensor:
    """Log-mel frames (B, T, M) at places of the material, `parts` of the way to the frame behind."""
    places_BT = places_BT.long()
    here = material_NM[places_BT].float()
    behind = material_NM[(places_BT + 1).clamp(max=len(material_NM) - 1)].float()
    return torch.lerp(here, behind, parts_BT.float()[..., None])


def apply(
    clean_BTM: torch.Tensor, frames_B: torch.Tensor, effects: Any, material_NM: torch.Tensor, tables: Tables
) -> torch.Tensor:
    """Log-mel features (B, T, M) as `variety.varied` would have them; what lies behind an end is undefined."""
    frames = clean_BTM.shape[1]
    is_there_BT = torch.arange(frames, device=clean_BTM.device) < frames_B[:, None]
    log_BTM = _grained(clean_BTM, effects)
    log_BTM = warped(log_BTM, effects.warp_B, tables)
    tilt_BM = effects.tilt_db_B[:, None] * tables.octaves_M
    power = _gained(log_BTM.exp(), _gain(tilt_BM)[:, None])
    power = power * is_there_BT[..., None]
    power = echoed(power, effects.echo_B, effects.echo_gain_B)
    power = _gained(power, _gain(effects.level_db_B)[:, None, None])
    recorded = looped(material_NM, effects.noise_B3, frames)
    shaped = _shaped(effects, frames, tables)
    babble = _babble(material_NM, effects, frames)
    noises = ((recorded, effects.noise_snr_db_B), (shaped, effects.shaped_snr_db_B), (babble, effects.babble_snr_db_B))
    for noise, snr_db_B in noises:
        power = noisy(power, noise, snr_db_B, frames_B)
    excess_BM = (tables.centre_hz_M / effects.cutoff_hz_B[:, None] - 1.0).clamp(min=0.0)
    power = _gained(power, _gain(-(240.0 * excess_BM).clamp(max=120.0))[:, None])
    line_BM = torch.where(effects.telephone_B[:, None] > 0, tables.telephone_M, 1.0)
    power = _gained(power, line_BM[:, None])
    kind_B11 = effects.wordless_B[:, None, None]
    silence = torch.full_like(power, GUARD)
    for kind, sound in ((1, silence), (2, shaped), (3, recorded)):
        power = torch.where(kind_B11 == kind, sound, power)
    out_BTM = power.clamp(min=GUARD).log()
    jitter = torch.where(kind_B11 == 1, 0.0, 0.01)
    return out_BTM + jitter * torch.randn_like(out_BTM)


def normalised(log_BTM: torch.Tensor, frames_B: torch.Tensor, effects: Any) -> torch.Tensor:
    """Each recording by its mean and spread in each bin, padding and masks zero, (B, M, T)."""
    frames, mels = log_BTM.shape[1:]
    device = log_BTM.device
    at_T, bin_M = torch.arange(frames, device=device), torch.arange(mels, device=device)
    is_there_BT1 = (at_T < frames_B[:, None])[..., None]
    count_B11 = frames_B[:, None, None].float()
    mean_B1M = (log_BTM * is_there_BT1).sum(1, keepdim=True) / count_B11
    apart = (log_BTM - mean_B1M) * is_there_BT1
    spread_B1M = (apart.square().sum(1, keepdim=True) / (count_B11 - 1).clamp(min=1)).sqrt()
    out = apart / (spread_B1M + FLOOR)
    if effects is not None:
        kept_BT, kept_BM = ~_masked(at_T, effects.stretches_BW2), ~_masked(bin_M, effects.bands_BW2)
        out = out * kept_BT[..., None] * kept_BM[:, None]
    return out.transpose(1, 2).contiguous()


def _masked(places: torch.Tensor, masks_BW2: torch.Tensor) -> torch.Tensor:
    start, width = masks_BW2[..., 0, None], masks_BW2[..., 1, None]
    return ((places >= start) & (places < start + width)).any(1)


def _grained(log_BTM: torch.Tensor, effects: Any) -> torch.Tensor:
    """With grain like that which was taken away when the features were packed.

    The decoder of synthetic features draws a spread of about 1, and less in silence.
    """
    spread = (0.28 * (log_BTM + 17.5)).clamp(0.3, 1.0) * effects.grain_B[:, None, None]
    return log_BTM + (spread + effects.lost_B[:, None, None]) * torch.randn_like(log_BTM)


def warped(log_BTM: torch.Tensor, warp_B: torch.Tensor, tables: Tables) -> torch.Tensor:
    """`mel_effects.warp`, a vocal tract for each row."""
    before_BTM = tables.warps_FM[warp_B][:, None].expand(log_BTM.shape)
    part_B1M = tables.warp_parts_FM[warp_B][:, None]
    return torch.lerp(log_BTM.gather(2, before_BTM), log_BTM.gather(2, before_BTM + 1), part_B1M)


def echoed(power: torch.Tensor, echo_B: torch.Tensor, gain_B: torch.Tensor) -> torch.Tensor:
    """`mel_effects.room`: each frame leaves an echo that decays. Sums of ever longer stretches, twice as long each."""
    late = torch.nn.functional.pad(power, (0, 0, 1, 0))[:, :-1] * gain_B[:, None, None]
    reach = 1
    while reach < min(LONGEST_ECHO, power.shape[1]):
        earlier = torch.nn.functional.pad(late, (0, 0, reach, 0))[:, :-reach]
        late = late + earlier * (echo_B**reach)[:, None, None]
        reach *= 2
    return power + late


def noisy(power: torch.Tensor, noise: torch.Tensor, snr_db_B: torch.Tensor, frames_B: torch.Tensor) -> torch.Tensor:
    """`mel_effects.add_noise`: the SNR is measured on the louder half of the frames."""
    is_there_BT = torch.arange(power.shape[1], device=power.device) < frames_B[:, None]
    loudness_BT = torch.where(is_there_BT, power.sum(2), -1.0).sort(dim=1, descending=True).values
    half_B1 = ((frames_B + 1) // 2)[:, None]
    active_B1 = loudness_BT.clamp(min=0.0).cumsum(1).gather(1, half_B1 - 1) / half_B1
    mean_B1 = (noise.sum(2) * is_there_BT).sum(1, keepdim=True) / frames_B[:, None]
    gain_B1 = active_B1 / (mean_B1 + 1e-10) * 10 ** (-snr_db_B[:, None] / 10)
    return power + gain_B1[..., None] * noise


def looped(material_NM: torch.Tensor, places: torch.Tensor, frames: int) -> torch.Tensor:
    """Power (..., T, M) of recordings, each from its start on, again and again."""
    first, length, start = (places[..., column, None] for column in range(3))
    at = first + (start + torch.arange(frames, device=places.device)) % length
    return material_NM[at].float().exp()


def _shaped(effects: Any, frames: int, tables: Tables) -> torch.Tensor:
    """Power of `mel_effects.shaped_noise`."""
    colour_BM = effects.colour_BK @ tables.colour_KM
    swell_BT = torch.nn.functional.interpolate(effects.swell_BK[:, None], size=frames, mode="linear")[:, 0]
    shape = (len(colour_BM), frames, colour_BM.shape[1])
    fine_BTM = torch._standard_gamma(torch.full(shape, 4.0, device=colour_BM.device)) / 4.0 + 1e-3
    return fine_BTM * (colour_BM[:, None] + swell_BT[..., None] - 10.0).exp()


def _babble(material_NM: torch.Tensor, effects: Any, frames: int) -> torch.Tensor:
    """Power of several people at once, at a like level."""
    total = torch.zeros(len(effects.voices_BV), frames, material_NM.shape[1], device=material_NM.device)
    for voice in range(effects.voices_BV.shape[1]):
        power = looped(material_NM, effects.babble_BV3[:, voice], frames)
        loudness_B11 = power.sum(2).mean(1)[:, None, None] + 1e-10
        total += power / loudness_B11 * effects.voices_BV[:, voice, None, None]
    return total + GUARD


def _gain(db: torch.Tensor) -> torch.Tensor:
    return torch.pow(10.0, db / 10)


def _gained(power: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return (power - GUARD).clamp(min=0.0) * gain + GUARD
