"""The audit log as a file: whole lines, new files, torn ends, a full disk."""

import errno
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shoptalk.core.errors import TelemetryError
from shoptalk.service.access import audit
from shoptalk.service.access.audit import Audit
from shoptalk.service.account import Account
from shoptalk.service.settings import Settings

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def opened(path: Path, **options: Any) -> Audit:
    return Audit(path, Settings(audit_file=path, **options), now=lambda: NOON)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("flush", ["never", "every_second", "always"])
def test_a_line_says_who_asked_what_when_and_what_came_of_it(tmp_path: Path, flush: str) -> None:
    path = tmp_path / "new" / "audit.jsonl"
    log = opened(path, audit_flush=flush)
    account = Account(
        request_id="req_1",
        method="POST",
        route="/v1/audio/transcriptions",
        address="192.0.2.1",
        caller="abcd1234",
        model="tiny",
        status=200,
        seconds=0.25,
        audio_s=2.5,
    )
    log.write(account)
    log.close()
    assert lines(path) == [
        {
            "at": "2026-11-27T12:00:00.000+00:00",
            "request_id": "req_1",
            "trace_id": "",
            "key": "abcd1234",
            "method": "POST",
            "route": "/v1/audio/transcriptions",
            "model": "tiny",
            "status": 200,
            "code": "",
            "audio_s": 2.5,
            "seconds": 0.25,
        }
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_address_is_told_if_asked(tmp_path: Path) -> None:
    log = opened(tmp_path / "audit.jsonl", audit_address=True)
    log.write(Account(address="192.0.2.1"))
    log.close()
    assert lines(tmp_path / "audit.jsonl")[0]["address"] == "192.0.2.1"


def test_a_full_file_is_renamed_and_every_line_is_somewhere(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    clock = iter(datetime(2026, 1, 1, 0, minute // 60, minute % 60, tzinfo=UTC) for minute in range(3600))
    log = Audit(path, Settings(audit_file=path, audit_max_mb=0.001), now=lambda: next(clock))
    for number in range(20):
        log.write(Account(request_id=str(number)))
        until(lambda: path.exists() and log._lines.empty() and not log._waiting)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 3
    assert all(file.stat().st_size <= 1048 for file in files)
    ids = [line["request_id"] for file in [*files[1:], files[0]] for line in lines(file)]
    assert ids == [str(number) for number in range(20)]


def test_a_file_that_others_rename_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path)
    log.write(Account(request_id="before"))
    until(lambda: path.exists() and bool(path.stat().st_size))
    path.rename(tmp_path / "moved")
    log.write(Account(request_id="after"))
    log.close()
    assert [line["request_id"] for line in lines(path)] == ["after"]


def test_a_line_that_a_crash_left_torn_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"request_id": "to')
    log = opened(path)
    log.write(Account(request_id="whole"))
    log.close()
    assert json.loads(path.read_text().splitlines()[1])["request_id"] == "whole"


class Disk:
    """Stands in for `os.write`: takes so many bytes and then is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 10**9
        self.write = os.write
        monkeypatch.setattr(audit.os, "write", self)

    def __call__(self, descriptor: int, content: bytearray) -> int:
        taken = content[: self.room]
        if content and not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(taken)
        return self.write(descriptor, taken)


def test_a_full_disk_is_told_and_no_line_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit, "LOOK_S", 0.02)
    caplog.set_level("WARNING", logger=audit.log.name)
    disk, path = Disk(monkeypatch), tmp_path / "audit.jsonl"
    disk.room = 50  # within the first line
    log = opened(path)
    log.write(Account(request_id="first"))
    until(lambda: log.is_failing)
    log.write(Account(request_id="second"))
    disk.room = 10**9
    until(lambda: not log.is_failing)
    log.close()
    assert [line["request_id"] for line in lines(path)] == ["first", "second"]
    assert log.lost == 0
    assert "No space left" in caplog.text
    assert "is written again" in caplog.text


def test_lines_that_find_no_place_to_wait_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LOOK_S", 0.02)
    monkeypatch.setattr(audit, "MAX_WAITING_BYTES", 1000)
    disk = Disk(monkeypatch)
    disk.room = 0
    log = opened(tmp_path / "audit.jsonl")
    for _ in range(20):
        log.write(Account())
    until(lambda: log.lost >= 15)
    disk.room = 10**9
    until(lambda: not log.is_failing)
    log.close()
    assert log.lost + len(lines(tmp_path / "audit.jsonl")) == 20


def test_a_file_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="audit_file"):
        opened(tmp_path)
