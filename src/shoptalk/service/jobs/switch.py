"""Jobs are on where there is a store; without one every request to them is told which settings are missing."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from shoptalk.core.errors import StoreError
from shoptalk.core.protocols import ObjectStore
from shoptalk.service import store as stores
from shoptalk.service.access.access import Access
from shoptalk.service.http.recognising import Entrance
from shoptalk.service.store import Store

METHODS = ["GET", "POST", "DELETE"]


@dataclass(frozen=True)
class Jobs:
    """The jobs of a service."""

    router: APIRouter
    running: Callable[[], AbstractAsyncContextManager[None]]
    """Around the life of the service: jobs are worked on within."""
    forget: Callable[[str, str | None], int]
    """Deletes what is kept of a file, by the id of its request."""


def open_jobs(store: Store, entrance: Entrance, objects: ObjectStore | None) -> Jobs:
    """Jobs over a store; `StoreError` and `EncryptionKeyError` name settings that cannot be used."""
    from shoptalk.service.jobs import routes, webhooks
    from shoptalk.service.jobs.ledger import Ledger
    from shoptalk.service.jobs.runner import Runner
    from shoptalk.service.jobs.sources import Sources
    from shoptalk.service.jobs.targets import Targets

    settings = entrance.settings
    ledger = Ledger(store, settings)
    sources = Sources(store, settings, objects)
    targets = courier = None
    if settings.webhook_secret is not None:
        try:
            targets = Targets(settings.webhook_networks)
        except ValueError as error:
            raise StoreError(f"serve.webhook_networks: {error}; give networks such as 10.1.0.0/16") from None
        secret = webhooks.read_secret(settings.webhook_secret)
        courier = webhooks.Courier(ledger, secret, targets, lambda: store.now_s)
    runner = Runner(ledger, sources, entrance, courier)
    entrance.telemetry.metrics.watch_jobs(lambda: runner.figures)
    desk = routes.Desk(ledger, sources, runner, entrance, targets)
    return Jobs(routes.router(desk), runner.running, ledger.forget)


def without(access: Access) -> APIRouter:
    """The routes of a service without a store."""
    routes = APIRouter(dependencies=[Depends(access.require("jobs"))])

    @routes.api_route("/v1/jobs", methods=METHODS, include_in_schema=False)
    @routes.api_route("/v1/jobs/{rest:path}", methods=METHODS, include_in_schema=False)
    async def missing(rest: str = "") -> None:
        raise stores.missing("jobs")

    return routes
