"""What a host that must not wait for a GPU may not do."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = (
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "unique",
    "repeat_interleave",
    "equal",
    "is_nonzero",
    "argwhere",
)


class NothingWaits(TorchDispatchMode):
    """Refuses what needs a value of a tensor on the host, or a shape that depends on one."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.__name__.partition(".")[0]
        assert name not in WAITS, name
        if name in {"index", "index_put", "index_put_"}:
            assert all(one is None or one.dtype not in {torch.bool, torch.uint8} for one in args[1]), "index by a mask"
        return function(*args, **(kwargs or {}))
