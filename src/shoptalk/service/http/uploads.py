"""Reading a transcription request: a multipart form as a bounded stream, its fields checked, its audio decoded."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from shoptalk.core import audio
from shoptalk.core.errors import AudioError, AudioTooLongError
from shoptalk.service.http import answers
from shoptalk.service.problems import Problem

FORMS = [form for form in answers.FORMS if form != "diarized_json"]
"""diarized_json needs channels that are recognised for themselves."""
MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 * 1024
MIB = 2**20
LOOK_S = 0.5
"""So often an upload from which nothing comes is looked after."""
_LAST = {"Connection": "close"}
"""What still arrives of a refused upload cannot be told from another request."""


@dataclass(frozen=True)
class Wanted:
    """What a client asks for, beside its audio."""

    form: str
    granularities: tuple[str, ...]


@asynccontextmanager
async def read_form(request: Request, *, max_mb: float, patience_s: float) -> AsyncIterator[FormData]:
    """The form, files spooled to disk; `Problem` 413 as soon as more than `max_mb` MiB arrive, 400 if it is no form.

    `Problem` 408 if nothing of it arrives for `patience_s` seconds, and 503 at once if the server is to stop meanwhile.
    """
    limit = int(max_mb * MIB)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem(400, "send multipart/form-data with a `file`", code="invalid_content_type")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise _too_large(max_mb)
    parser = MultiPartParser(
        request.headers,
        _bounded(request, limit, max_mb, patience_s),
        max_files=1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read: {error.message}", code="invalid_form") from None
    try:
        yield form
    finally:
        await form.close()


def check_fields(form: FormData, *, model_name: str) -> Wanted:
    """The fields as OpenAI defines them; `Problem` names the one that is wrong.

    `prompt` and `temperature` are accepted and change nothing: greedy TDT decoding has neither.
    """
    model = _field(form, "model")
    if model is None:
        raise Problem(400, f"`model` is missing; send {model_name!r}", code="missing_field", param="model")
    if model != model_name:
        raise unknown_model(model, model_name)
    wanted = _field(form, "response_format") or "json"
    if wanted not in FORMS:
        message = f"`response_format` {wanted!r} is unknown; choose from {', '.join(FORMS)}"
        raise Problem(400, message, code="invalid_value", param="response_format")
    language = (_field(form, "language") or "en").lower().replace("_", "-")
    if language.partition("-")[0] not in ("en", "english"):
        raise Problem(400, "this model understands English only", code="unsupported_language", param="language")
    if (_field(form, "stream") or "false").lower() not in ("false", "0"):
        raise Problem(400, "streamed answers are not offered; omit `stream`", code="unsupported_value", param="stream")
    _check_temperature(_field(form, "temperature") or "0")
    return Wanted(wanted, _granularities(form, wanted))


async def read_audio(form: FormData, *, max_s: float) -> audio.Decoded:
    """The form's file, decoded in a thread; `Problem` 400 says why it cannot be used."""
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise Problem(400, "`file` is missing; send a recording as a file", code="missing_field", param="file")
    if not upload.size:
        raise Problem(400, "the file is empty; send a recording", code="empty_file", param="file")
    try:
        return await asyncio.to_thread(audio.read, upload.file, max_s=max_s)
    except AudioTooLongError as error:
        raise Problem(400, str(error), code="audio_too_long", param="file") from None
    except AudioError as error:
        raise Problem(400, str(error), code="invalid_audio", param="file") from None


def unknown_model(model: str, model_name: str) -> Problem:
    """404 as OpenAI answers it."""
    message = f"the model {model[:100]!r} does not exist here; this server has {model_name!r}"
    return Problem(404, message, code="model_not_found", param="model")


async def _bounded(request: Request, limit: int, max_mb: float, patience_s: float) -> AsyncGenerator[bytes, None]:
    total = 0
    chunks = request.stream()
    while (chunk := await _next(chunks, patience_s, request.app.state.stopping)) is not None:
        total += len(chunk)
        if total > limit:
            raise _too_large(max_mb)
        yield chunk


async def _next(chunks: AsyncGenerator[bytes, None], patience_s: float, stopping: Callable[[], bool]) -> bytes | None:
    """The next piece of an upload, None at its end; `Problem` if none comes in time."""
    arriving = asyncio.ensure_future(anext(chunks, None))
    idle_s = 0.0
    try:
        while True:
            wait_s = min(LOOK_S, patience_s - idle_s)
            await asyncio.wait([arriving], timeout=wait_s)
            idle_s += wait_s
            if arriving.done():
                return arriving.result()
            if stopping():
                raise Problem(503, "the server stops; send it again", code="not_ready", headers=_LAST)
            if idle_s >= patience_s:
                message = f"nothing of the upload came for {patience_s:g} s; send it again"
                raise Problem(408, message, code="upload_stalled", param="file", headers=_LAST)
    finally:
        arriving.cancel()


def _too_large(max_mb: float) -> Problem:
    message = f"the upload is larger than {max_mb:g} MiB; send compressed audio, or cut it into parts"
    return Problem(413, message, code="file_too_large", param="file", headers=_LAST)


def _field(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


def _check_temperature(text: str) -> None:
    try:
        known = 0.0 <= float(text) <= 1.0
    except ValueError:
        known = False
    if not known:
        raise Problem(400, "`temperature` is a number from 0 to 1", code="invalid_value", param="temperature")


def _granularities(form: FormData, wanted: str) -> tuple[str, ...]:
    name = "timestamp_granularities"
    asked = tuple(str(value) for value in [*form.getlist(name), *form.getlist(f"{name}[]")])
    if not set(asked) <= {"word", "segment"}:
        raise Problem(400, f"`{name}[]` is word or segment", code="invalid_value", param=name)
    if asked and wanted != "verbose_json":
        raise Problem(400, f"`{name}[]` needs response_format verbose_json", code="invalid_value", param=name)
    return asked or ("segment",)
