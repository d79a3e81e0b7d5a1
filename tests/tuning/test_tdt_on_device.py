"""The TDT loss of any device, on a GPU where there is one, against the CPU's, which is held against all paths' sum."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import NothingWaits
from torch.utils._python_dispatch import TorchDispatchMode

from shoptalk.tuning import tdt_on_device
from shoptalk.tuning.tdt_loss import tdt_losses
from shoptalk.tuning.tdt_on_device import losses_on_device

IMPOSSIBLE = 1e29
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def example(
    seed: int, frames: list[int], lengths: list[int], *, vocabulary: int, spans: int, padding: int, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, targets, frames and lengths; the padding goes beyond the longest utterance."""
    rng = torch.Generator().manual_seed(seed)
    longest = max(lengths) + padding
    shape = len(frames), max(frames) + padding, longest + 1, vocabulary + 1 + spans
    logits = scale * torch.randn(shape, generator=rng)
    targets = torch.randint(0, vocabulary, (len(frames), longest), generator=rng)
    return logits, targets, torch.tensor(frames), torch.tensor(lengths)


def with_gradient(
    losses: Callable[..., torch.Tensor], logits: torch.Tensor, *arguments: torch.Tensor, weights: Any, **keys: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    device = DEVICE if losses is losses_on_device else "cpu"
    logits = logits.to(device, copy=True).requires_grad_(True)
    losses_B = losses(logits, *(part.to(device) for part in arguments), **keys).cpu()
    (losses_B * weights).sum().backward()
    assert logits.grad is not None
    return losses_B.detach(), logits.grad.cpu()


@given(
    seed=st.integers(0, 9999),
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 8)), min_size=1, max_size=4),
    vocabulary=st.integers(1, 6),
    durations=st.sampled_from([(0, 1, 2, 3, 4), (0, 1), (1, 2), (0, 2), (4, 0, 1), (0, 1, 9), (1,)]),
    padding=st.integers(0, 4),
    sigma=st.sampled_from([0.0, 0.05]),
    plain=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
)
@settings(max_examples=40, deadline=None)
def test_losses_and_gradients_are_those_of_the_cpu(
    seed: int,
    sizes: list[tuple[int, int]],
    vocabulary: int,
    durations: tuple[int, ...],
    padding: int,
    sigma: float,
    plain: bool,
    scale: float,
) -> None:
    frames, lengths = [frames for frames, _ in sizes], [length for _, length in sizes]
    given_ = example(seed, frames, lengths, vocabulary=vocabulary, spans=len(durations), padding=padding, scale=scale)
    keys = {"blank": vocabulary, "durations": durations, "sigma": sigma, "plain_rnnt": plain}
    weights = torch.from_numpy(np.random.default_rng(seed).uniform(0.1, 2, len(sizes))).float()
    expected_B, expected_grad = with_gradient(tdt_losses, *given_, weights=weights, **keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tdt_on_device, "MOST_NUMBERS", (1, 300, 2**27)[seed % 3])
        told_B, told_grad = with_gradient(losses_on_device, *given_, weights=weights, **keys)
    assert torch.equal(told_B > IMPOSSIBLE, expected_B > IMPOSSIBLE)
    torch.testing.assert_close(told_B, expected_B, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(told_grad, expected_grad, rtol=1e-4, atol=2e-6 * max(1.0, scale))


def test_bfloat16_has_the_losses_of_the_same_numbers_in_float32() -> None:
    given_ = example(1, [9, 5], [6, 2], vocabulary=5, spans=5, padding=2, scale=2.0)
    keys = {"blank": 5, "durations": (0, 1, 2, 3, 4)}
    logits = given_[0].to(torch.bfloat16)
    expected_B, expected_grad = with_gradient(losses_on_device, logits.float(), *given_[1:], weights=1.0, **keys)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        told_B, told_grad = with_gradient(losses_on_device, logits, *given_[1:], weights=1.0, **keys)
    assert told_B.dtype == torch.float32 and torch.equal(told_B, expected_B)
    assert told_grad.dtype == torch.bfloat16 and torch.equal(told_grad, expected_grad.to(torch.bfloat16))


def test_the_host_waits_for_nothing() -> None:
    logits, *rest = (part.to(DEVICE) for part in example(1, [9, 5], [6, 2], vocabulary=5, spans=2, padding=2, scale=2))
    logits.requires_grad_(True)
    with NothingWaits():
        losses_on_device(logits, *rest, blank=5, durations=(0, 1)).sum().backward()
    assert logits.grad is not None


def test_host_and_device_are_not_mixed() -> None:
    """On a device whose tensors have no values, so that nothing can depend on one or be fetched."""
    logits, *rest = (part.to("meta") for part in example(1, [9, 5], [6, 2], vocabulary=5, spans=2, padding=2, scale=2))
    logits.requires_grad_(True)
    told_B = tdt_losses(logits, *rest, blank=5, durations=(0, 1))  # which takes this way wherever there is no CPU
    told_B.sum().backward()
    assert logits.grad is not None and {told_B.device.type, logits.grad.device.type} == {"meta"}


def test_only_a_slice_is_in_float32_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, *rest = example(1, [40] * 8, [10] * 8, vocabulary=500, spans=2, padding=0, scale=2.0)
    monkeypatch.setattr(tdt_on_device, "MOST_NUMBERS", logits[0].numel())
    sizes = Sizes()
    logits = logits.to(torch.bfloat16).requires_grad_(True)
    with sizes:
        losses_on_device(logits, *rest, blank=500, durations=(0, 1)).sum().backward()
    large = [(dtype, size) for dtype, size in sizes.made if size > logits[0].numel()]
    assert large == [(torch.bfloat16, logits.numel())]


class Sizes(TorchDispatchMode):
    """Type and size of every tensor with memory of its own that an operation gives."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[torch.dtype, int]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        told = function(*args, **(kwargs or {}))
        known = {part.untyped_storage().data_ptr() for part in args if isinstance(part, torch.Tensor)}
        if isinstance(told, torch.Tensor) and told.untyped_storage().data_ptr() not in known:
            self.made.append((told.dtype, told.numel()))
        return told
