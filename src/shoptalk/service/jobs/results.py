"""All results of a job in one answer: JSON Lines with a line for each file, or a zip with a file for each."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Literal

from shoptalk.service.jobs import records
from shoptalk.service.jobs.ledger import Ledger, result_as_json
from shoptalk.service.jobs.records import Job, JobFile, Result
from shoptalk.service.jobs.sources import OUTPUTS

PAGE = 20
"""Results that are in memory at once."""
Form = Literal["jsonl", "zip"]


def media_type(form: Form) -> str:
    return {"jsonl": "application/jsonl", "zip": "application/zip"}[form]


def json_lines(ledger: Ledger, job: Job) -> Iterator[bytes]:
    """A line for each file, by their numbers: what is known of it, and its result or null."""
    for file, result in _all(ledger, job):
        told = records.file_as_json(file, with_name=True)
        told["result"] = None if result is None else result_as_json(result)
        yield json.dumps(told, ensure_ascii=False).encode() + b"\n"


def zipped(ledger: Ledger, job: Job, form: str) -> Iterator[bytes]:
    """A zip as it is made: a file for each result of the form `form`, and ``files.jsonl`` that tells of all files."""
    ending = OUTPUTS.get(form, ".json")
    told = []
    out = _Pieces()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, result in _all(ledger, job):
            about = records.file_as_json(file, with_name=True)
            if result is not None:
                about["entry"] = f"{file.number:05d}-{_base(file.place.name)}{ending}"
                archive.writestr(about["entry"], result.body)
                yield out.taken()
            told.append(json.dumps(about, ensure_ascii=False) + "\n")
        archive.writestr("files.jsonl", "".join(told))
    yield out.taken()


def _all(ledger: Ledger, job: Job) -> Iterator[tuple[JobFile, Result | None]]:
    after, has_more = "", True
    while has_more:
        page, has_more = ledger.results(job.id, PAGE, after)
        yield from page
        after = page[-1][0].id if page else ""


def _base(name: str) -> str:
    """A name without folders, and without what some system takes for something else."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(character if character.isalnum() or character in "._- " else "_" for character in last)
    return kept.strip(". ")[:100] or "recording"


class _Pieces(io.RawIOBase):
    """A file that is only written, whose content is taken away piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(memoryview(data))  # type: ignore[arg-type]
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> bytes:
        """What was written since the last call."""
        content = b"".join(self._pieces)
        self._pieces.clear()
        return content
