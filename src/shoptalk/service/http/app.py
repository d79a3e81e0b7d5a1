"""The HTTP service: `POST /v1/audio/transcriptions` as OpenAI defines it, models, health and metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect, Request

from shoptalk import __version__
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.protocols import Recognizer
from shoptalk.core.records import Recognition
from shoptalk.service import problems
from shoptalk.service.access.access import Access, open_access
from shoptalk.service.access.callers import Caller
from shoptalk.service.account import account_of
from shoptalk.service.http import answers, uploads
from shoptalk.service.model.owner import Owner
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings
from shoptalk.service.telemetry import spans
from shoptalk.service.telemetry.metrics import CONTENT_TYPE, Metrics
from shoptalk.service.telemetry.watching import Telemetry, Watching, keep_messages_out

TRANSCRIPTIONS = "/v1/audio/transcriptions"
WARNING = "X-Shoptalk-Warning"
"""Header of an answer to a recording of which something had to be left out or changed."""
CLIENT_GONE = 499  # what nginx writes for it; nobody reads it, but it is counted
_FORM = {
    "type": "object",
    "required": ["file", "model"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "model": {"type": "string"},
        "response_format": {"type": "string", "enum": [*uploads.FORMS], "default": "json"},
        "timestamp_granularities[]": {"type": "array", "items": {"type": "string", "enum": ["word", "segment"]}},
        "language": {"type": "string", "description": "en; no other is understood"},
        "prompt": {"type": "string", "description": "accepted, without effect"},
        "temperature": {"type": "number", "description": "accepted, without effect"},
    },
}


def create_app(
    recognizer: Recognizer,
    config: Settings,
    *,
    model_name: str,
    api_key: str | None,
    created: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> FastAPI:
    """The service around a loaded recogniser, which it owns from start-up to shutdown.

    `created` is the Unix time that `/v1/models` tells; `clock` gives seconds. With an `api_key`, everything below
    ``/v1`` asks for it; `ApiKeyError` if no request could carry it. Health and metrics never ask; they reveal nothing
    of the speech.

    ``app.state.stopping`` says whether the server was told to stop; whoever runs the server sets it.
    """
    access = open_access(config, api_key)
    telemetry = Telemetry([model_name], spans.open_spans(), clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        owner = Owner(recognizer, config, telemetry.metrics, clock)
        app.state.owner = owner
        keep_messages_out(asyncio.get_running_loop())
        owner.start()
        yield
        await owner.stop()
        telemetry.spans.close()

    app = FastAPI(title="Shoptalk", version=__version__, lifespan=lifespan)
    app.state.api_key = api_key
    app.state.stopping = lambda: False
    app.add_middleware(Watching, telemetry=telemetry)
    problems.install(app)
    app.include_router(_transcriptions(config, model_name, access, telemetry))
    app.include_router(_models(model_name, created), dependencies=[Depends(access.require("models"))])
    app.include_router(_operations(telemetry.metrics))
    return app


def _transcriptions(config: Settings, model_name: str, access: Access, telemetry: Telemetry) -> APIRouter:
    router = APIRouter()
    identified = Depends(access.require("transcribe"))
    body = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}

    @router.post(TRANSCRIPTIONS, openapi_extra=body, response_class=Response)
    async def transcribe(request: Request, caller: Annotated[Caller, identified]) -> Response:
        owner: Owner = request.app.state.owner
        owner.admit()
        try:
            with access.recording(caller):
                async with asyncio.timeout(config.timeout_s):
                    return await _transcribe(request, config, model_name, access, telemetry)
        except TimeoutError:
            raise Problem(504, f"no answer within {config.timeout_s:g} s; try again", code="timeout") from None
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        finally:
            owner.leave()

    return router


async def _transcribe(
    request: Request, config: Settings, model_name: str, access: Access, telemetry: Telemetry
) -> Response:
    owner: Owner = request.app.state.owner
    account = account_of(request)
    async with AsyncExitStack() as stack:
        with telemetry.stage(account, "upload"):
            reading = uploads.read_form(request, max_mb=config.max_upload_mb, patience_s=config.upload_idle_s)
            form = await stack.enter_async_context(reading)
        wanted = uploads.check_fields(form, model_name=model_name)
        account.model = model_name
        with telemetry.stage(account, "decode"):
            decoded = await uploads.read_audio(form, max_s=config.max_audio_s)
    duration_s = decoded.samples_T.size / SAMPLE_RATE_HZ
    access.count_audio(request.state.caller, duration_s)
    with telemetry.stage(account, "recognise", model=model_name, audio_s=duration_s):
        recognition = await _unless_gone(request, owner.submit(decoded.samples_T))
    account.recognised(model_name, duration_s, recognition)
    with telemetry.stage(account, "answer", form=wanted.form):
        transcript = answers.Transcript([recognition], duration_s)
        asked = answers.Asked(wanted.form, wanted.granularities)
        answer = await asyncio.to_thread(answers.render, transcript, asked)
    if decoded.warnings:
        answer.headers[WARNING] = "; ".join(decoded.warnings)
    return answer


async def _unless_gone(request: Request, pending: "asyncio.Future[Recognition]") -> Recognition:
    """The result, or `ClientDisconnect` as soon as nobody waits for it any more; then the work is withdrawn."""
    gone = asyncio.create_task(_gone(request))
    try:
        watched: list[asyncio.Future[Any]] = [pending, gone]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if not pending.done():
            raise ClientDisconnect
        return pending.result()
    finally:
        gone.cancel()
        pending.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _models(model_name: str, created: int) -> APIRouter:
    router = APIRouter()
    about: dict[str, Any] = {"id": model_name, "object": "model", "created": created, "owned_by": "shoptalk"}

    @router.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [about]}

    @router.get("/v1/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        if model != model_name:
            raise uploads.unknown_model(model, model_name)
        return about

    return router


def _operations(metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @router.get("/health/ready")
    async def ready(request: Request) -> Response:
        is_ready = request.app.state.owner.ready
        status = "ready" if is_ready else "not ready"
        return JSONResponse({"status": status}, status_code=200 if is_ready else 503)

    @router.get("/metrics")
    async def figures() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
