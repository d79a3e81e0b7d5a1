"""Ctrl-C ends a command within a second, whatever it is at: a library, an import, threads, a pool of processes."""

import os
import signal
import sys
import threading
from typing import NoReturn

INTERRUPTED = 130
"""Exit status, as shells give it to a program that SIGINT ended."""
MESSAGE = "\nshoptalk: interrupted; give the same command again to go on"
PATIENCE_S = 0.7
"""A command gets so long to end by itself; its products are whole or absent either way."""


class Watch:
    """Notes each SIGINT as it comes, and ends the process if the command does not.

    Python runs handlers between two steps of the main thread alone: not in a library's call, and some libraries
    swallow the `KeyboardInterrupt`. So a thread of its own is told of the signal.
    """

    def __init__(self, *, forgiven: int = 0):
        """So many interrupts are left to the command: a server finishes what it is at on the first."""
        self.interrupts = 0
        self._forgiven = forgiven
        self._ended = threading.Event()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._read, args=(reading,), daemon=True, name="interrupts").start()

    def end(self, status: int) -> NoReturn:
        """End the process when the command has: with `status`, or as interrupted, without waiting for its threads."""
        self._ended.set()
        if not self.interrupts and status != INTERRUPTED:
            sys.exit(status)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)

    def _read(self, reading: int) -> None:
        while number := os.read(reading, 1):
            if number[0] == signal.SIGINT:
                self.interrupts += 1
                if self.interrupts > self._forgiven and not self._ended.wait(PATIENCE_S):
                    os.write(2, f"{MESSAGE}\n".encode())  # not `print`: the main thread may hold the stream
                    os._exit(INTERRUPTED)
