"""The command line: each file parses a group of commands, calls what does the work, and prints what came of it.

- `flow`: `init`, the stages 10 to 80, `corpus`, `run` and `demo`
- `lexicons`: `lexicon import`, `mine` and `from-misses`
- `audition`: `audition`
- `recognition`: `serve`, `transcribe` and `export`
- `scores`: `results` and `gate`
- `texts`: `score`
- `registry`: `registry`
- `testsets`: `import`
- `sharding`: `shards`
- `leaderboard`: `leaderboard`
- `models`: `models`
- `keys`: `keys`
- `kept`: `kept`
- `corrections`: `corrections`
- `capacity`: `capacity`
- `parsing`: what their parsers share
- `interrupting`: Ctrl-C

Results go to standard output; progress, remarks and errors go to standard error.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from shoptalk.cli import (
    audition,
    capacity,
    corrections,
    flow,
    interrupting,
    kept,
    keys,
    leaderboard,
    models,
    recognition,
    registry,
    scores,
    sharding,
    testsets,
    texts,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; a `ShoptalkError` is printed without a traceback.

    0: done. 1: the gate refuses. 2: an error. 130: interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = build_parser().parse_args(arguments)
    parsed.line = shlex.join(arguments)
    from shoptalk.core import device
    from shoptalk.core.errors import ShoptalkError

    try:
        device.narrow()  # before a command loads NumPy
        status = parsed.call(parsed)
    except ShoptalkError as error:
        print(f"shoptalk: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupting.MESSAGE, file=sys.stderr)
        return interrupting.INTERRUPTED
    return status if isinstance(status, int) else 0


def run() -> NoReturn:
    """Run the command line as a program of its own: `main`, and the end of the process within a second of Ctrl-C."""
    watch = interrupting.Watch(forgiven=1 if sys.argv[1:2] == ["serve"] else 0)
    try:
        status = main()
    except BaseException:  # of a library whose call was interrupted; argparse's and our own as they are
        if not watch.interrupts:
            raise
        print(interrupting.MESSAGE, file=sys.stderr)
        status = interrupting.INTERRUPTED
    watch.end(status)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; documents show its help."""
    parser = argparse.ArgumentParser(
        prog="shoptalk", description="Teach the jargon of a trade to a speech recogniser and put the result to work."
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    parser.set_defaults(call=no_command)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for group in (
        flow,
        audition,
        recognition,
        scores,
        texts,
        registry,
        testsets,
        sharding,
        leaderboard,
        models,
        keys,
        kept,
        corrections,
        capacity,
    ):
        group.add(commands)
    return parser


def no_command(parsed: argparse.Namespace) -> None:
    """`shoptalk` alone, or with --version."""
    from shoptalk import __version__
    from shoptalk.core.errors import ShoptalkError

    if not parsed.version:
        raise ShoptalkError("name a command; `shoptalk --help` lists them")
    print(__version__)


if __name__ == "__main__":
    run()
