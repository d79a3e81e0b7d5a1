"""The audit log: who asked which model, when, for how much audio, and what came of it; nothing that was spoken.

One JSON object on each line, in a file of its own that only grows. A full disk does not stop the service: lines wait in
memory, `is_failing` tells it, and what no longer fits there is counted in `lost`. A file that grew to its limit is
renamed to ``NAME.TIME`` and a new one begun. Files of the past are the operator's: none is ever deleted here.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from shoptalk.core import files
from shoptalk.core.errors import TelemetryError
from shoptalk.service.account import Account
from shoptalk.service.settings import Settings

LOOK_S = 1.0
"""So often waiting lines are tried again, and the file is flushed under ``every_second``."""
MAX_WAITING_BYTES = 8 * 2**20
"""Of lines that wait for a disk; some 30,000."""

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Audit:
    """Writes the log from a thread of its own, so that no request waits for the disk."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        now: Callable[[], datetime] = _now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`TelemetryError` if the file cannot be written at the start. `clock` gives seconds and never goes back."""
        self._path = path
        self._limit = int(settings.audit_max_mb * 2**20)
        self._flush = settings.audit_flush
        self._tells_address = settings.audit_address
        self._now = now
        self._clock = clock
        self._flushed_s = clock()
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._waiting = bytearray()
        self._is_within_line = False
        self._is_dirty = False
        self.is_failing = False
        """Whether the file cannot be written now."""
        self.lost = 0
        """Lines that found no place to wait."""
        self._start_file()
        self._thread = Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def write(self, account: Account) -> None:
        """Note a request that was answered; returns at once."""
        entry = {
            "at": self._now().isoformat(timespec="milliseconds"),
            "request_id": account.request_id,
            "trace_id": account.trace_id,
            "key": account.caller,
            "method": account.method,
            "route": account.route,
            "model": account.model,
            "status": account.status,
            "code": account.code,
            "audio_s": round(account.audio_s, 3),
            "seconds": round(account.seconds, 3),
        }
        if account.subject:
            entry["about"] = account.subject
        if self._tells_address:
            entry["address"] = account.address
        self._lines.put(json.dumps(entry).encode() + b"\n")

    def close(self) -> None:
        """Write what waits, and end."""
        self._lines.put(None)
        self._thread.join()

    def _start_file(self) -> None:
        """Open the file once, and end a line that an earlier process left torn."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _open(self._path)
            try:
                size = os.fstat(descriptor).st_size
                is_torn = bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"
            finally:
                os.close(descriptor)
        except OSError as error:
            cure = "name another file in serve.audit_file"
            raise TelemetryError(f"{self._path}: the audit log cannot be written: {error.strerror}; {cure}") from None
        if is_torn:
            self._waiting += b"\n"
            self._is_within_line = True

    def _run(self) -> None:
        is_open = True
        while is_open:
            is_open = self._gather()
            try:
                self._write_waiting()
            except OSError as error:
                self._tell(error)
            else:
                self._tell(None)

    def _gather(self) -> bool:
        """Wait for lines, up to `LOOK_S`; False once the log is closed."""
        try:
            line = self._lines.get(timeout=LOOK_S)
            while line is not None:
                if len(self._waiting) + len(line) <= MAX_WAITING_BYTES:
                    self._waiting += line
                else:
                    self.lost += 1
                line = self._lines.get_nowait()
        except Empty:
            return True
        return False

    def _write_waiting(self) -> None:
        if not self._waiting and not self._is_dirty:
            return
        if self._waiting:
            self._rotate()
        descriptor = _open(self._path)
        try:
            while self._waiting:
                count = os.write(descriptor, self._waiting)
                self._is_within_line = self._waiting[count - 1 : count] != b"\n"
                del self._waiting[:count]
                self._is_dirty = self._flush != "never"
            is_due = self._flush == "always" or self._clock() - self._flushed_s >= LOOK_S
            if self._is_dirty and is_due:
                files.to_disk(descriptor)
                self._is_dirty = False
                self._flushed_s = self._clock()
        finally:
            os.close(descriptor)

    def _rotate(self) -> None:
        """Begin a new file where this one is full, between two lines."""
        if self._is_within_line or not self._path.exists():
            return
        if self._path.stat().st_size + len(self._waiting) <= self._limit or not self._path.stat().st_size:
            return
        self._path.rename(self._path.with_name(f"{self._path.name}.{self._now():%Y%m%dT%H%M%S.%fZ}"))

    def _tell(self, error: OSError | None) -> None:
        """Log that the file cannot be written, and that it can again, once each."""
        if error is not None and not self.is_failing:
            log.error("%s: the audit log cannot be written: %s; lines wait in memory", self._path, error.strerror)
        if error is None and self.is_failing:
            log.warning("%s: the audit log is written again; %d lines were lost", self._path, self.lost)
        self.is_failing = error is not None


def _open(path: Path) -> int:
    """For appending, readable by its owner alone; opened for each write, so that others may rename the file."""
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
