"""The pool of workers for services: threads of this process, whose results come in the order of the work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Threads:
    """`Workers` that wait for a service most of the time; only a few items are drawn ahead of the results."""

    count: int

    def map(
        self, work: Callable[[T], R], items: Iterable[T], *, start: Callable[..., None], arguments: tuple[Any, ...]
    ) -> Iterator[R]:
        """Yield `work(item)` for each item, in order; `start(*arguments)` runs once before any."""
        start(*arguments)
        pool = ThreadPoolExecutor(self.count)
        ahead: deque[Future[R]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > 2 * self.count:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # what is under way is paid for, and is kept
