"""Copies between host and GPU; on a CPU the same, without pinned memory."""

import torch
from torch.nn.utils.rnn import pad_sequence

from shoptalk.engine.gpu.transfer import to_device, to_host

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def test_signals_are_padded_to_the_longest() -> None:
    signals = [torch.randn(length) for length in (5, 1, 9, 0)]
    for _ in range(3):  # pinned memory is used again
        signal_BS = to_device(signals, DEVICE)
        assert signal_BS.device.type == DEVICE.type
        assert torch.equal(signal_BS.cpu(), pad_sequence(signals, batch_first=True))


def test_what_comes_to_the_host_is_whole() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(300, 700, dtype=dtype, device=DEVICE)
        many = (x @ x.mT).mT  # in work when the copy is asked for, and not contiguous
        on_host = to_host(many)
        assert on_host.device.type == "cpu" and on_host.dtype == dtype and torch.equal(on_host, many.cpu())
