"""What each subcommand does with its arguments."""

import argparse
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from shoptalk.core import config
from shoptalk.core.errors import RecipeError, ShoptalkError
from shoptalk.core.models import store
from shoptalk.stages import execution
from shoptalk.stages.run import Run
from shoptalk.stages.table import BY_NAME


def one_stage(parsed: argparse.Namespace) -> None:
    """Run one stage whose inputs are there."""
    run = _open_run(parsed)
    if first := run.first_stale(parsed.command):
        options = ["--recipe", parsed.recipe, "--run", parsed.run]
        options += [part for one in parsed.set for part in ("--set", one)]
        raise RecipeError(
            f"{parsed.command} needs {first} made from this recipe; run "
            f"`shoptalk {first} {shlex.join(options)}` first, or `shoptalk run` for all"
        )
    execution.make(run, parsed.command)


def all_stages(parsed: argparse.Namespace) -> None:
    """Run every stage that is not current, in order."""
    execution.make_all(_open_run(parsed))


def _open_run(parsed: argparse.Namespace) -> Run:
    return execution.open_run(Path(parsed.recipe), Path(parsed.run), parsed.set, command=parsed.line)


def demo(parsed: argparse.Namespace) -> None:
    """The whole road, then a freshly started server asked about a held-out recording."""
    from shoptalk.cli import showcase

    run = _open_run(parsed)
    execution.fetch_models(run)
    execution.make_all(run)
    showcase.show(run)


def start(parsed: argparse.Namespace) -> None:
    """Write a recipe, a lexicon and a policy to edit, and say how to go on."""
    from shoptalk.stages import starting

    written = starting.start(Path(parsed.to))
    for path in written:
        print(f"{path}: {starting.FILES[path.name]}")
    folder = Path(parsed.to)
    command = ["shoptalk", "run", "--recipe", str(folder / starting.RECIPE), "--run", str(folder / "runs" / "first")]
    print(f"Edit the terms, then: {shlex.join(command)}")


def serve(parsed: argparse.Namespace) -> None:
    """Serve a bundle, or a `.nemo`, until told to stop."""
    from shoptalk.stages import serving

    recipe = config.load(Path(parsed.recipe), tuple(parsed.set)) if parsed.recipe else config.changed(tuple(parsed.set))
    with execution.quiet():
        serving.serve(Path(parsed.bundle), recipe)


def transcribe(parsed: argparse.Namespace) -> int:
    """Print what recordings say."""
    from shoptalk.cli import transcribing

    with execution.quiet():
        return transcribing.transcribe(parsed)


def model_store(parsed: argparse.Namespace) -> None:
    """List, fetch or verify models."""
    names = parsed.names or [entry.name for entry in store.list_models()]
    for name in names:
        entry = store.model(name)
        if parsed.action == "list":
            state = "cached" if store.is_cached(name) else "absent"
            print(f"{name:30} {entry.size_bytes / 1e6:8.1f} MB  {state}  {entry.licence:12}  {entry.role}")
        elif parsed.action == "fetch":
            print(store.fetch(name))
        else:
            store.verify(name)
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

    with execution.quiet():
        return gating.ACTIONS[parsed.action](parsed)


def bring(parsed: argparse.Namespace) -> None:
    """Import a test set of others."""
    from shoptalk.cli import importing

    with execution.quiet():
        importing.bring(parsed)


def no_command(parsed: argparse.Namespace) -> None:
    """`shoptalk` alone, or with --version."""
    from shoptalk import __version__

    if not parsed.version:
        raise ShoptalkError("name a command; `shoptalk --help` lists them")
    print(__version__)


COMMANDS: Mapping[str | None, Callable[[argparse.Namespace], object]] = {
    **dict.fromkeys(BY_NAME, one_stage),
    "init": start,
    "run": all_stages,
    "demo": demo,
    "serve": serve,
    "transcribe": transcribe,
    "models": model_store,
    "results": results,
    "gate": gate,
    "registry": registry,
    "import": bring,
    None: no_command,
}
