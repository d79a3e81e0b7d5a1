"""What goes between a host and a GPU by way of pinned memory, which a GPU reads and writes itself.

Through other memory an H100 fetched 1.5 GB a second, a sixteenth of what the bus carries.

Shapes: B recordings, S samples.
"""

from collections.abc import Sequence

import torch


def to_device(signals: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
    """Signals (S,) padded with zeros to one length, (B, S), on a device; the host does not wait for the copy."""
    longest = max(map(len, signals))
    signal_BS = torch.zeros(len(signals), longest, dtype=signals[0].dtype, pin_memory=device.type == "cuda")
    for row_S, signal_S in zip(signal_BS, signals, strict=True):
        row_S[: len(signal_S)] = signal_S
    return signal_BS.to(device, non_blocking=True)


def to_host(x: torch.Tensor) -> torch.Tensor:
    """A tensor in the host's memory, in its type."""
    if not x.is_cuda:
        return x
    on_host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    on_host.copy_(x, non_blocking=True)
    torch.cuda.current_stream(x.device).synchronize()
    return on_host
