"""`shoptalk registry`: which model is in use."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.cli.parsing import Commands
from shoptalk.cli.scores import print_judgement

if TYPE_CHECKING:
    from shoptalk.integrations.registry import Registry

REGISTRY = "sqlite:///runs/registry.db"
"""Where models are registered unless told otherwise; relative to the working folder."""


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parsers of the group."""
    parser = commands.add_parser("registry", help="which model is in use: register, promote, rollback, list")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    registering = actions.add_parser("register", help="make the bundle of a run the challenger")
    registering.add_argument("run", metavar="RUN", help="run folder")
    registering.add_argument("--name", help="of the model; the recipe's package.name without")
    promoting = actions.add_parser("promote", help="make the challenger the champion if the gate lets it")
    promoting.add_argument("name", metavar="NAME", help="of the model, or the run folder of its challenger")
    promoting.add_argument("--policy", required=True, help="YAML file; see recipes/gate.yaml")
    going_back = actions.add_parser("rollback", help="make the champion before this one the champion again")
    going_back.add_argument("name", metavar="NAME")
    listing = actions.add_parser("list", help="versions, who has which part, and the history")
    listing.add_argument("name", metavar="NAME", nargs="?", help="of the model; all models without")
    calls = {registering: register, promoting: promote, going_back: rollback, listing: show}
    for action, call in calls.items():
        action.add_argument("--registry", metavar="URI", default=REGISTRY, help="of MLflow; %(default)s without")
        action.set_defaults(call=call)
    for action in (registering, promoting, going_back):
        action.add_argument("--by", help="who does this; the user of the system without")
    for action in (promoting, going_back):
        action.add_argument("--why", default="", help="reason, for the history")


def register(parsed: argparse.Namespace) -> None:
    """Make a run's bundle, verified, the challenger."""
    from shoptalk.stages import releasing

    name, version = releasing.register(Path(parsed.run), parsed.registry, name=parsed.name, by=parsed.by)
    print(f"{name} version {version.number}: challenger, from {version.source}")


def promote(parsed: argparse.Namespace) -> int:
    """Make the challenger the champion if the gate lets its run through; 1 and nothing moves if not."""
    from shoptalk.stages import releasing

    done = releasing.promote(parsed.name, parsed.registry, Path(parsed.policy), by=parsed.by, why=parsed.why)
    print_judgement(done.judgement)
    if done.event is None:
        print(f"{done.name} version {done.version}: not promoted")
        return 1
    before = f", was {done.event.previous}" if done.event.previous else ""
    print(f"{done.name} version {done.event.version}: champion{before}")
    return 0


def rollback(parsed: argparse.Namespace) -> None:
    """Make the champion before this one the champion again."""
    from shoptalk.stages import releasing

    event = releasing.rollback(parsed.name, parsed.registry, by=parsed.by, why=parsed.why)
    print(f"{parsed.name} version {event.version}: champion again, was {event.previous or 'none'}")


def show(parsed: argparse.Namespace) -> None:
    """Of one model, or of each: versions with their parts, then the history of the champion."""
    from shoptalk.stages import releasing

    registry = releasing.open_registry(parsed.registry)
    if parsed.name:
        _print_model(registry, parsed.name)
        return
    names = registry.names()
    for name in names:
        print(name)
        _print_model(registry, name)
    if not names:
        print(f"{parsed.registry}: no models; `shoptalk registry register RUN` adds one", file=sys.stderr)


def _print_model(registry: "Registry", name: str) -> None:
    for version in registry.versions(name):
        parts = ", ".join(sorted(version.aliases)) or "-"
        registered = f"{version.tags.get('registered_at', '?')} by {version.tags.get('registered_by', '?')}"
        print(f"{version.number:>4}  {parts:20}  registered {registered}  {version.source}")
    for event in registry.history(name):
        why = f": {event.why}" if event.why else ""
        print(f"{event.at}  {event.kind} {event.previous or '-'} → {event.version} by {event.by}{why}")
