"""Work that does not fit into the memory of a GPU, done in smaller batches."""

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from shoptalk.core.errors import GpuMemoryError

Result = TypeVar("Result")
log = logging.getLogger(__name__)

SIGNS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What the messages of CUDA's libraries have, which raise a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it arose from, is a lack of memory: the end of a broken capture hides it."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, torch.OutOfMemoryError):
            return True
        if isinstance(reason, RuntimeError) and any(sign in str(reason) for sign in SIGNS):
            return True
        reason = reason.__cause__ or reason.__context__
    return False


@contextmanager
def named(cure: str) -> Iterator[None]:
    """Let a lack of memory be a `GpuMemoryError` that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise GpuMemoryError(f"the memory of the GPU does not suffice; {cure}") from None


def in_fitting_batches(
    batches: Iterable[Sequence[int]],
    run: Callable[[list[list[int]]], Iterable[Result]],
    release: Callable[[], None],
) -> Iterator[tuple[list[int], Result]]:
    """Each batch with what `run` gives for it, in order; after a lack of memory the rest in batches of half the size.

    `run` gives a result for each batch in turn. `release` gives back what can be made again. `GpuMemoryError` where one
    recording alone does not fit; what comes later can be run all the same.
    """
    waiting = [list(batch) for batch in batches]
    while waiting:
        is_short = False
        results: list[Result] = []
        try:
            for result in run(waiting):
                results.append(result)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            is_short = True
        # here the error is gone, and with its traceback all tensors that the failed call held
        done = len(results)
        yield from zip(waiting[:done], results, strict=True)
        waiting = waiting[done:]
        if is_short:
            gc.collect()
            release()
            torch.cuda.empty_cache()
            waiting = _halved(waiting)


def _halved(batches: list[list[int]]) -> list[list[int]]:
    size = max(len(batch) for batch in batches)
    if size == 1:
        raise GpuMemoryError(
            "the memory of the GPU does not suffice for one recording; give shorter ones, or set engine.precision to "
            "bf16, or engine.device to cpu"
        )
    smaller = size // 2
    log.warning(
        "the memory of the GPU does not suffice for %d recordings at once: going on with %d; lower evaluate.batch or "
        "serve.batch to save the first try",
        size,
        smaller,
    )
    places = [place for batch in batches for place in batch]
    return [places[start : start + smaller] for start in range(0, len(places), smaller)]
