"""All models of the service: which of them a request means, their start and end, swaps, and the challenger's shadow."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from shoptalk.core.errors import ModelError, ShoptalkError
from shoptalk.service.clock import now_s
from shoptalk.service.model.admission import time_allowed_s
from shoptalk.service.model.served import ModelReport, Served, Source
from shoptalk.service.model.shadow import Shadow, ShadowReport
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

OPENAI_NAMES = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-realtime-whisper",
)
"""What clients send that were written for OpenAI, often as a constant; they mean the default model."""


class Models:
    """The models by name, the first one is the default; every method is called on the event loop."""

    def __init__(
        self,
        paths: Mapping[str, Path],
        source: Source,
        settings: Settings,
        *,
        rng: np.random.Generator,
        clock: Callable[[], float] = now_s,
        on_started: Callable[[ShoptalkError | None], None] | None = None,
    ):
        """`paths` are bundles or `.nemo` files by the name that clients send.

        `rng` draws the challenger's share. `on_started` is called once, when every model was opened or has failed; it
        gets the first error if none at all could be opened. `ModelError` for settings that name a model which is not
        there.
        """
        self._settings = settings
        self._on_started = on_started
        self._tasks: set[asyncio.Task[None]] = set()
        self.default = settings.default_model or next(iter(paths), "")
        for key, name in [("default_model", self.default), ("challenger", settings.challenger)]:
            if (name or key == "default_model") and name not in paths:
                raise ModelError(f"serve.{key}: no model is named {name!r}; there is {_listed(paths)}")
        for alias, name in settings.aliases.items():
            if name not in paths:
                raise ModelError(f"serve.aliases.{alias}: no model is named {name!r}; there is {_listed(paths)}")
        if settings.challenger == self.default:
            raise ModelError(f"serve.challenger: {self.default!r} is the default model; name another one")
        self._served = {name: Served(name, path, source, settings, clock=clock) for name, path in paths.items()}
        self._shadow: Shadow | None = None
        if settings.challenger:
            champion, challenger = self._served[self.default], self._served[settings.challenger]
            self._shadow = Shadow(
                self.default,
                challenger,
                share=settings.challenger_share,
                rng=rng,
                is_busy=self._is_busy,
                clock=clock,
            )
            champion.on_answer = self._shadow.offer
            champion.on_swap = challenger.on_swap = self._shadow.forget

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._served)

    @property
    def error(self) -> ShoptalkError | None:
        """Why no model could be started, if none could."""
        errors = [served.error for served in self._served.values()]
        return errors[0] if all(errors) else None

    @property
    def ready(self) -> bool:
        """Whether all models answer; the challenger is not asked, because no client need know it."""
        asked = [served for name, served in self._served.items() if name != self._settings.challenger]
        return all(served.ready for served in asked)

    def resolve(self, name: str | None) -> Served:
        """The model of that name or alias, the default one for none; `Problem` 404 for a name that is unknown.

        Under `strict_models` aliases are unknown too, and a missing name is `Problem` 400.
        """
        if not name:
            if self._settings.strict_models:
                message = f"`model` is missing; send {_listed(self._served)}"
                raise Problem(400, message, code="missing_field", param="model")
            return self._served[self.default]
        return self._served[self.canonical(name)]

    def canonical(self, name: str) -> str:
        """The name of the model that a name or an alias means; `Problem` 404 as for `resolve`."""
        if name in self._served:
            return name
        if not self._settings.strict_models:
            if name in self._settings.aliases:
                return self._settings.aliases[name]
            if name in OPENAI_NAMES:
                return self.default
        message = f"the model {name[:100]!r} does not exist here; this server has {_listed(self._served)}"
        raise Problem(404, message, code="model_not_found", param="model")

    @property
    def has_any_room(self) -> bool:
        """Whether any model would take a recording now."""
        return any(served.has_room for served in self._served.values())

    def require_any_room(self) -> None:
        """`Problem` 429 or 503 where no model at all would take a recording: asked before an upload is read."""
        if not self.has_any_room:
            self._served[self.default].require_room()

    def time_allowed_s(self, audio_s: float) -> float:
        """How long a recording of this length may take once it is uploaded."""
        return time_allowed_s(self._settings, audio_s)

    def start(self) -> None:
        """Begin to load all models; `ready` tells when they answer."""
        self._spawn(self._start_all())
        if self._settings.golden_every_s:
            self._spawn(self._probe_all(self._settings.golden_every_s))

    async def stop(self) -> None:
        """Answer what is under way, then end all models."""
        if self._shadow:
            await self._shadow.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(served.stop() for served in self._served.values()))

    async def swap(self, name: str, path: Path) -> None:
        """Serve other weights under a name; `Served.swap` says how, and names the errors.

        `ModelError` also for a path that is not below `models_folder`.
        """
        folder = self._settings.models_folder
        if folder and not path.resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{path}: is not below {folder}; put it there, or change serve.models_folder")
        await self.resolve(name).swap(path)

    def report(self) -> tuple[ModelReport, ...]:
        """How each model is doing."""
        return tuple(served.report() for served in self._served.values())

    def paths(self) -> list[tuple[str, Path]]:
        """The name of each model, and the bundle or `.nemo` that it has now."""
        return [(served.name, served.path) for served in self._served.values()]

    def shadow_report(self) -> ShadowReport | None:
        """How challenger and champion compare; None where there is no challenger."""
        return self._shadow.report() if self._shadow else None

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_all(self) -> None:
        await asyncio.gather(*(served.start() for served in self._served.values()))
        if self._on_started:
            self._on_started(self.error)

    async def _probe_all(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            for served in self._served.values():
                await served.probe()

    def _is_busy(self) -> bool:
        """Whether requests wait for a place in a batch of any model: they share the machine."""
        return any(served.admission.requests >= self._settings.batch for served in self._served.values())


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in names)
