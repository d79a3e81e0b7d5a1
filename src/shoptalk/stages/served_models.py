"""The models of stage 90: bundles and `.nemo` files with their workers, golden recordings and lexicons."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from shoptalk.core import audio
from shoptalk.core.bundle import name_of, read_golden, read_terms
from shoptalk.core.device import cores
from shoptalk.core.errors import ModelError, ShoptalkError
from shoptalk.core.examples import read_manifest
from shoptalk.core.recipe import EngineSection, Recipe
from shoptalk.core.records import Term
from shoptalk.core.resources import locate
from shoptalk.core.review import Watch
from shoptalk.core.terms import index_of, mentions
from shoptalk.core.text import words_unkept
from shoptalk.scoring.wer import count_all
from shoptalk.service.model.differences import Compare, Difference
from shoptalk.service.model.golden import Golden
from shoptalk.service.model.group import WorkerGroup
from shoptalk.service.model.messages import Batching, Opened
from shoptalk.service.model.models import Models
from shoptalk.service.model.served import About, Worker
from shoptalk.service.model.worker import Figures, WorkerModel
from shoptalk.service.settings import Settings
from shoptalk.stages.recognizers import open_both

SMALL_BYTES = 500 * 10**6
"""Of a model that each core may have a copy of."""
Observe = Callable[[str], Callable[[Figures], None]]
"""For the name of a model, what gets the figures of each of its batches, and of its streams."""

SHIPPED = Path("assets/general/test.jsonl"), "2300B4P3"
"""A manifest and the id of the recording in it that a model without its own is asked for; clear, and of 11 words."""


def open_models(
    paths: Mapping[str, Path],
    recipe: Recipe,
    settings: Settings,
    *,
    observe: Observe | None = None,
    on_started: Callable[[ShoptalkError | None], None] | None = None,
) -> Models:
    """The models of a service, of which nothing is loaded yet; `Models` says what `on_started` is for."""
    source = ModelFiles(recipe.engine, settings, observe=observe)
    rng = np.random.default_rng(recipe.seed)
    return Models(paths, source, settings, rng=rng, on_started=on_started)


def named_paths(bundle: Path | None, further: Iterable[tuple[str, Path]] = ()) -> dict[str, Path]:
    """Each model by the name that clients send: the bundle by its own, further ones by theirs.

    `ModelError` for a path that is none, for the same name twice, and for no model at all.
    """
    named: dict[str, Path] = {}
    if bundle is not None:
        named[name_of(_located(bundle))] = bundle
    for name, path in further:
        _located(path)
        if not name.strip():
            raise ModelError(f"{path}: has an empty name; write NAME=PATH")
        if name in named:
            raise ModelError(f"{name!r} is the name of {named[name]} and of {path}; give one of them another name")
        named[name] = path
    if not named:
        raise ModelError("there is no model to serve; name a bundle, or some in serve.models")
    return named


class ModelFiles:
    """The `Source` of a service on one machine."""

    def __init__(self, engine: EngineSection, settings: Settings, *, observe: Observe | None = None):
        self._engine = engine
        self._settings = settings
        self._observe = observe

    def about(self, path: Path) -> About:
        """What belongs to a bundle or a `.nemo`; its weights are verified by the worker that opens them."""
        located = _located(path)
        name_of(located)  # a bundle of a version that cannot be read is told at once
        golden = self._golden(located) if self._settings.golden_check else None
        terms = read_terms(located)
        made = int(located.stat().st_mtime)
        return About(comparison(terms), golden, created=made, watch=Watch.of(terms))

    def worker(self, name: str, path: Path) -> Worker:
        """A process with the engine of the recipe."""
        observe = self._observe(name) if self._observe else None
        return open_worker(name, path, self._engine, self._settings, observe=observe)

    def _golden(self, path: Path) -> Golden:
        """The settings' golden recording, else the bundle's own, else the one that ships."""
        recording, text = self._settings.golden_recording, self._settings.golden_text
        own = read_golden(path)
        if recording:
            if not text:
                raise ModelError("serve.golden_recording needs serve.golden_text: what the right model makes of it")
            recording = locate(recording)
        elif own:
            recording, text = own
        else:
            manifest, id_ = SHIPPED
            [shipped] = [example for example in read_manifest(locate(manifest)) if example.id == id_]
            recording, text = shipped.audio, shipped.text
        return Golden(audio.decode(recording), text, self._settings.golden_max_wer)


def open_worker(
    name: str,
    path: Path,
    section: EngineSection,
    settings: Settings,
    *,
    observe: Callable[[Figures], None] | None = None,
) -> Worker:
    """The engine with a bundle or a `.nemo` in processes of its own, not started yet; `observe` gets each batch."""
    batching = Batching(settings.batch, settings.batch_wait_ms / 1000, settings.batch_aim_ms / 1000)
    opening = partial(open_served, path, section, batch=settings.batch)
    count = processes(settings.workers, section, _located(path))
    threads = max(1, cores() // count) if count > 1 else 0
    members = [
        WorkerModel(
            name,
            opening,
            batching=batching,
            observe=observe,
            patience_s=settings.hang_s,
            stream_within_s=settings.timeout_s,
            threads=threads,
        )
        for _ in range(count)
    ]
    return members[0] if count == 1 else WorkerGroup(name, members)


def open_served(path: Path, section: EngineSection, *, batch: int) -> Opened:
    """The engine for recordings, and for streams; called in the worker process."""
    return Opened(*open_both(path, section, batch=batch))


def processes(workers: int, section: EngineSection, path: Path) -> int:
    """How many processes a model gets, as `serve.workers` says; a GPU has one."""
    if section.device != "cpu":
        return 1
    if workers:
        return workers
    sizes = [file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return cores() if sum(sizes) <= SMALL_BYTES else 1


def comparison(terms: Sequence[Term]) -> Compare:
    """Counts of differing words, and of mentions of these terms that only one of the texts has; no text is kept."""
    known = index_of(terms)

    def compare(expected: str, text: str) -> Difference:
        expected_words, text_words = words_unkept(expected), words_unkept(text)
        [(substitutions, deletions, insertions, reference)] = count_all([(expected_words, text_words)]).tolist()
        mentioned = Counter(mention.term for mention in mentions(known, expected_words))
        others = Counter(mention.term for mention in mentions(known, text_words))
        only_one = (mentioned - others) + (others - mentioned)
        return Difference(
            words=reference,
            differing=substitutions + deletions + insertions,
            terms=mentioned.total(),
            terms_differing=only_one.total(),
        )

    return compare


def _located(path: Path) -> Path:
    located = locate(path)
    if not located.exists():
        raise ModelError(f"{path}: no such bundle or .nemo; make one with `shoptalk package`")
    return located
