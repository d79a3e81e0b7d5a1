"""Reading an upload of many files: one part after the other, so that one file at a time is in memory, and none on disk.

The parser is python-multipart's own, because Starlette's keeps all files until the last one has come.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from shoptalk.service.http import uploads
from shoptalk.service.http.intake import MIB
from shoptalk.service.http.uploads import MAX_FIELD_BYTES, MAX_FIELDS, MAX_FIELDS_BYTES
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings


@dataclass
class FormPart:
    """A part of a form: a file if it has a file name."""

    name: str = ""
    file_name: str | None = None
    content: bytearray = field(default_factory=bytearray)

    @property
    def is_file(self) -> bool:
        return self.file_name is not None

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", errors="replace")


async def parts(request: Request, settings: Settings, hold: Callable[[int], None]) -> AsyncIterator[FormPart]:
    """The parts of a form as they come; `hold` is told how many bytes of a file are in memory.

    `Problem` 413 if one file, all files or all fields are too large, 400 if it is no form, 408 if it stalls.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if not boundary:
        raise _unreadable("its boundary is missing")
    reader = _Reader(settings, hold)
    try:
        parser = MultipartParser(boundary, callbacks=reader.callbacks())  # type: ignore[arg-type]
        async for chunk in uploads.chunks(request, settings, settings.jobs_upload_mb, lambda total: None):
            parser.write(chunk)
            for part in reader.taken():
                yield part
        parser.finalize()
    except FormParserError:
        raise _unreadable("it is no multipart/form-data") from None
    if not reader.is_over:
        raise _unreadable("its end is missing")


class _Reader:
    """Gathers what the parser calls back with."""

    def __init__(self, settings: Settings, hold: Callable[[int], None]) -> None:
        self.is_over = False
        self._most_mb = settings.max_upload_mb
        self._hold = hold
        self._part = FormPart()
        self._whole: list[FormPart] = []
        self._header, self._value = b"", b""
        self._fields = self._fields_bytes = 0

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_header,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._end_form,
        }

    def taken(self) -> list[FormPart]:
        """The parts that became whole since the last call."""
        whole, self._whole = self._whole, []
        return whole

    def _begin(self) -> None:
        self._part = FormPart()

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._part.name = options.get(b"name", b"").decode("utf-8", errors="replace")
            if b"filename" in options:
                self._part.file_name = options[b"filename"].decode("utf-8", errors="replace")
        self._header, self._value = b"", b""

    def _end_headers(self) -> None:
        if not self._part.name:
            raise _unreadable("a part of it has no name")

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._part.content += data[start:end]
        size = len(self._part.content)
        if self._part.is_file:
            if size > self._most_mb * MIB:
                raise uploads.too_large(self._most_mb)
            self._hold(size)
        elif size > MAX_FIELD_BYTES:
            raise _unreadable(f"a field has more than {MAX_FIELD_BYTES} bytes")

    def _end(self) -> None:
        if not self._part.is_file:
            self._fields += 1
            self._fields_bytes += len(self._part.name) + len(self._part.content)
            if self._fields > MAX_FIELDS or self._fields_bytes > MAX_FIELDS_BYTES:
                message = f"more than {MAX_FIELDS:,} fields, or {MAX_FIELDS_BYTES:,} bytes of them; send less"
                raise Problem(413, message, code="fields_too_large")
        self._whole.append(self._part)

    def _end_form(self) -> None:
        self.is_over = True


def _unreadable(reason: str) -> Problem:
    return Problem(400, f"the form cannot be read: {reason}", code="invalid_form")
