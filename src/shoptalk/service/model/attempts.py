"""Calls of a model that may fail for one recording while others go on."""

from collections.abc import Callable
from typing import Any, TypeVar

from shoptalk.core.errors import BoostError, GpuMemoryError, RecognitionError
from shoptalk.service.model.messages import Reason

Result = TypeVar("Result")


def tried(call: Callable[..., Result], *arguments: Any) -> Result | Exception:
    """What a call returns or raises, of whatever kind: other recordings go on.

    Without its traceback, which would hold tensors. Its message stays here, because it might quote what was said.
    """
    try:
        return call(*arguments)
    except Exception as error:  # noqa: BLE001 - see above
        return error.with_traceback(None)


def reason_of(error: Exception) -> Reason:
    """Why a recording or a stream cannot go on."""
    if isinstance(error, GpuMemoryError | MemoryError):
        return "memory"
    if isinstance(error, BoostError):
        return "phrases"
    return "options" if isinstance(error, RecognitionError) else "failed"
