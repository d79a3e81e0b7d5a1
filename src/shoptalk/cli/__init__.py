"""The command line: one subcommand per stage, in order of the flow; it parses, calls and prints.

- `commands`: what each subcommand does with its arguments
- `transcribing`: `shoptalk transcribe`
- `publishing`: `shoptalk results publish`
- `gating`: `shoptalk gate` and `shoptalk registry`
- `importing`: `shoptalk import`
- `showcase`: the end of `shoptalk demo`: the table, the report, a server's answer
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from shoptalk.stages.table import STAGES

REGISTRY = "sqlite:///runs/registry.db"
"""Where models are registered unless told otherwise; relative to the working folder."""

IMPORTED = ("nemo", "csv", "kaldi", "lhotse", "hf", "primock57", "open-asr")
"""What `shoptalk import` reads; docs/test-sets.md says what each is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; a `ShoptalkError` is printed without a traceback.

    0: done. 1: the gate refuses. 2: an error. 130: interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = build_parser().parse_args(arguments)
    parsed.line = shlex.join(arguments)
    from shoptalk.cli import commands
    from shoptalk.core.errors import ShoptalkError

    try:
        status = commands.COMMANDS[parsed.command](parsed)
    except ShoptalkError as error:
        print(f"shoptalk: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nshoptalk: interrupted; give the same command again to go on", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; documents show its help."""
    parser = argparse.ArgumentParser(
        prog="shoptalk", description="Teach the jargon of a trade to a speech recogniser and put the result to work."
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for stage in STAGES:
        purpose = f"{stage.number}  {stage.purpose}"
        _add_run_arguments(commands.add_parser(stage.name, help=purpose, description=purpose))
    serve = commands.add_parser("serve", help="90  answer the OpenAI transcription API with a bundle")
    serve.add_argument("bundle", help="folder made by `shoptalk package`, or a .nemo file")
    serve.add_argument("--recipe", help="recipe whose `serve` section is used; the defaults without")
    serve.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. serve.port=9000")
    _add_transcribe(commands.add_parser("transcribe", help="print what recordings say, by a bundle or a .nemo"))
    start = commands.add_parser("init", help="write a recipe, a lexicon and a policy to edit")
    start.add_argument("--to", metavar="FOLDER", default=".", help="where; this folder without")
    _add_run_arguments(commands.add_parser("run", help="all stages, only those that are not current"))
    _add_run_arguments(commands.add_parser("demo", help="all stages, then ask a fresh server about a test recording"))
    models = commands.add_parser("models", help="the model store: list, fetch, verify")
    models.add_argument("action", choices=("list", "fetch", "verify"))
    models.add_argument("names", nargs="*", help="models; none: all")
    results = commands.add_parser("results", help="publish the scores of a run to results/")
    results.add_argument("action", choices=("publish",))
    results.add_argument("run", metavar="RUN", help="run folder")
    results.add_argument("--name", help="name of the file below results/; the recipe's name without")
    gate = commands.add_parser("gate", help="hold a run's scores against a policy: status 0 passed, 1 refused")
    gate.add_argument("run", metavar="RUN", help="run folder")
    gate.add_argument("--policy", required=True, help="YAML file; see recipes/gate.yaml")
    _add_registry(commands.add_parser("registry", help="which model is in use: register, promote, rollback, list"))
    _add_import(commands.add_parser("import", help="bring a test set of others: manifest, audio and licence"))
    return parser


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="recordings of any length and format")
    parser.add_argument("--model", required=True, help="folder made by `shoptalk package`, or a .nemo file")
    parser.add_argument("--json", action="store_true", help="a JSON line for each, with words, times, confidences")
    parser.add_argument("--phrases", metavar="FILE", help="what counts for more: a phrase a line, a tab, a weight")
    parser.add_argument(
        "--alternatives", type=int, default=0, choices=range(17), metavar="N", help="other readings, with --json"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. engine.precision=int8")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", metavar="FORMAT", choices=IMPORTED, help=", ".join(IMPORTED))
    parser.add_argument("source", metavar="SOURCE", help="file or folder; hf: also OWNER/NAME[:CONFIG[:SPLIT]]")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="gets NAME.jsonl, NAME/ and NAME.about.json")
    parser.add_argument("--name", help="of the test set; made from SOURCE without")
    parser.add_argument("--licence", metavar="SPDX", help="needed unless the catalogue knows the set")
    parser.add_argument("--origin", metavar="URL", default="", help="where it comes from, for NAME.about.json")
    parser.add_argument("--patients", action="store_true", help="recordings of real patients: kept out of reports")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N utterances only")


def _add_registry(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    register = actions.add_parser("register", help="make the bundle of a run the challenger")
    register.add_argument("run", metavar="RUN", help="run folder")
    register.add_argument("--name", help="of the model; the recipe's package.name without")
    promote = actions.add_parser("promote", help="make the challenger the champion if the gate lets it")
    promote.add_argument("name", metavar="NAME", help="of the model, or the run folder of its challenger")
    promote.add_argument("--policy", required=True, help="YAML file; see recipes/gate.yaml")
    rollback = actions.add_parser("rollback", help="make the champion before this one the champion again")
    rollback.add_argument("name", metavar="NAME")
    listed = actions.add_parser("list", help="versions, who has which part, and the history")
    listed.add_argument("name", metavar="NAME")
    for one in (register, promote, rollback, listed):
        one.add_argument("--registry", metavar="URI", default=REGISTRY, help="of MLflow; %(default)s without")
    for one in (register, promote, rollback):
        one.add_argument("--by", help="who does this; the user of the system without")
    for one in (promote, rollback):
        one.add_argument("--why", default="", help="reason, for the history")


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe", required=True, help="YAML file; see recipes/")
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder; its products are taken up again")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.steps=500")


if __name__ == "__main__":
    sys.exit(main())
