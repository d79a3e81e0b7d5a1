"""The command line: one subcommand per stage, in order of the flow; it parses, wires the doors, calls and prints."""

import argparse
import shlex
import sys
from collections.abc import Sequence

STAGES = {
    "lexicon": "10  read the terms, and hold some out as a control",
    "transcripts": "20  write sentences that say the terms",
    "speech": "30  speak them in many voices",
    "augment": "40  add noise, rooms, telephone lines and codecs",
    "dataset": "50  make manifests that leak nothing, and fix the test lists",
    "train": "60  tune the recogniser",
    "evaluate": "70  score the base and the tuned model",
    "package": "80  bundle the tuned model with its card and scores",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; a `ShoptalkError` is printed without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = _parser().parse_args(arguments)
    parsed.line = shlex.join(arguments)
    from shoptalk.cli import commands
    from shoptalk.errors import ShoptalkError

    try:
        commands.COMMANDS[parsed.command](parsed)
    except ShoptalkError as error:
        print(f"shoptalk: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nshoptalk: interrupted; give the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shoptalk", description="Teach the jargon of a trade to a speech recogniser and put the result to work."
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, purpose in STAGES.items():
        _add_run_arguments(commands.add_parser(name, help=purpose, description=purpose))
    serve = commands.add_parser("serve", help="90  answer the OpenAI transcription API with a bundle")
    serve.add_argument("bundle", help="folder made by `shoptalk package`, or a .nemo file")
    serve.add_argument("--recipe", help="recipe whose `serve` section is used; the defaults without")
    serve.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. serve.port=9000")
    _add_run_arguments(commands.add_parser("run", help="all stages, only those that are not current"))
    _add_run_arguments(commands.add_parser("demo", help="all stages, then ask a fresh server about a test recording"))
    models = commands.add_parser("models", help="the model store: list, fetch, verify")
    models.add_argument("action", choices=("list", "fetch", "verify"))
    models.add_argument("names", nargs="*", help="models; none: all")
    results = commands.add_parser("results", help="publish the scores of a run to results/")
    results.add_argument("action", choices=("publish",))
    results.add_argument("run", metavar="RUN", help="run folder")
    results.add_argument("--name", help="name of the file below results/; the recipe's name without")
    return parser


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", required=True, help="YAML file; see recipes/")
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder; its products are taken up again")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.steps=500")


if __name__ == "__main__":
    sys.exit(main())
