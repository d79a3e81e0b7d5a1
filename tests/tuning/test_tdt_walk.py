"""The walk over the lattice as a kernel against the one in PyTorch; in Triton's interpreter where there is no GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.tuning import tdt_on_device
from shoptalk.tuning.tdt_on_device import losses_on_device, walk

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytest.importorskip("triton", reason="Triton is not installed: `pip install triton`; CUDA builds of torch bring it")
tdt_walk = pytest.importorskip("shoptalk.tuning.tdt_walk")


@given(
    seed=st.integers(0, 9999), diagonals=st.integers(1, 12), spans=st.sampled_from([1, 3, 5]),
    rows=st.integers(1, 5), cells=st.integers(1, 9), absent=st.sampled_from([0.0, 0.4, 0.9]),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_it_reaches_what_the_plain_walk_reaches(
    seed: int, diagonals: int, spans: int, rows: int, cells: int, absent: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    arcs_NDRAU = 5 * torch.randn(diagonals, spans, rows, 2, cells, generator=rng, dtype=torch.float64)
    arcs_NDRAU[torch.rand(arcs_NDRAU.shape, generator=rng) < absent] = float("-inf")
    told_NRU = tdt_walk.walk_fused(arcs_NDRAU.to(DEVICE)).cpu()
    torch.testing.assert_close(told_NRU, walk(arcs_NDRAU))


@pytest.mark.skipif(DEVICE == "cpu", reason="long lattices take the interpreter minutes")
def test_the_losses_of_long_lattices_are_those_of_the_plain_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(16, 190, 101, 40 + 1 + 5, generator=rng)
    targets = torch.randint(0, 40, (16, 100), generator=rng)
    frames, lengths = torch.randint(60, 191, (16,), generator=rng), torch.randint(0, 101, (16,), generator=rng)
    told = []
    for kernel in (False, True):
        monkeypatch.setattr(tdt_on_device, "KERNEL", kernel)
        given_ = [part.to(DEVICE) for part in (logits, targets, frames, lengths)]
        given_[0].requires_grad_(True)
        losses_B = losses_on_device(*given_, blank=40, durations=(0, 1, 2, 3, 4), sigma=0.02)
        losses_B.sum().backward()
        told.append((losses_B.detach(), given_[0].grad))
    torch.testing.assert_close(told[1], told[0], rtol=1e-5, atol=1e-6)
