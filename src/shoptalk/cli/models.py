"""`shoptalk models`: the model store."""

import argparse

from shoptalk.cli.parsing import Commands


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser of the group."""
    models = commands.add_parser("models", help="the model store: list, fetch, verify")
    models.add_argument("action", choices=("list", "fetch", "verify"))
    models.add_argument("names", nargs="*", help="models; none: all")
    models.set_defaults(call=act)


def act(parsed: argparse.Namespace) -> None:
    """List, fetch or verify models."""
    from shoptalk.core.models import store

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
