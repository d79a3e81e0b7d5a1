"""The vocoder's convolutions and loops against NumPy and PyTorch in float, and that padding changes no bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core import device
from shoptalk.integrations import kokoro_vocoder as vocoder

needs_exact_sums = pytest.mark.skipif(
    not device.sums_int8_exactly(device.processor()),  # oneDNN is narrowed as we are
    reason="sums of 8-bit products overflow on this processor",
)


def tensors(rng: np.random.Generator, *, taps: int, stride: int, dilation: int) -> dict[str, np.ndarray]:
    return {
        "part.weight": rng.integers(-128, 128, (16, 8, taps)).astype(np.int8),
        "part.scale": np.float32([0.01]),
        "part.bias": rng.normal(size=16).astype(np.float32),
        "part.steps": np.array([stride, dilation * (taps - 1) // 2, dilation]),
    }


@needs_exact_sums
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(40, 200),
    more=st.integers(0, 60),
    taps=st.sampled_from([1, 3, 7, 11]),
    dilation=st.sampled_from([1, 3, 5]),
    zero=st.sampled_from([0, 1, 100, 128, 255]),
)
@settings(max_examples=25, deadline=None)
def test_a_convolution_is_pytorchs_of_the_same_numbers_and_rows_behind_change_no_bit(
    seed: int, rows: int, more: int, taps: int, dilation: int, zero: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = tensors(rng, taps=taps, stride=1, dilation=dilation)
    convolution = vocoder._Convolution(weights, "part")
    bytes_NC = rng.integers(0, 256, (rows, 8)).astype(np.uint8)
    out_NC = convolution.run(vocoder.Scaled(bytes_NC, 0.02, zero))
    numbers = torch.from_numpy((bytes_NC.astype(np.float64) - zero) * 0.02).t()[None]
    float_weight = torch.from_numpy(weights["part.weight"].astype(np.float64)) * float(weights["part.scale"][0])
    expected = torch.nn.functional.conv1d(
        numbers,
        float_weight,
        torch.from_numpy(weights["part.bias"].astype(np.float64)),
        padding=int(weights["part.steps"][1]),
        dilation=dilation,
    )
    assert np.allclose(out_NC, expected[0].t().numpy(), rtol=1e-5, atol=1e-4)
    padded_NC = np.concatenate([bytes_NC, np.full((more, 8), zero, np.uint8)])
    assert np.array_equal(convolution.run(vocoder.Scaled(padded_NC, 0.02, zero))[:rows], out_NC)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 300), spread=st.floats(0.01, 50.0), mean=st.floats(-5, 5))
@settings(max_examples=25, deadline=None)
def test_moments_are_numpys(seed: int, rows: int, spread: float, mean: float) -> None:
    x_NC = np.random.default_rng(seed).normal(mean, spread, (rows + 7, 16)).astype(np.float32)
    mean_C, variance_C = vocoder._moments(x_NC, rows)
    exact_NC = x_NC[:rows].astype(np.float64)
    scale = np.square(exact_NC).mean(axis=0)
    assert np.allclose(mean_C, exact_NC.mean(axis=0), atol=1e-5 * np.sqrt(scale.max()))
    assert np.allclose(variance_C, exact_NC.var(axis=0), atol=1e-5 * scale.max())


@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0.1, 30.0))
@settings(max_examples=25, deadline=None)
def test_norm_and_snake_in_bytes_are_the_published_formula(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    rows, channels = 90, 16
    x_NC = rng.normal(0.5, spread, (rows + 10, channels)).astype(np.float32)
    timbre = rng.normal(size=4).astype(np.float32)
    weight, bias = rng.normal(size=(4, 2 * channels)), rng.normal(size=2 * channels)
    alpha_C = rng.uniform(0.1, 3.0, channels).astype(np.float32)
    layer = vocoder._Layer(weight.astype(np.float32), bias.astype(np.float32), alpha_C, None)  # type: ignore[arg-type]
    room = vocoder._Room(np.empty((rows + 10, channels), np.float32), np.empty((rows + 10, channels), np.uint8))
    got = vocoder._activated(x_NC, rows, timbre, layer, room)
    scale_C, shift_C = np.split(timbre @ weight + bias, 2)
    valid_NC = x_NC[:rows].astype(np.float64)
    normed_NC = (valid_NC - valid_NC.mean(axis=0)) / np.sqrt(valid_NC.var(axis=0) + 1e-5)
    y_NC = normed_NC * (1 + scale_C) + shift_C
    expected_NC = y_NC + np.square(np.sin(alpha_C * y_NC)) / alpha_C
    numbers_NC = (got.bytes_NC[:rows].astype(np.float64) - got.zero) * got.scale
    assert np.abs(numbers_NC - expected_NC).max() <= 1.01 * got.scale, "a level at most: half of it, and the zero's"
    assert (got.bytes_NC[rows:] == got.zero).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_spectrum_is_that_of_fft_and_of_constant_frames_what_is_given(seed: int) -> None:
    source_T = np.random.default_rng(seed).normal(size=200).astype(np.float32)
    source_T[60:120] = 0.3
    window = np.hanning(21)[:20].astype(np.float32)
    unvoiced = np.arange(22, dtype=np.float32)
    got_NC = vocoder._spectrum(source_T, window, unvoiced)
    frames = np.lib.stride_tricks.sliding_window_view(source_T, 20)[::5]
    is_constant = (frames == np.float32(0.3)).all(axis=1)
    assert is_constant.sum() == 9 and (got_NC[is_constant] == unvoiced).all()
    expected = np.fft.rfft(frames[~is_constant] * window)
    magnitude_NB, phase_NB = np.split(got_NC[~is_constant], 2, axis=1)
    assert np.allclose(magnitude_NB * np.exp(1j * phase_NB), expected, atol=1e-5)
