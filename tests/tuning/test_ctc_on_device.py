"""The CTC loss that a CUDA graph may hold, against PyTorch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.tuning.ctc_on_device import losses_on_device

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def torchs(
    log_probs_BSV: torch.Tensor, targets_BU: torch.Tensor, frames_B: torch.Tensor, lengths_B: torch.Tensor, blank: int
) -> torch.Tensor:
    return torch.nn.functional.ctc_loss(
        log_probs_BSV.transpose(0, 1),
        targets_BU,
        frames_B,
        lengths_B,
        blank=blank,
        reduction="none",
        zero_infinity=True,
    )


@given(
    seed=st.integers(0, 9999), utterances=st.integers(1, 4), frames=st.integers(1, 14), longest=st.integers(1, 6),
    tokens=st.integers(1, 5),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_losses_and_gradients_are_those_of_pytorch(
    seed: int, utterances: int, frames: int, longest: int, tokens: int
) -> None:
    """Repeated tokens, none at all, more of them than frames, and padding on every side are among the cases."""
    rng = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(utterances, frames, tokens + 1, generator=rng)
    targets_BU = torch.randint(0, tokens, (utterances, longest), generator=rng)
    frames_B = torch.randint(1, frames + 1, (utterances,), generator=rng)
    lengths_B = torch.randint(0, longest + 1, (utterances,), generator=rng)
    weights_B = torch.rand(utterances, generator=rng)

    told = []
    for ours in (False, True):
        given_BSV = logits.clone().requires_grad_(True)
        log_probs = given_BSV.log_softmax(-1)
        if ours:
            sent = [part.to(DEVICE) for part in (log_probs, targets_BU, frames_B, lengths_B)]
            losses_B = losses_on_device(*sent, blank=tokens).cpu()
        else:
            losses_B = torchs(log_probs, targets_BU, frames_B, lengths_B, tokens)
        (losses_B * weights_B).sum().backward()  # type: ignore[no-untyped-call]
        told.append((losses_B.detach(), given_BSV.grad))
    torch.testing.assert_close(told[1], told[0], rtol=1e-4, atol=1e-5)


def test_padding_may_hold_anything() -> None:
    rng = torch.Generator().manual_seed(3)
    log_probs = torch.randn(2, 9, 5, generator=rng).log_softmax(-1)
    targets_BU, frames_B, lengths_B = torch.tensor([[1, 1, 2], [3, 0, 0]]), torch.tensor([9, 5]), torch.tensor([3, 1])
    expected = losses_on_device(log_probs, targets_BU, frames_B, lengths_B, blank=4)
    wide = torch.nn.functional.pad(log_probs, (0, 0, 0, 4), value=float("nan"))
    wide[1, 5:] = float("nan")
    said_BU = torch.tensor([[1, 1, 2, 77], [3, -1, 99, 77]])
    wide.requires_grad_(True)
    told = losses_on_device(wide, said_BU, frames_B, lengths_B, blank=4)
    torch.testing.assert_close(told.detach(), expected)
    told.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(wide.grad).all() and not wide.grad[1, 5:].any()  # type: ignore[union-attr]


@pytest.mark.skipif(DEVICE == "cpu", reason="a CUDA graph needs a GPU")
def test_a_graph_holds_it() -> None:
    log_probs = torch.randn(8, 50, 30, device=DEVICE).log_softmax(-1)
    targets_BU = torch.randint(0, 29, (8, 10), device=DEVICE)
    frames_B, lengths_B = torch.full((8,), 50, device=DEVICE), torch.full((8,), 10, device=DEVICE)
    expected = losses_on_device(log_probs, targets_BU, frames_B, lengths_B, blank=29)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        told = losses_on_device(log_probs, targets_BU, frames_B, lengths_B, blank=29)
    graph.replay()
    torch.testing.assert_close(told, expected)
