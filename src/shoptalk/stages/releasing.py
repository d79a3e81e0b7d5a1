"""The gate and the registry on run folders: models reach use only through the gate, and all of it is recorded."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from shoptalk.core import bundle
from shoptalk.core.errors import RegistryError
from shoptalk.core.files import file_sha256
from shoptalk.core.quiet import quiet
from shoptalk.core.scores import GATE, SCORES
from shoptalk.integrations.registry import CHALLENGER, Event, Registry, Version
from shoptalk.release.judging import Judgement, judge_folder
from shoptalk.stages.execution import RECIPE_COPY, reopen
from shoptalk.stages.run import Run


class Promotion(NamedTuple):
    """What came of a promotion: the gate's judgement of a challenger, and what was recorded if it passed."""

    name: str
    version: str
    judgement: Judgement
    event: Event | None
    """None: the gate refused, and nothing moved."""


def gate(folder: Path, policy: Path) -> Judgement:
    """Judge a run that is scored by its recipe as it is now."""
    run, _ = reopen(folder, "evaluate")
    return _judge(run, policy, datetime.now(UTC))


def _judge(run: Run, policy: Path, now: datetime) -> Judgement:
    return judge_folder(run.product("evaluate"), policy, recipe=run.recipe.name, now=now)


def open_registry(uri: str, *, create: bool = False) -> Registry:
    """The registry at a URI, without MLflow's remarks."""
    with quiet():
        return Registry(uri, create=create)


def registered_bundles(uri: str) -> list[tuple[str, Path]]:
    """Every version in the registry, by model and number, and its bundle."""
    with quiet():
        registry = open_registry(uri)
        return [
            (f"{name} version {version.number}", version.source)
            for name in registry.names()
            for version in registry.versions(name)
        ]


def register(folder: Path, uri: str, *, name: str | None, by: str | None) -> tuple[str, Version]:
    """Make a run's bundle, verified, the challenger of its model, whose name is the recipe's unless given."""
    run, _ = reopen(folder, "evaluate", "package")
    source = run.product("package").resolve()
    bundle.open_bundle(source)
    tags = {
        "recipe": run.recipe.name,
        "run": str(run.folder.resolve()),
        "checksums_sha256": file_sha256(source / bundle.CHECKSUMS),
        "scores_sha256": file_sha256(run.product("evaluate") / SCORES),
        "registered_by": _who(by),
        "registered_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    name = name or run.recipe.package.name
    with quiet():
        return name, open_registry(uri, create=True).register(name, source, tags)


def promote(given: str, uri: str, policy: Path, *, by: str | None, why: str) -> Promotion:
    """Make the challenger the champion if the gate lets its run through.

    `given` is the name of the model, or the run folder of its challenger. `RegistryError` if what was registered is no
    longer what is there.
    """
    registry, who, now = open_registry(uri), _who(by), datetime.now(UTC)
    is_run = (Path(given) / RECIPE_COPY).is_file()
    name = reopen(Path(given))[0].recipe.package.name if is_run else given
    challenger = registry.holder(name, CHALLENGER)
    if challenger is None:
        raise RegistryError(f"{name}: has no challenger; make one with `shoptalk registry register RUN`")
    folder = Path(challenger.tags.get("run", ""))
    if is_run and folder != Path(given).resolve():
        raise RegistryError(f"{given}: the challenger of {name} is of {folder}; register this run first")
    _require_unchanged(name, challenger)
    run, _ = reopen(folder, "evaluate", "package")
    if file_sha256(run.product("evaluate") / SCORES) != challenger.tags.get("scores_sha256"):
        raise RegistryError(f"{folder}: its scores are not those that were registered; register the run again")
    judgement = _judge(run, policy, now)
    if not judgement.verdict.passed:
        return Promotion(name, challenger.number, judgement, None)
    verdict = file_sha256(run.product("evaluate") / GATE)
    with quiet():
        event = registry.promote(name, challenger.number, by=who, at=now, why=why, gate_sha256=verdict)
    return Promotion(name, challenger.number, judgement, event)


def rollback(name: str, uri: str, *, by: str | None, why: str) -> Event:
    """Make the champion before this one the champion again, if its bundle is still what was registered."""
    registry = open_registry(uri)
    target = registry.rollback_target(name)
    _require_unchanged(name, target)
    with quiet():
        return registry.rollback(name, target.number, by=_who(by), at=datetime.now(UTC), why=why)


def _require_unchanged(name: str, version: Version) -> None:
    """Verify the bundle of a version against what was registered, every file of it."""
    sums = version.source / bundle.CHECKSUMS
    bundle.open_bundle(version.source)
    if file_sha256(sums) != version.tags.get("checksums_sha256"):
        raise RegistryError(
            f"{version.source}: not the bundle that was registered as {name} version {version.number}; "
            "register what is there now, or put the bundle back"
        )


def _who(given: str | None) -> str:
    try:
        return given or getpass.getuser()
    except (OSError, KeyError):
        raise RegistryError("this system does not tell who you are; say --by NAME") from None
