"""What makes a step fast must not change what it computes."""

from pathlib import Path

import pytest
import torch

from shoptalk.integrations import nemo
from shoptalk.tuning.cpu_speed import QuickDropout, quicken, reseed


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_has_its_rate_and_keeps_the_mean(rate: float) -> None:
    x = torch.ones(500, 1_000)
    y = QuickDropout(rate, seed=1)(x)
    assert (y == 0).float().mean().item() == pytest.approx(rate, abs=0.004)
    assert y.mean().item() == pytest.approx(1.0, abs=0.005)
    assert y.unique().numel() == 2


def test_dropout_is_the_identity_in_eval_and_at_rate_zero() -> None:
    x = torch.randn(50, 7)
    assert QuickDropout(0.5, seed=1).eval()(x) is x
    assert QuickDropout(0.0, seed=1)(x) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_passes_where_the_value_passed(dtype: torch.dtype) -> None:
    x = torch.full((40, 40), 2.0, dtype=dtype, requires_grad=True)
    y = QuickDropout(0.5, seed=3)(x)
    assert y.dtype == dtype
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad * 2, y.detach())


def test_masks_differ_from_call_to_call_and_begin_anew_when_reseeded() -> None:
    model = torch.nn.Sequential(QuickDropout(0.5, 0), QuickDropout(0.5, 0))
    x = torch.ones(400)
    reseed(model, 5)
    first, second = model(x), model(x)
    reseed(model, 5)
    assert torch.equal(model(x), first) and not torch.equal(first, second)
    reseed(model, 6)
    assert not torch.equal(model(x), first)
    reseed(model, 5)
    assert not torch.equal(model[0](x), model[1](x)), "each layer has masks of its own"


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Conv1d(4, 4, 3), torch.nn.Dropout(0.2), torch.nn.Conv1d(4, 2, 1))
    return torch.nn.ModuleDict({"a": inner, "b": torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.1))})


def test_quicken_swaps_every_dropout_and_changes_no_weight() -> None:
    plain, quick = net(), net()
    quicken(quick)
    rates = [layer.p for layer in quick.modules() if isinstance(layer, QuickDropout)]
    assert rates == [0.2, 0.1] and not any(isinstance(layer, torch.nn.Dropout) for layer in quick.modules())
    assert list(plain.state_dict()) == list(quick.state_dict())
    x = torch.randn(3, 4, 9)
    assert torch.allclose(plain.eval()["a"](x), quick.eval()["a"](x), atol=1e-6)


def test_convolutions_over_several_steps_stay_in_float32_under_autocast() -> None:
    model = net().eval()
    quicken(model)
    quicken(model)  # once more does no harm
    x = torch.randn(3, 4, 9)
    expected = model["a"][0](x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model["a"][0](x), expected)
        assert model["a"][0](x.bfloat16()).dtype == torch.float32
        assert model["a"](x).dtype == torch.bfloat16, "one over a single step is a matrix product"
        assert model["b"](torch.randn(2, 8)).dtype == torch.bfloat16


def test_an_lstm_stays_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.LSTM(8, 8))
    quicken(model)
    x = torch.randn(5, 3, 8)
    expected, _ = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = model(x)
        continued, _ = model[0](x.bfloat16(), state)
    assert torch.equal(outputs, expected) and continued.dtype == torch.float32


@pytest.mark.parametrize("lengths", [[192, 192, 192], [192, 130, 57]])
def test_a_quickened_encoder_and_its_gradients_are_nemos(tiny_nemo: Path, lengths: list[int]) -> None:
    features = torch.randn(3, 80, 192, generator=torch.Generator().manual_seed(2))
    found = []
    for quick in (False, True):
        model = nemo.restore(tiny_nemo)
        model.encoder.eval()
        if quick:
            quicken(model)
        encoded, frames = model.encoder(audio_signal=features, length=torch.tensor(lengths))
        valid = torch.arange(encoded.shape[2]) < frames[:, None]
        (encoded * valid[:, None]).square().sum().backward()
        gradients = [p.grad for p in model.encoder.parameters() if p.grad is not None]
        found.append((encoded * valid[:, None], frames, *gradients))
    assert len(found[0]) == len(found[1]) > 20
    assert torch.equal(found[0][1], found[1][1])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-2 * float(one.detach().abs().max()))
