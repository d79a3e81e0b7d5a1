"""Progress of long work, on standard error: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

EVERY_S = 30.0
"""Seconds between the first lines of a work; later a tenth of the time so far, up to `SELDOM_S`."""
SELDOM_S = 600.0


def show(text: str) -> None:
    """Print a result on standard output at once; a bar on the same terminal stays below it."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def tell(text: str) -> None:
    """Print a line on standard error at once, above a bar; for what is no progress."""
    tqdm.write(text, file=sys.stderr)


def say(text: str) -> None:
    """Print a line of progress on standard error at once, indented below its stage."""
    tqdm.write(f"   {text}", file=sys.stderr)


def progress(items: Iterable[T], name: str, *, total: int | None, done: int = 0) -> Iterator[T]:
    """Pass items on and show how many there were; `done` of the total were there before."""
    with counted(name, total=total, done=done) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def counted(
    name: str, *, total: int | None, done: int = 0, note: Callable[[], str] | None = None, silent: bool = False
) -> Iterator[Callable[[int], object]]:
    """Give a function that is called with how many more are done; shows the count until the block ends.

    `note` gives what is shown behind the count. `silent` work shows a bar on a terminal and no lines elsewhere.
    """
    if sys.stderr.isatty():
        with tqdm(desc=f"   {name}", total=total, initial=done, mininterval=0.5, smoothing=0.05) as bar:

            def update(more: int) -> None:
                if note:
                    bar.set_postfix_str(note(), refresh=False)
                bar.update(more)

            yield update
        return
    if silent:
        yield lambda more: None
        return
    lines = Lines(name, total, done, note=note)
    try:
        yield lines.advance
    finally:
        lines.end()


class Lines:
    """Counts, and says the count in a line where enough time has passed; `clock` gives seconds."""

    def __init__(
        self,
        name: str,
        total: int | None,
        done: int,
        clock: Callable[[], float] = time.monotonic,
        note: Callable[[], str] | None = None,
    ):
        self._name = name
        self._note = note
        self._total = total
        self._before = done
        self._count = done
        self._clock = clock
        self._began = clock()
        self._next = self._began + EVERY_S

    def advance(self, more: int) -> None:
        """So many more are done."""
        self._count += more
        now = self._clock()
        if now >= self._next and self._count != self._total:
            say(self._line(now))
            self._next = now + min(SELDOM_S, max(EVERY_S, (now - self._began) / 10))

    def end(self) -> None:
        """Say the last count, if anything was done."""
        if self._count > self._before:
            say(self._line(self._clock()))

    def _line(self, now: float) -> str:
        passed_s = now - self._began
        line = f"{self._name}: {self._count:,}"
        if self._total:
            line += f" of {self._total:,} ({100 * self._count // self._total} %)"
        line += f" after {_told(passed_s)}"
        if self._total and self._before < self._count < self._total:
            left_s = passed_s * (self._total - self._count) / (self._count - self._before)
            line += f", about {_told(left_s)} left"
        return f"{line}; {self._note()}" if self._note else line


def _told(seconds: float) -> str:
    """As ``1:02:03``."""
    return str(timedelta(seconds=round(seconds)))
