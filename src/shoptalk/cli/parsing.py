"""What the parsers of the groups share."""

import argparse
from pathlib import Path

Commands = argparse._SubParsersAction
"""What a group adds its parsers to; argparse has no public name for it."""


def add_set(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--set KEY=VALUE``, which edits the recipe."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"e.g. {example}")


def named_path(text: str) -> tuple[str, Path]:
    """The two sides of ``NAME=PATH``."""
    name, is_there, path = text.partition("=")
    if not (name and is_there and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)
