"""Stage 90: a bundle behind the HTTP service."""

import socket
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from shoptalk.core import config
from shoptalk.core.errors import BindingError, ShoptalkError
from shoptalk.core.progress import tell
from shoptalk.core.protocols import LiveVad
from shoptalk.core.recipe import Recipe
from shoptalk.core.runtime import no_core_dumps
from shoptalk.integrations.s3 import S3
from shoptalk.service import settings as service_settings


def serve(bundle: Path | None, recipe: Recipe, further: Sequence[tuple[str, Path]] = ()) -> None:
    """90: answer requests until told to stop, with a bundle, further models by name, and those of the settings.

    The error of the first model is raised if none could be opened.
    """
    from shoptalk.service.access.access import Access
    from shoptalk.service.app import create_app
    from shoptalk.service.server import check_binding
    from shoptalk.service.server import serve as answer
    from shoptalk.service.store import open_store
    from shoptalk.service.telemetry import spans
    from shoptalk.service.telemetry.watching import Telemetry
    from shoptalk.stages import served_models
    from shoptalk.stages.releasing import registered_bundles

    settings = service_settings.of_recipe(recipe)
    key = config.api_key("SHOPTALK_API_KEY") or None
    access = Access(key, settings)
    check_binding(settings.host, asks_for_key=not access.is_open)
    store = open_store(settings)
    objects = S3() if settings.jobs_s3 else None
    if not settings.core_dumps:
        no_core_dumps()
    _check_port(settings.host, settings.port)
    paths = served_models.named_paths(bundle, [*further, *settings.models.items()])
    telemetry = Telemetry(paths, spans.open_spans())
    listed = ", ".join(map(str, paths.values()))

    def started(error: ShoptalkError | None) -> None:
        if error:
            app.state.stop()
        else:
            print(f"serving {listed} on {_address(settings)}", flush=True)

    observe = telemetry.metrics.batches_of
    models = served_models.open_models(paths, recipe, settings, observe=observe, on_started=started)
    registered = partial(registered_bundles, settings.registry) if settings.registry else None
    app = create_app(
        models,
        settings,
        access=access,
        telemetry=telemetry,
        store=store,
        objects=objects,
        new_vad=_live_vads(),
        registered=registered,
    )
    tell(f"opening {listed}")
    answer(app, settings)
    if models.error:
        raise models.error


def _live_vads() -> Callable[[], LiveVad]:
    """What makes a detector of speech for each live session; the first call loads the model."""
    from shoptalk.integrations import vad_silero_live

    load = cache(vad_silero_live.load)
    return lambda: load()()


def _address(settings: service_settings.Settings) -> str:
    scheme = "https" if settings.tls_certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{settings.port}{settings.root_path}/v1"


def _check_port(host: str, port: int) -> None:
    """`BindingError` if the address cannot be had, told before the model is loaded."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise BindingError(f"{host}:{port}: {error.strerror}; take another with `--set serve.port=…`") from None
