"""The pool of workers on one machine: processes whose results come in the order of the work."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from shoptalk.core.device import cores

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Processes:
    """`Workers` on this machine; only a few items are drawn ahead of the results."""

    count: int = 0
    """0: one process for each core that we may use; 1: the work is done in this process."""

    def map(
        self, work: Callable[[T], R], items: Iterable[T], *, start: Callable[..., None], arguments: tuple[Any, ...]
    ) -> Iterator[R]:
        """Yield `work(item)` for each item, in order; `start(*arguments)` runs once in each process before."""
        return _ordered(work, items, self.count or cores(), start, arguments)


def _ordered(
    work: Callable[[T], R], items: Iterable[T], count: int, start: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[R]:
    if count == 1:
        start(*arguments)
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy the threads' locks of ONNX Runtime and torch
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(start, arguments)) as pool:
        ahead: deque[Future[R]] = deque()
        try:
            for item in items:
                with _interrupts_held():
                    ahead.append(pool.submit(work, item))
                if len(ahead) > 4 * count:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back within the block: processes that are started in it never see one, for Ctrl-C is for us alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Start a process that ends with its parent: a pool whose parent is killed would wait for work for ever."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
