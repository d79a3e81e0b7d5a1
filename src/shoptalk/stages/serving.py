"""Stage 90: a bundle behind the HTTP service."""

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from shoptalk.core import config
from shoptalk.core.errors import BindingError
from shoptalk.core.recipe import EngineSection, Recipe
from shoptalk.service import settings as service_settings
from shoptalk.service.model.messages import BatchFigures, Batching
from shoptalk.service.model.worker import WorkerModel
from shoptalk.service.settings import Settings
from shoptalk.stages.recognizers import open_engine


def serve(bundle: Path, recipe: Recipe) -> None:
    """90: answer requests until told to stop."""
    from shoptalk.service.http.app import create_app
    from shoptalk.service.server import check_binding
    from shoptalk.service.server import serve as answer

    settings = service_settings.of_recipe(recipe)
    key = config.api_key("SHOPTALK_API_KEY") or None
    check_binding(settings.host, key)
    _check_port(settings.host, settings.port)
    engine = open_engine(bundle, recipe.engine, batch=settings.batch)
    app = create_app(engine, settings, model_name=engine.name, api_key=key)
    print(f"serving {bundle} on http://{settings.host}:{settings.port}/v1", flush=True)
    answer(app, settings.host, settings.port, drain_s=settings.drain_s)


def open_worker(
    name: str,
    path: Path,
    section: EngineSection,
    settings: Settings,
    *,
    observe: Callable[[BatchFigures], None] | None = None,
) -> WorkerModel:
    """The engine with a bundle or a `.nemo` in a process of its own, not started yet; `observe` gets each batch."""
    batching = Batching(settings.batch, settings.batch_wait_ms / 1000, settings.batch_aim_ms / 1000)
    opening = partial(open_engine, path, section, batch=settings.batch)
    return WorkerModel(name, opening, batching=batching, observe=observe, patience_s=settings.hang_s)


def _check_port(host: str, port: int) -> None:
    """`BindingError` if the address cannot be had, told before the model is loaded."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise BindingError(f"{host}:{port}: {error.strerror}; take another with `--set serve.port=…`") from None
