"""The corrections of a service: opened with its store, written and swept while it runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.service.access.access import Access
from shoptalk.service.corrections import trained
from shoptalk.service.corrections.forgetting import Forgetting
from shoptalk.service.corrections.routes import Desk
from shoptalk.service.settings import Settings
from shoptalk.service.store import Store
from shoptalk.service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from shoptalk.service.corrections.corrections import Corrections

FLUSH_S = 1.0
"""So often answered requests are written."""
SWEEP_S = 60.0
"""So often expired corrections are looked for."""


def open_desk(
    store: Store | None,
    settings: Settings,
    *,
    access: Access,
    metrics: Metrics,
    forgetting: Forgetting,
    served: Callable[[], Iterable[tuple[str, Path]]],
    registered: trained.Registered | None = None,
) -> Desk:
    """What the routes need; without a store there are no corrections, and a deletion reaches kept recordings alone.

    `served` gives the models of the service by name, and `registered` those of a registry, in which a deletion looks.
    """
    corrections = None
    keeper = access.keeper
    if store is not None:
        from shoptalk.service.corrections.corrections import Corrections

        corrections = Corrections(store, settings, keeper)
        access.on_answered = corrections.answered.note
        forgetting.add("recordings", corrections.forget_recordings)
        forgetting.add("corrections", corrections.forget)
        forgetting.add("requests", corrections.forget_request)
    elif keeper is not None:
        forgetting.add("recordings", keeper.forget)

    async def search(ids: Sequence[str]) -> trained.Search:
        return await asyncio.to_thread(
            trained.search, ids, served=served, folder=settings.models_folder, registered=registered
        )

    return Desk(access, metrics, forgetting, search, corrections)


@asynccontextmanager
async def running(corrections: "Corrections | None") -> AsyncIterator[None]:
    """Around the life of the service: answered requests are written, and what has expired is deleted."""
    if corrections is None:
        yield
        return
    tasks = [
        asyncio.create_task(_repeat(corrections.answered.try_flush, FLUSH_S)),
        asyncio.create_task(_repeat(corrections.try_sweep, SWEEP_S)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(corrections.answered.try_flush)


async def _repeat(work: Callable[[], None], every_s: float) -> None:
    while True:
        await asyncio.to_thread(work)
        await asyncio.sleep(every_s)
