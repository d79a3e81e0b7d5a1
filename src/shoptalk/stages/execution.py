"""Runs of a recipe: opened, made stage by stage where they are not current, and opened again by their folder."""

import json
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from shoptalk.core import config
from shoptalk.core.errors import RecipeError, ScoringError
from shoptalk.core.files import write_text
from shoptalk.core.models import store
from shoptalk.core.progress import say
from shoptalk.core.quiet import quiet
from shoptalk.core.resources import locate
from shoptalk.service import settings
from shoptalk.stages import corpus, evaluation, packaging, preflight, training
from shoptalk.stages.run import Run, StageRun
from shoptalk.stages.table import BY_NAME, STAGES

RECIPE_COPY = "recipe.json"
"""The recipe as it was used, with its folder, so that `results publish` needs the run folder only."""


def open_run(recipe: Path, folder: Path, changes: Sequence[str], *, command: str) -> Run:
    """The run of a recipe with its ``section.key=value`` changes; its folder is made and `command` noted in it."""
    loaded = config.load(recipe, tuple(changes))
    settings.of_recipe(loaded)  # a wrong key is told now, not when the bundle is served
    run = Run(folder, loaded, locate(recipe).resolve().parent)
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"--run {run.folder}: no folder can be made there ({error.strerror})") from None
    note = {"recipe": str(recipe), "set": list(changes), "command": command}
    write_text(run.folder / RECIPE_COPY, json.dumps(note, indent=1) + "\n")
    return run


def reopen(folder: Path, *needed: str) -> tuple[Run, str]:
    """A run that was made before, and the command that made it; each stage in `needed` must be current."""
    note = folder / RECIPE_COPY
    if not note.is_file():
        raise ScoringError(f"{folder}: not a run folder (no {RECIPE_COPY}); make one with `shoptalk run`")
    try:
        used = json.loads(note.read_text(encoding="utf-8"))
        path = Path(used["recipe"])
        changes = tuple(used["set"])
        command = f"shoptalk {used['command']}"
    except (ValueError, KeyError, TypeError) as error:
        raise ScoringError(f"{note}: cannot be read ({error}); run `shoptalk run` again") from None
    run = Run(folder, config.load(path, changes), locate(path).resolve().parent)
    for name in needed:
        if not run.is_current(name):
            done = "scored" if name == "evaluate" else f"through stage {name}"
            raise ScoringError(f"{folder}: not {done}, or the recipe was changed since; run `shoptalk run` again")
    return run, command


_MAKERS: Sequence[Callable[[StageRun], None]] = (
    corpus.lexicon,
    corpus.transcripts,
    corpus.speech,
    corpus.augment,
    corpus.dataset,
    training.train,
    evaluation.evaluate,
    packaging.package,
)
MAKE: Mapping[str, Callable[[StageRun], None]] = {make.__name__: make for make in _MAKERS}
"""What makes the product of each stage: the function of its name."""


def make_all(run: Run, *, last: str = STAGES[-1].name) -> None:
    """Make every stage up to `last` that is not current, in order; what would stop one is told before the first."""
    names = through(last)
    run.signature(last)  # each file that the recipe names must be there
    preflight.check(run, names)
    fetch_models(run, names)
    for name in names:
        make(run, name)


def through(last: str) -> Sequence[str]:
    """The names of the stages up to `last`, in order."""
    names = [stage.name for stage in STAGES]
    return names[: names.index(last) + 1]


def make(run: Run, name: str) -> None:
    """Make the product of one stage, whose inputs are there, unless it is current; say what is done."""
    stage = BY_NAME[name]
    if run.is_current(name):
        print(f"{stage.number} {name}: current", file=sys.stderr, flush=True)
        return
    started, signature = time.monotonic(), run.signature(name)
    print(f"{stage.number} {name}", file=sys.stderr, flush=True)
    run.mark_stale(name)
    try:
        with quiet():
            MAKE[name](run.of_stage(name))
    finally:
        run.add_seconds(signature, time.monotonic() - started)
    run.mark_current(name, signature)


def fetch_models(run: Run, names: Collection[str]) -> None:
    """Bring what those of the stages that are not current will ask of the model store, before the work begins."""
    from shoptalk.integrations import kokoro
    from shoptalk.stages.recognizers import open_recognizer

    to_make = [name for name in names if not run.is_current(name)]
    section = run.recipe.transcripts
    if section.llm.kind == "embedded" and "transcripts" in to_make and preflight.asks_llm(run):
        store.path(section.llm.model, say=say)
    if "speech" in to_make and run.recipe.speech.tts == "kokoro":
        kokoro.prepare()
        if run.recipe.speech.screen.enabled:
            for other in run.recipe.speech.screen.recognizers:
                open_recognizer(other, batch=1)
    if "evaluate" in to_make:
        if run.recipe.engine.needs_vad:
            store.path("silero-vad", say=say)
        for other in run.recipe.evaluate.others:
            open_recognizer(other, batch=1)
