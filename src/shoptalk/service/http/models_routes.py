"""Routes about models: which there are, whether they are ready, swapping one, and how the challenger compares."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from shoptalk.core.errors import ShoptalkError
from shoptalk.service import bodies
from shoptalk.service.access.access import Access
from shoptalk.service.model.models import Models
from shoptalk.service.model.served import ModelReport
from shoptalk.service.problems import Problem


class Swap(BaseModel):
    """What `POST /admin/models/NAME` takes."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1)
    """A bundle or a `.nemo` on the machine of the service."""


def router(models: Models, access: Access) -> APIRouter:
    """All routes about models; those below ``/health`` ask for no key and tell no more than names and states."""
    routes = APIRouter()
    routes.include_router(_listing(models), dependencies=[Depends(access.require("models"))])
    routes.include_router(_administration(models), dependencies=[Depends(access.require("admin"))])
    routes.include_router(_health(models, access))
    return routes


def _listing(models: Models) -> APIRouter:
    routes = APIRouter()

    @routes.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [_about(report) for report in models.report()]}

    @routes.get("/v1/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        name = models.canonical(model)
        about = _about(models.resolve(name).report())
        return about if name == model else {**about, "id": model, "root": name}

    return routes


def _about(report: ModelReport) -> dict[str, Any]:
    return {"id": report.name, "object": "model", "created": report.created, "owned_by": "shoptalk"}


def _administration(models: Models) -> APIRouter:
    routes = APIRouter(prefix="/admin")

    @routes.get("/models")
    async def reports() -> dict[str, Any]:
        return {"models": [asdict(report) for report in models.report()]}

    @routes.post("/models/{model:path}", openapi_extra=bodies.described(Swap.model_json_schema()))
    async def swap(model: str, request: Request) -> dict[str, Any]:
        wanted = await bodies.read_model(request, Swap)
        # a client that hangs up leaves a swap to its end
        await asyncio.shield(asyncio.ensure_future(_swap(models, model, Path(wanted.path))))
        return asdict(models.resolve(model).report())

    @routes.get("/shadow")
    async def shadow() -> dict[str, Any]:
        report = models.shadow_report()
        if report is None:
            raise Problem(404, "there is no challenger; name a model in serve.challenger", code="no_challenger")
        return asdict(report)

    return routes


async def _swap(models: Models, name: str, path: Path) -> None:
    try:
        await models.swap(name, path)
    except ShoptalkError as error:
        message = f"the model was not swapped, the old one goes on: {error}"
        raise Problem(422, message, code=type(error).__name__, param="path") from None


def _health(models: Models, access: Access) -> APIRouter:
    routes = APIRouter(prefix="/health")

    @routes.get("/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @routes.get("/ready")
    async def ready() -> Response:
        """200 if all models answer; a challenger that does not is told, but does not count.

        With `Settings.audit_required` the audit log must be written, too.
        """
        states = {report.name: {"status": report.state} for report in models.report()}
        is_ready = models.ready and access.is_ready
        status = "ready" if is_ready else "not ready"
        return JSONResponse({"status": status, "models": states}, status_code=200 if is_ready else 503)

    @routes.get("/ready/{model:path}")
    async def model_ready(model: str) -> Response:
        served = models.resolve(model)
        return JSONResponse({"status": served.state}, status_code=200 if served.ready else 503)

    return routes
