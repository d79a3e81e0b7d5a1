"""Reading a transcription request: a multipart form as a bounded stream, held in memory, never on disk."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from shoptalk.service import clock
from shoptalk.service.http.fields import Items
from shoptalk.service.http.intake import MIB, Share
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

MAX_FIELDS = 5_000
"""A keyword each, and the others."""
MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS_BYTES = 2 * MIB
"""Of all fields together: 2,000 phrases of the greatest length are a fifth of it."""
LOOK_S = 0.5
"""So often an upload from which nothing comes is looked after."""

# it logs each torn form, and what a client wrote into it
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Upload:
    """A form as it came."""

    file: BinaryIO
    """The recording; in memory."""
    fields: Items
    """All other parts."""


@asynccontextmanager
async def read_form(request: Request, settings: Settings, share: Share) -> AsyncIterator[Upload]:
    """The form, in memory within the block; `Problem` names what is wrong with it.

    413 as soon as more than `settings.max_upload_mb` arrive; 400 if it is no form, or has no file; 408 if it stalls or
    is too slow; 503 at once if the server is to stop while nothing comes; 429 if other uploads leave too little memory.
    """
    limit = int(settings.max_upload_mb * MIB)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem(400, "send multipart/form-data with a `file`", code="invalid_content_type")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit():
        if int(declared) > limit:
            raise too_large(settings.max_upload_mb)
        share.hold(int(declared))
    stream = chunks(request, settings, settings.max_upload_mb, lambda total: share.hold(max(total, share.amount)))
    parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    parser.spool_max_size = 0  # never on disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read: {error.message}", code="invalid_form") from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Problem(400, "`file` is missing; send a recording as a file", code="missing_field", param="file")
        if not file.size:
            raise Problem(400, "the file is empty; send a recording", code="empty_file", param="file")
        items = form.multi_items()
        fields = [(name, value) for name, value in items if isinstance(value, str)]
        if sum(len(name) + len(value) for name, value in fields) > MAX_FIELDS_BYTES:
            message = f"the fields beside the file have more than {MAX_FIELDS_BYTES:,} characters; send less"
            raise Problem(413, message, code="fields_too_large")
        yield Upload(file.file, fields)
    finally:
        await form.close()


async def chunks(
    request: Request, settings: Settings, most_mb: float, arrived: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """The body as it comes; `arrived` is told the bytes so far, before each piece.

    `Problem` 413 for more than `most_mb`, 408 if it stalls or is too slow, 503 if the server is to stop meanwhile.
    """
    running_s = clock.of_loop()
    began_s = running_s()
    total = 0
    stream = request.stream()
    while (chunk := await _next(stream, request, settings)) is not None:
        total += len(chunk)
        if total > int(most_mb * MIB):
            raise too_large(most_mb)
        arrived(total)
        passed_s = running_s() - began_s
        is_slow = passed_s > settings.upload_idle_s and total < settings.upload_min_kb_s * 1024 * passed_s
        if is_slow or passed_s > settings.upload_timeout_s:
            message = f"{total} bytes of the upload came in {passed_s:.0f} s; send it on a faster connection"
            raise Problem(408, message, code="upload_stalled", param="file")
        yield chunk


async def _next(chunks: AsyncGenerator[bytes, None], request: Request, settings: Settings) -> bytes | None:
    """The next piece of an upload, None at its end; `Problem` if none comes in time."""
    patience_s = settings.upload_idle_s
    arriving = asyncio.ensure_future(anext(chunks, None))
    idle_s = 0.0
    try:
        while True:
            wait_s = min(LOOK_S, patience_s - idle_s)
            await asyncio.wait([arriving], timeout=wait_s)
            idle_s += wait_s
            if arriving.done():
                return arriving.result()
            if request.app.state.stopping():
                raise Problem(503, "the server stops; send it again", code="not_ready")
            if idle_s >= patience_s:
                message = f"nothing of the upload came for {patience_s:g} s; send it again"
                raise Problem(408, message, code="upload_stalled", param="file")
    finally:
        arriving.cancel()


def too_large(most_mb: float) -> Problem:
    """413 for an upload, or a file of one."""
    message = f"the upload is larger than {most_mb:g} MiB; send compressed audio, or cut it into parts"
    return Problem(413, message, code="file_too_large", param="file")
