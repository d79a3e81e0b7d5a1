"""Log-mel features as NeMo computes them: preemphasis, power spectrum, mel bands, logarithm, normalised by recording.

Lengths (B,) live on the host, so that asking for them does not wait for a GPU.

Shapes: B recordings, S samples, T mel frames of 10 ms, N points of the Fourier transform, F = N / 2 + 1, M mel bins.
"""

import torch

from shoptalk.engine.shape import Shape

STD_GUARD = 1e-5
ROWS_AT_A_TIME = 4
"""Spectra are filled up to a multiple of so many; MKL sums those left over in an order that depends on threads."""


class Features(torch.nn.Module):
    """Samples to normalised log-mel features."""

    window_N: torch.Tensor
    bands_FM: torch.Tensor

    def __init__(self, shape: Shape, window_W: torch.Tensor, bands_1MF: torch.Tensor):
        super().__init__()
        self.shape = shape
        spare = shape.n_fft - window_W.numel()  # the window stands in the middle of the transform's points
        self.register_buffer("window_N", torch.nn.functional.pad(window_W, (spare // 2, spare - spare // 2)))
        self.register_buffer("bands_FM", bands_1MF[0].t().contiguous())

    def frames(self, samples_B: torch.Tensor) -> torch.Tensor:
        """Mel frames (B,) of recordings of so many samples."""
        return samples_B // self.shape.hop

    def forward(self, signal_BS: torch.Tensor, samples_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B, T, M) of zero-padded signals, and their frames (B,); features behind those are zero.

        `samples_B` are the samples that count.
        """
        frames_B = self.frames(samples_B)
        return normalised(self.logmel(signal_BS, samples_B), frames_B), frames_B

    def logmel(self, signal_BS: torch.Tensor, samples_B: torch.Tensor) -> torch.Tensor:
        """Log-mel features (B, T, M) before normalisation, T = S / hop."""
        shape = self.shape
        spoken_BS = signal_BS
        if shape.preemphasis:
            spoken_BS = signal_BS.clone()
            spoken_BS[:, 1:] -= shape.preemphasis * signal_BS[:, :-1]
            length = signal_BS.shape[1]
            if int(samples_B.min()) < length:
                sample_S = torch.arange(length, device=signal_BS.device)
                spoken_BS *= sample_S < samples_B.to(signal_BS.device)[:, None]
        frames = signal_BS.shape[1] // shape.hop
        filled = frames + -frames % ROWS_AT_A_TIME
        half = shape.n_fft // 2
        padded_BS = torch.nn.functional.pad(spoken_BS, (half, half + ROWS_AT_A_TIME * shape.hop))
        frames_BTN = padded_BS.unfold(1, shape.n_fft, shape.hop)[:, :filled]
        spectrum_BTF = torch.fft.rfft(frames_BTN * self.window_N)
        power_BTF = spectrum_BTF.real.square() + spectrum_BTF.imag.square()
        return (power_BTF @ self.bands_FM).add_(shape.log_guard).log_()[:, :frames]


def normalised(logmel_BTM: torch.Tensor, frames_B: torch.Tensor) -> torch.Tensor:
    """Mean 0 and variance 1 of each mel bin over the frames of its recording; zeros behind them."""
    device = logmel_BTM.device
    count_B11 = frames_B.to(device)[:, None, None]
    frame_T1 = torch.arange(logmel_BTM.shape[1], device=device)[:, None]
    inside_BT1 = (frame_T1 < count_B11).to(logmel_BTM.dtype)
    weights_B1T = inside_BT1.transpose(1, 2)  # sums as products: a reduction over frames costs six times as much
    mean_B1M = weights_B1T @ logmel_BTM / count_B11
    centred_BTM = (logmel_BTM - mean_B1M).mul_(inside_BT1)
    variance_B1M = weights_B1T @ centred_BTM.square() / (count_B11 - 1)
    return centred_BTM.div_(variance_B1M.sqrt().nan_to_num_() + STD_GUARD)
