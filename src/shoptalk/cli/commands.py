"""What each subcommand does with its arguments."""

import argparse
import json
import logging
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shoptalk import config, models
from shoptalk.cli import stages
from shoptalk.errors import RecipeError, ScoringError, ShoptalkError
from shoptalk.manifest import write_text
from shoptalk.run import BY_NAME, STAGES, Run

RECIPE_COPY = "recipe.json"
"""The recipe as it was used, with its folder, so that `results publish` needs the run folder only."""


def open_run(parsed: argparse.Namespace) -> Run:
    """The run that the arguments name, its folder made and the recipe noted in it."""
    path = Path(parsed.recipe)
    run = Run(Path(parsed.run), config.load(path, tuple(parsed.set)), path.resolve().parent)
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"--run {run.folder}: no folder can be made there ({error.strerror})") from None
    note = {"recipe": str(path), "set": parsed.set, "command": parsed.line}
    write_text(run.folder / RECIPE_COPY, json.dumps(note, indent=1) + "\n")
    return run


def reopen(folder: Path, *needed: str) -> tuple[Run, str]:
    """A run that was made before, and the command that made it; each stage in `needed` must be current."""
    note = folder / RECIPE_COPY
    if not note.is_file():
        raise ScoringError(f"{folder}: not a run folder (no {RECIPE_COPY}); make one with `shoptalk run`")
    try:
        used = json.loads(note.read_text(encoding="utf-8"))
        path, changes, command = Path(used["recipe"]), tuple(used["set"]), f"shoptalk {used['command']}"
    except (ValueError, KeyError, TypeError) as error:
        raise ScoringError(f"{note}: cannot be read ({error}); run `shoptalk run` again") from None
    run = Run(folder, config.load(path, changes), path.resolve().parent)
    for name in needed:
        if not run.is_current(name):
            done = "scored" if name == "evaluate" else f"through stage {name}"
            raise ScoringError(f"{folder}: not {done}, or the recipe was changed since; run `shoptalk run` again")
    return run, command


def one_stage(parsed: argparse.Namespace) -> None:
    """Run one stage whose inputs are there."""
    run = open_run(parsed)
    if first := run.first_stale(parsed.command):
        options = ["--recipe", parsed.recipe, "--run", parsed.run]
        options += [part for one in parsed.set for part in ("--set", one)]
        raise RecipeError(
            f"{parsed.command} needs {first} made from this recipe; run "
            f"`shoptalk {first} {shlex.join(options)}` first, or `shoptalk run` for all"
        )
    _make(run, parsed.command)


def all_stages(parsed: argparse.Namespace) -> Run:
    """Run every stage that is not current, in order."""
    run = open_run(parsed)
    run.signature(STAGES[-1].name)  # a file that the recipe names and that is not there is told now, not in an hour
    for stage in STAGES:
        _make(run, stage.name)
    return run


def _make(run: Run, name: str) -> None:
    stage = BY_NAME[name]
    if run.is_current(name):
        print(f"{stage.number} {name}: current", flush=True)
        return
    started, signature = time.monotonic(), run.signature(name)
    print(f"{stage.number} {name}", flush=True)
    run.mark_stale(name)
    try:
        with _quiet():
            stages.MAKE[name](run)
    finally:
        run.add_seconds(signature, time.monotonic() - started)
    run.mark_current(name, signature)


@contextmanager
def _quiet() -> Iterator[None]:
    """Third parties' warnings and remarks would bury what a stage says; PYTHONWARNINGS brings the warnings back."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(before)


def demo(parsed: argparse.Namespace) -> None:
    """The whole road, then a freshly started server asked about a held-out recording."""
    from shoptalk.cli import showcase

    stages.fetch_models(open_run(parsed))
    showcase.show(all_stages(parsed))


def serve(parsed: argparse.Namespace) -> None:
    """Serve a bundle, or a `.nemo`, until told to stop."""
    recipe = config.load(Path(parsed.recipe), tuple(parsed.set)) if parsed.recipe else config.changed(tuple(parsed.set))
    with _quiet():
        stages.serve(Path(parsed.bundle), recipe)


def transcribe(parsed: argparse.Namespace) -> int:
    """Print what recordings say."""
    from shoptalk.cli import transcribing

    with _quiet():
        return transcribing.transcribe(parsed)


def store(parsed: argparse.Namespace) -> None:
    """List, fetch or verify models."""
    names = parsed.names or [entry.name for entry in models.list_models()]
    for name in names:
        entry = models.model(name)
        if parsed.action == "list":
            state = "cached" if models.is_cached(name) else "absent"
            print(f"{name:30} {entry.size_bytes / 1e6:8.1f} MB  {state}  {entry.licence:12}  {entry.role}")
        elif parsed.action == "fetch":
            print(models.fetch(name))
        else:
            models.verify(name)
            print(f"{name}: verified")


def results(parsed: argparse.Namespace) -> None:
    """Write results/NAME.json from a run's scores, and the table of the README with it."""
    from shoptalk.cli import publishing

    publishing.publish(Path(parsed.run), parsed.name)


def gate(parsed: argparse.Namespace) -> int:
    """Hold a run's scores against a policy: 0 passed, 1 refused."""
    from shoptalk.cli import gating

    return gating.gate(Path(parsed.run), Path(parsed.policy))


def registry(parsed: argparse.Namespace) -> int:
    """Register, promote, roll back or list models."""
    from shoptalk.cli import gating

    with _quiet():
        return gating.ACTIONS[parsed.action](parsed)


def bring(parsed: argparse.Namespace) -> None:
    """Import a test set of others."""
    from shoptalk.cli import importing

    with _quiet():
        importing.bring(parsed)


def no_command(parsed: argparse.Namespace) -> None:
    """`shoptalk` alone, or with --version."""
    from shoptalk import __version__

    if not parsed.version:
        raise ShoptalkError("name a command; `shoptalk --help` lists them")
    print(__version__)


COMMANDS: Mapping[str | None, Callable[[argparse.Namespace], object]] = {
    **dict.fromkeys(BY_NAME, one_stage),
    "run": all_stages,
    "demo": demo,
    "serve": serve,
    "transcribe": transcribe,
    "models": store,
    "results": results,
    "gate": gate,
    "registry": registry,
    "import": bring,
    None: no_command,
}
