"""`/v1/jobs` over HTTP; each key sees its own jobs alone."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from shoptalk.service import bodies
from shoptalk.service.access.callers import Caller
from shoptalk.service.account import account_of
from shoptalk.service.http import phrases
from shoptalk.service.http.intake import Share
from shoptalk.service.http.recognising import Entrance
from shoptalk.service.http.transcriptions import CLIENT_GONE
from shoptalk.service.jobs import description, form, records, results, sources, wanted
from shoptalk.service.jobs.ledger import Ledger, new_id, upload_name
from shoptalk.service.jobs.records import Job, NewFile, NewJob, Options, Place
from shoptalk.service.jobs.runner import Runner
from shoptalk.service.jobs.sources import Sources
from shoptalk.service.jobs.targets import Targets
from shoptalk.service.jobs.wanted import JobWanted
from shoptalk.service.problems import Problem

JOBS = "/v1/jobs"
FILE_FIELDS = frozenset({"file", "files"})
"""Names under which files are uploaded, with or without ``[]``."""
REPLAYED = "idempotent-replayed"
"""Header of an answer that gives a job again."""
PAGE, MOST = 100, 1000
"""Files, or jobs, of a list."""

Limit = Annotated[int, Query(ge=1, le=MOST)]


class Desk:
    """What the routes need."""

    def __init__(
        self, ledger: Ledger, sources: Sources, runner: Runner, entrance: Entrance, targets: Targets | None
    ) -> None:
        """`targets`: where webhooks may go; None for a service without."""
        self.ledger = ledger
        self.sources = sources
        self.runner = runner
        self.entrance = entrance
        self.targets = targets


def router(desk: Desk) -> APIRouter:
    """The routes; they ask for the scope `jobs`."""
    routes = APIRouter()
    identified = Depends(desk.entrance.access.require("jobs"))
    ledger, in_thread = desk.ledger, desk.runner.in_thread

    @routes.post(JOBS, status_code=202, openapi_extra=description.JOB, response_class=Response)
    async def submit(request: Request, caller: Annotated[Caller, identified]) -> Response:
        """Hand in recordings."""
        try:
            job, is_new = await _submit(desk, request, caller)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        headers = {} if is_new else {REPLAYED: "true"}
        return JSONResponse(_told(desk, job), status_code=202, headers=headers)

    @routes.get(JOBS)
    async def listed(caller: Annotated[Caller, identified], limit: Limit = PAGE, after: str = "") -> dict[str, Any]:
        """The key's jobs, the newest first."""
        jobs, has_more = await in_thread(ledger.listed, caller.id, limit, after)
        return _list([_told(desk, job) for job in jobs], has_more)

    @routes.get(JOBS + "/{job_id}")
    async def get(
        job_id: str, caller: Annotated[Caller, identified], limit: Limit = PAGE, after: str = ""
    ) -> dict[str, Any]:
        """A job with its files."""
        job = await in_thread(ledger.get, caller.id, job_id)
        files, has_more = await in_thread(ledger.files, job_id, limit, after)
        told = [records.file_as_json(file, with_name=True) for file in files]
        return {**_told(desk, job), "files": _list(told, has_more)}

    @routes.get(JOBS + "/{job_id}/results", response_class=Response)
    async def all_results(
        job_id: str, caller: Annotated[Caller, identified], format: results.Form = "jsonl"
    ) -> Response:
        """All results: JSON Lines, or a zip."""
        job = await in_thread(ledger.get, caller.id, job_id)
        form = await in_thread(ledger.form, job_id)
        pieces = results.json_lines(ledger, job) if format == "jsonl" else results.zipped(ledger, job, form)
        headers = {"content-disposition": f'attachment; filename="{job.id}.{format}"'}
        return StreamingResponse(pieces, media_type=results.media_type(format), headers=headers)

    @routes.get(JOBS + "/{job_id}/files/{file_id}/result", response_class=Response)
    async def one_result(job_id: str, file_id: str, caller: Annotated[Caller, identified]) -> Response:
        """The result of a file, as a request would have got it."""
        await in_thread(ledger.get, caller.id, job_id)
        file, result = await in_thread(ledger.result, job_id, file_id)
        if result is None:
            why = file.message or f"the file is {file.state.value}"
            raise Problem(404, f"this file has no result: {why}", code=file.code or "no_result")
        return Response(result.body, headers={**result.headers, "content-type": result.media_type})

    @routes.post(JOBS + "/{job_id}/cancel")
    async def cancel(job_id: str, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        """End a job now; its results stay."""
        job = await in_thread(ledger.cancel, caller.id, job_id)
        await _delete_uploads(desk, job_id)
        return _told(desk, job)

    @routes.delete(JOBS + "/{job_id}")
    async def delete(job_id: str, caller: Annotated[Caller, identified]) -> dict[str, Any]:
        """Cancel a job, and delete it with its recordings and results."""
        await in_thread(ledger.delete, caller.id, job_id)
        await _delete_uploads(desk, job_id)
        return {"id": job_id, "object": "transcription.job.deleted", "deleted": True}

    return routes


async def _submit(desk: Desk, request: Request, caller: Caller) -> tuple[Job, bool]:
    """Read a request, and take the job; whether it is new."""
    key = wanted.idempotency_key(request.headers)
    job_id = new_id("job")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        asked = _read(desk, wanted.items_of_json(await bodies.read_json(request)))
        places = await desk.runner.in_thread(desk.sources.find, asked.inputs)
        files = [NewFile(new_id("file"), place) for place in places]
        return await _take(desk, request, caller, job_id, key, asked, files, asked.inputs)
    if kind != "multipart/form-data":
        cure = "send multipart/form-data with files, or application/json with `input`"
        raise Problem(400, cure, code="invalid_content_type")
    async with _uploads(desk, job_id), _place(desk) as share:
        upload = _Upload()
        async for part in form.parts(request, desk.entrance.settings, share.hold):
            if part.is_file:
                await upload.take_file(desk, job_id, part)
                share.hold(0)
            else:
                upload.fields.append((part.name, part.text))
        asked = _read(desk, upload.fields)
        if asked.inputs:
            raise Problem(400, "`input` is for JSON; send files, or a JSON body", code="invalid_value", param="input")
        job, is_new = await _take(desk, request, caller, job_id, key, asked, upload.files, upload.digests)
    if not is_new:
        await _delete_uploads(desk, job_id)
    return job, is_new


class _Upload:
    """What came of a form."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.files: list[NewFile] = []
        self.digests: list[str] = []

    async def take_file(self, desk: Desk, job_id: str, part: form.FormPart) -> None:
        """Write a recording into the store, encrypted."""
        number = len(self.files) + 1
        if part.name.removesuffix("[]") not in FILE_FIELDS:
            raise Problem(400, "send recordings as `file`, once for each", code="invalid_value", param="file")
        if not part.content:
            raise Problem(400, f"the {number}. file is empty; send a recording", code="empty_file", param="file")
        if number > desk.entrance.settings.jobs_files:
            raise sources.too_many(desk.entrance.settings)
        file = NewFile(new_id("file"), Place(sources.UPLOAD, str(number), part.file_name or "", len(part.content)))
        content = bytes(part.content)
        self.digests.append(await desk.runner.in_thread(_digest, content))
        await desk.runner.in_thread(desk.ledger.store.write, upload_name(job_id, file.id), content)
        self.files.append(file)


@asynccontextmanager
async def _uploads(desk: Desk, job_id: str) -> AsyncIterator[None]:
    """Deletes a job's recordings if it is refused, or its client went away.

    After other errors, such as a database that is lost amid the transaction, the job may have been taken. Recordings
    that no job has are swept later.
    """
    try:
        yield
    except (Problem, ClientDisconnect):
        await _delete_uploads(desk, job_id)
        raise


async def _delete_uploads(desk: Desk, job_id: str) -> None:
    await desk.runner.in_thread(desk.ledger.store.delete_folder, f"jobs/{job_id}")


@asynccontextmanager
async def _place(desk: Desk) -> AsyncIterator[Share]:
    """A place to upload, and a share of the memory for uploads; `Problem` 429 if there is none."""
    intake = desk.entrance.intake
    with intake.place(), intake.uploads.share() as share:
        yield share


def _read(desk: Desk, items: list[tuple[str, str]]) -> JobWanted:
    """The fields of a job, as far as they can be checked without waiting."""
    asked = wanted.read(items, is_strict=desk.entrance.settings.strict_fields)
    desk.sources.require_output(asked.output)
    if asked.webhook_url and desk.targets is None:
        message = "this server sends no webhooks; whoever runs it names a secret in serve.webhook_secret"
        raise Problem(400, message, code="webhook_refused", param="webhook_url")
    return asked


async def _take(
    desk: Desk,
    request: Request,
    caller: Caller,
    job_id: str,
    key: str,
    asked: JobWanted,
    files: list[NewFile],
    contents: tuple[str, ...] | list[str],
) -> tuple[Job, bool]:
    """Check what needs the model, the vocabularies and the network, and write the job."""
    if not files:
        message = "there is nothing to transcribe; upload files as `file`, or name recordings in `input` (JSON)"
        raise Problem(400, message, code="missing_field", param="file")
    entrance, in_thread = desk.entrance, desk.runner.in_thread
    model = entrance.models.resolve(asked.wanted.model)
    account_of(request).model = model.name
    stored = await entrance.access.phrases(caller, asked.wanted.vocabularies)
    boosted, warnings = await in_thread(phrases.boosted, asked.wanted, stored, model.watch, entrance.settings)
    if asked.webhook_url and desk.targets is not None:
        await in_thread(desk.targets.check, asked.webhook_url)
    options = Options(
        fields=tuple(asked.fields),
        phrases=tuple((phrase.text, phrase.weight) for phrase in boosted.asked),
        of_prompt=tuple((phrase.text, phrase.weight) for phrase in boosted.of_prompt),
        warnings=warnings,
        output=asked.output,
        webhook_url=asked.webhook_url,
        digest=_digest(repr((asked, list(contents))).encode()),
    )
    job = NewJob(
        job_id,
        caller.id,
        caller.keeps_audio,
        model.name,
        options,
        tuple(files),
        asked.tells_files,
        asked.tells_text,
        _digest(key.encode()) if key else "",
    )
    taken = await in_thread(desk.ledger.submit, job)
    desk.runner.wake()
    return taken


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _told(desk: Desk, job: Job) -> dict[str, Any]:
    return records.as_json(job, desk.ledger.store.now_s)


def _list(data: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}
