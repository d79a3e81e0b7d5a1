"""What the parsers of the groups share."""

import argparse

Commands = argparse._SubParsersAction
"""What a group adds its parsers to; argparse has no public name for it."""


def add_set(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--set KEY=VALUE``, which edits the recipe."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"e.g. {example}")
