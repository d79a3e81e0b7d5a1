"""The TDT loss against a path-by-path reference and against numerical gradients."""

import itertools
import math

import numpy as np
import pytest
import torch

from shoptalk.tuning.tdt_loss import TdtLoss, tdt_losses

DURATIONS = (0, 1, 2, 3, 4)


def enumerate_paths(logits_TUK, targets, *, durations, sigma, plain):
    """Sum the probability of every path, one by one: the definition of the loss, in no clever way."""
    T, U, _ = logits_TUK.shape
    blank = logits_TUK.shape[-1] - 1 - len(durations)
    tokens = torch.log_softmax(logits_TUK[..., : blank + 1].double(), -1) - (0 if plain else sigma)
    spans = torch.log_softmax(logits_TUK[..., blank + 1 :].double(), -1)

    def walk(t, u):
        if t == T:
            return 1.0 if u == U - 1 else 0.0
        total = 0.0
        for d, step in enumerate(durations):
            span = 0.0 if plain else float(spans[t, u, d])
            if (step == 1 if plain else step > 0) and t + step <= T:
                total += math.exp(float(tokens[t, u, blank]) + span) * walk(t + step, u)
            if (step == 0 if plain else True) and u < U - 1 and t + step < T:
                total += math.exp(float(tokens[t, u, targets[u]]) + span) * walk(t + step, u + 1)
        return total

    # A path ends with a blank that lands on frame T exactly, so a token may not.
    return -math.log(walk(0, 0))


def example(B=3, T=5, U=4, V=6, D=5, seed=0, dtype=torch.float32):
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, T, U, V + 1 + D, generator=rng, dtype=dtype)
    targets = torch.randint(0, V, (B, U - 1), generator=rng)
    return logits, targets, torch.tensor([T, T - 1, T - 2][:B]), torch.tensor([U - 1, U - 2, U - 1][:B])


@pytest.mark.parametrize(("sigma", "plain"), [(0.0, False), (0.05, False), (0.05, True)])
def test_equals_the_sum_over_all_paths(sigma, plain):
    logits, targets, frames, lengths = example()
    losses = tdt_losses(logits, targets, frames, lengths, blank=6, durations=DURATIONS, sigma=sigma, plain_rnnt=plain)
    for b in range(3):
        cut = logits[b, : frames[b], : lengths[b] + 1]
        expected = enumerate_paths(cut, targets[b], durations=DURATIONS, sigma=sigma, plain=plain)
        assert losses[b].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("plain", [False, True])
def test_gradient_equals_finite_differences(plain):
    logits, targets, frames, lengths = example(B=2, T=4, U=3, V=3)
    logits.requires_grad_(True)

    def run(x):
        return tdt_losses(
            x, targets, frames[:2], lengths[:2], blank=3, durations=DURATIONS, sigma=0.02, plain_rnnt=plain
        ).sum()

    run(logits).backward()
    rng = np.random.default_rng(1)
    for _ in range(60):
        index = tuple(int(rng.integers(size)) for size in logits.shape)
        step = 1e-2
        up, down = logits.detach().clone(), logits.detach().clone()
        up[index] += step
        down[index] -= step
        slope = (run(up) - run(down)).item() / (2 * step)
        assert logits.grad[index].item() == pytest.approx(slope, abs=2e-3)


def test_equals_torchaudio_style_rnnt_recursion():
    """Plain RNN-T against an independent recursion in double precision."""
    logits, targets, frames, lengths = example(B=3, T=9, U=4)
    losses = tdt_losses(logits, targets, frames, lengths, blank=6, durations=DURATIONS, plain_rnnt=True)
    for b in range(3):
        T, U = int(frames[b]), int(lengths[b]) + 1
        lp = torch.log_softmax(logits[b, :, :, :7].double(), -1)
        alpha = torch.full((T, U), -math.inf, dtype=torch.float64)
        alpha[0, 0] = 0
        for t, u in itertools.product(range(T), range(U)):
            arrivals = [alpha[t - 1, u] + lp[t - 1, u, 6]] if t else []
            arrivals += [alpha[t, u - 1] + lp[t, u - 1, targets[b, u - 1]]] if u else []
            if arrivals:
                alpha[t, u] = torch.logsumexp(torch.stack(arrivals), 0)
        assert losses[b].item() == pytest.approx(-(alpha[-1, -1] + lp[T - 1, U - 1, 6]).item(), rel=1e-5)


def test_padding_gets_no_gradient_and_changes_nothing():
    logits, targets, frames, lengths = example()
    logits.requires_grad_(True)
    losses = tdt_losses(logits, targets, frames, lengths, blank=6, durations=DURATIONS)
    losses.sum().backward()
    for b in range(3):
        assert not logits.grad[b, int(frames[b]) :].any()
        assert not logits.grad[b, :, int(lengths[b]) + 1 :].any()
    noisy = logits.detach().clone()
    noisy[2, int(frames[2]) :] = 99.0
    again = tdt_losses(noisy, targets, frames, lengths, blank=6, durations=DURATIONS)
    assert torch.allclose(losses.detach(), again)


def test_omega_draws_plain_batches_at_its_rate():
    logits, targets, frames, lengths = example()
    loss = TdtLoss(blank=6, durations=DURATIONS, sigma=0.02, omega=0.3, seed=1)
    volume = lengths.sum()
    plain = tdt_losses(logits, targets, frames, lengths, blank=6, durations=DURATIONS, plain_rnnt=True).sum() / volume
    draws = [bool(torch.isclose(loss(logits, targets, frames, lengths), plain)) for _ in range(400)]
    assert 0.22 < sum(draws) / 400 < 0.38


def test_wrong_width_is_named():
    logits, targets, frames, lengths = example()
    with pytest.raises(ValueError, match="12 logits are not 9 tokens"):
        tdt_losses(logits, targets, frames, lengths, blank=8, durations=DURATIONS)
