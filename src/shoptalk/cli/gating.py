"""`shoptalk gate` and `shoptalk registry`: scores held against a policy, and models that reach use only through it."""

import argparse
import getpass
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from shoptalk.core import bundle
from shoptalk.core.errors import PolicyError, RegistryError, ScoringError
from shoptalk.core.files import write_text
from shoptalk.core.resources import locate
from shoptalk.core.scores import Scores
from shoptalk.integrations.registry import CHALLENGER, CHAMPION, Event, Registry, Version
from shoptalk.release import gate_page
from shoptalk.release.gate import Verdict, judge
from shoptalk.release.gate_policy import read_policy
from shoptalk.stages.execution import RECIPE_COPY, reopen
from shoptalk.stages.run import Run
from shoptalk.stages.table import GATE, SCORES

PAGE, REPORT = "gate.html", "report.html"


def gate(folder: Path, policy: Path) -> int:
    """Judge a run, write what was decided beside its scores, and print it; 0 passed, 1 refused."""
    run, _ = reopen(folder, "evaluate")
    return 0 if _judge(run, policy, datetime.now(UTC)).passed else 1


def _judge(run: Run, policy: Path, now: datetime) -> Verdict:
    policy = locate(policy)
    if not policy.is_file():
        raise PolicyError(f"{policy}: no such policy; the project's are recipes/gate.yaml and recipes/gate-strict.yaml")
    folder, rules = run.product("evaluate"), policy.read_bytes()
    written = (folder / SCORES).read_bytes()
    try:
        scores = Scores.model_validate_json(written)
    except ValueError:
        raise ScoringError(f"{folder / SCORES}: written by another version; run `shoptalk evaluate` again") from None
    checks = judge(scores, read_policy(rules.decode(errors="replace"), str(policy)))
    verdict = Verdict(
        passed=all(one.passed for one in checks), checks=checks, recipe=run.recipe.name, policy=policy.name,
        policy_sha256=_sha256(rules), scores_sha256=_sha256(written),
        judged_at=now.isoformat(timespec="seconds"), confidence=scores.confidence,
    )  # fmt: skip
    write_text(folder / GATE, verdict.model_dump_json(indent=1) + "\n")
    write_text(folder / PAGE, gate_page.html(verdict))
    report = folder / REPORT
    if report.is_file():
        write_text(report, gate_page.with_banner(report.read_text(encoding="utf-8"), verdict))
    print(gate_page.console_table(verdict))
    print(f"gate: {folder / PAGE}")
    return verdict


# --- the registry ----------------------------------------------------------------------------------------------


def register(parsed: argparse.Namespace) -> int:
    """Make a run's bundle, verified, the challenger."""
    run, _ = reopen(Path(parsed.run), "evaluate", "package")
    source = run.product("package").resolve()
    bundle.open_bundle(source)
    tags = {
        "recipe": run.recipe.name,
        "run": str(run.folder.resolve()),
        "checksums_sha256": _sha256((source / bundle.CHECKSUMS).read_bytes()),
        "scores_sha256": _sha256((run.product("evaluate") / SCORES).read_bytes()),
        "registered_by": _who(parsed.by),
        "registered_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    name = parsed.name or run.recipe.package.name
    version = Registry(parsed.registry, create=True).register(name, source, tags)
    print(f"{name} version {version.number}: {CHALLENGER}, from {source}")
    return 0


def promote(parsed: argparse.Namespace) -> int:
    """Make the challenger the champion if the gate lets its run through; 1 and nothing moves if not."""
    registry, by, now = Registry(parsed.registry), _who(parsed.by), datetime.now(UTC)
    given = Path(parsed.name)
    is_run = (given / RECIPE_COPY).is_file()
    name = reopen(given)[0].recipe.package.name if is_run else parsed.name
    challenger = registry.holder(name, CHALLENGER)
    if challenger is None:
        raise RegistryError(f"{name}: has no challenger; make one with `shoptalk registry register RUN`")
    folder = Path(challenger.tags.get("run", ""))
    if is_run and folder != given.resolve():
        raise RegistryError(f"{given}: the challenger of {name} is of {folder}; register this run first")
    _unchanged(name, challenger)
    run, _ = reopen(folder, "evaluate", "package")
    if _sha256((run.product("evaluate") / SCORES).read_bytes()) != challenger.tags.get("scores_sha256"):
        raise RegistryError(f"{folder}: its scores are not those that were registered; register the run again")
    if not _judge(run, Path(parsed.policy), now).passed:
        print(f"{name} version {challenger.number}: not promoted")
        return 1
    verdict = _sha256((run.product("evaluate") / GATE).read_bytes())
    event = registry.promote(name, challenger.number, by=by, at=now, why=parsed.why, gate_sha256=verdict)
    print(f"{name} version {event.version}: {CHAMPION}{f', was {event.previous}' if event.previous else ''}")
    return 0


def rollback(parsed: argparse.Namespace) -> int:
    """Make the champion before this one the champion again, if its bundle is still what was registered."""
    registry = Registry(parsed.registry)
    target = registry.rollback_target(parsed.name)
    _unchanged(parsed.name, target)
    by, now = _who(parsed.by), datetime.now(UTC)
    event = registry.rollback(parsed.name, target.number, by=by, at=now, why=parsed.why)
    print(f"{parsed.name} version {event.version}: {CHAMPION} again, was {event.previous or 'none'}")
    return 0


def show(parsed: argparse.Namespace) -> int:
    """Versions with their parts, then the history of the champion."""
    registry = Registry(parsed.registry)
    for one in registry.versions(parsed.name):
        parts, tags = ", ".join(sorted(one.aliases)) or "-", one.tags
        registered = f"{tags.get('registered_at', '?')} by {tags.get('registered_by', '?')}"
        print(f"{one.number:>4}  {parts:20}  registered {registered}  {one.source}")
    for event in registry.history(parsed.name):
        print(_line(event))
    return 0


def _line(event: Event) -> str:
    why = f": {event.why}" if event.why else ""
    return f"{event.at}  {event.kind} {event.previous or '-'} → {event.version} by {event.by}{why}"


def _unchanged(name: str, version: Version) -> None:
    """Verify the bundle of a version against what was registered, every file of it."""
    sums = version.source / bundle.CHECKSUMS
    bundle.open_bundle(version.source)
    if _sha256(sums.read_bytes()) != version.tags.get("checksums_sha256"):
        raise RegistryError(
            f"{version.source}: not the bundle that was registered as {name} version {version.number}; "
            "register what is there now, or put the bundle back"
        )


def _who(given: str | None) -> str:
    try:
        return given or getpass.getuser()
    except (OSError, KeyError):
        raise RegistryError("this system does not tell who you are; say --by NAME") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "register": register, "promote": promote, "rollback": rollback, "list": show,
}  # fmt: skip
