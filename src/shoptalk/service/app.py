"""The HTTP service as one app: transcriptions, models, health, metrics, and its description."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from shoptalk import __version__
from shoptalk.core.protocols import LiveVad, ObjectStore
from shoptalk.service import problems
from shoptalk.service.access import vocabulary_routes
from shoptalk.service.access.access import Access
from shoptalk.service.access.origins import check_host, check_origin
from shoptalk.service.corrections import opening
from shoptalk.service.corrections import routes as corrections_routes
from shoptalk.service.corrections.forgetting import Forgetting
from shoptalk.service.corrections.trained import Registered
from shoptalk.service.http import description, models_routes, pages, transcriptions
from shoptalk.service.http.answers import GAPS
from shoptalk.service.http.edge import Edge
from shoptalk.service.http.intake import Intake
from shoptalk.service.http.recognising import WARNING, Entrance
from shoptalk.service.jobs import switch
from shoptalk.service.model.models import Models
from shoptalk.service.realtime import realtime_route, stream_route
from shoptalk.service.realtime.live import LiveService, no_vad
from shoptalk.service.settings import Settings
from shoptalk.service.store import Store
from shoptalk.service.telemetry.metrics import CONTENT_TYPE, Metrics, is_transcription
from shoptalk.service.telemetry.watching import REQUEST_ID, Telemetry, Watching, keep_messages_out

EXPOSED = (REQUEST_ID, "retry-after", "retry-after-ms", "x-should-retry", WARNING, GAPS)
"""Headers that a browser's script may read."""
KEPT = ("/v1/jobs", "/v1/corrections", "/v1/vocabularies")
"""Paths, behind some prefix, below which is told what was spoken or listed before."""


def create_app(
    models: Models,
    settings: Settings,
    *,
    access: Access,
    telemetry: Telemetry | None = None,
    store: Store | None = None,
    objects: ObjectStore | None = None,
    new_vad: Callable[[], LiveVad] = no_vad,
    registered: Registered | None = None,
) -> FastAPI:
    """The service around its models, which it starts and stops, and around a store, which it closes.

    Jobs need the store; `objects` is where they find recordings beside it. `new_vad` makes a detector of speech for
    each live session. `registered` lists the models of a registry, in which a deletion looks.

    Health never asks for a key, and metrics do so under `settings.metrics_key`; they reveal nothing of the speech.

    ``app.state.stopping`` says whether the server was told to stop; whoever runs the server sets it.
    """
    watched = telemetry or Telemetry(models.names)
    watched.metrics.watch_models(models.report)
    watched.metrics.watch_access(access)
    watched.metrics.watch_shadow(models.shadow_report)
    intake = Intake(settings)
    forgetting = Forgetting()
    desk = opening.open_desk(
        store,
        settings,
        access=access,
        metrics=watched.metrics,
        forgetting=forgetting,
        served=models.paths,
        registered=registered,
    )
    entrance = Entrance(models, settings, access, intake, watched)
    jobs = switch.open_jobs(store, entrance, objects) if store is not None else None
    if jobs:
        forgetting.add("jobs", jobs.forget)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        keep_messages_out(asyncio.get_running_loop())
        async with access.running(), opening.running(desk.corrections):
            with _metrics_port(watched.metrics, settings):
                models.start()
                async with jobs.running() if jobs else nullcontext():
                    yield
                await models.stop()
                intake.stop()
        if store is not None:
            store.close()
        watched.spans.close()

    app = FastAPI(
        title="Shoptalk",
        version=__version__,
        description="Transcribes speech as OpenAI's API does, with a model that was tuned to a trade.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.openapi = lambda: description.describe(app, settings.root_path)  # type: ignore[method-assign]
    app.state.access = access
    app.state.stopping = lambda: False
    app.add_middleware(
        Edge,
        root_path=settings.root_path,
        is_upload=_is_upload,
        stopping=lambda: bool(app.state.stopping()),
        **(_page_checks(settings) if access.is_open else {}),
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(Watching, telemetry=watched, on_end=access.note, root_path=settings.root_path)
    problems.install(app)
    app.include_router(transcriptions.router(entrance))
    app.include_router(jobs.router if jobs else switch.without(access))
    live = LiveService(models, settings, access, watched, new_vad, lambda: bool(app.state.stopping()))
    app.include_router(realtime_route.router(live))
    app.include_router(stream_route.router(live))
    app.include_router(vocabulary_routes.routes(access))
    app.include_router(corrections_routes.router(desk))
    app.include_router(models_routes.router(models, access))
    if settings.metrics_port is None:
        asked = [Depends(access.require("metrics"))] if settings.metrics_key else []
        app.include_router(_operations(watched.metrics), dependencies=asked)
    app.include_router(pages.router(app.title))
    return app


def _page_checks(settings: Settings) -> dict[str, Callable[..., None]]:
    """Which web pages may use a service without keys, for `Edge`."""
    allowed = settings.cors_origins

    def check_reader(path: str, headers: Headers) -> None:
        if any(kept in path for kept in KEPT):
            check_host(headers, allowed)

    return {"check_page": partial(check_origin, allowed=allowed), "check_reader": check_reader}


def _is_upload(path: str) -> bool:
    """Whether forms that are sent to a path, behind some prefix, have recordings."""
    return is_transcription(path) or path.rstrip("/").endswith("/v1/jobs")


def _metrics_port(metrics: Metrics, settings: Settings) -> AbstractContextManager[None]:
    """Figures on a port of their own, if the settings ask for one."""
    return nullcontext() if settings.metrics_port is None else metrics.served(settings.host, settings.metrics_port)


def _operations(metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics", response_class=Response)
    async def figures() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
