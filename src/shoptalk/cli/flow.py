"""`shoptalk init`, the stages 10 to 80, `corpus`, `run` and `demo`."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.cli import lexicons
from shoptalk.cli.parsing import Commands, add_set
from shoptalk.stages.table import STAGES

if TYPE_CHECKING:
    from shoptalk.stages.run import Run


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parsers of the group."""
    start = commands.add_parser("init", help="write a recipe, a lexicon and a policy to edit")
    terms = "terms of yours: a list (.txt), a table, or any source of `shoptalk lexicon import`; examples without"
    start.add_argument("sources", metavar="TERMS", nargs="*", type=Path, help=terms)
    trade = "where the terms are said, e.g. 'a coffee bar'; found by a language model without"
    start.add_argument("--trade", default="", help=trade)
    start.add_argument("--to", metavar="FOLDER", default=".", help="where; this folder without")
    start.set_defaults(call=init)
    for stage in STAGES:
        purpose = f"{stage.number}  {stage.purpose}"
        parser = commands.add_parser(stage.name, help=purpose, description=purpose)
        _add_run_arguments(parser, one_stage, are_required=stage.name != "lexicon")
        if stage.name == "lexicon":
            lexicons.add_actions(parser)
    purpose = "10 to 50: only those that are not current, from a recipe or from a bare list of terms"
    made = commands.add_parser("corpus", help=purpose, description=purpose)
    _add_run_arguments(made, corpus, are_required=False)
    terms = "in place of --recipe: lists or tables of terms; a recipe is written into the run folder, as by init"
    made.add_argument("--terms", metavar="TERMS", nargs="+", type=Path, help=terms)
    made.add_argument("--trade", default="", help=f"with --terms: {trade}")
    _add_run_arguments(commands.add_parser("run", help="all stages, only those that are not current"), all_stages)
    purpose = "all stages, then ask a fresh server about a test recording"
    _add_run_arguments(commands.add_parser("demo", help=purpose), demo)


def _add_run_arguments(parser: argparse.ArgumentParser, call: object, *, are_required: bool = True) -> None:
    """Add recipe and run; the actions of a stage do without them, so argparse must not require them there."""
    parser.add_argument("--recipe", required=are_required, help="YAML file; see recipes/")
    purpose = "run folder; its products are taken up again"
    parser.add_argument("--run", required=are_required, metavar="DIR", help=purpose)
    add_set(parser, "train.steps=500")
    parser.set_defaults(call=call)


def init(parsed: argparse.Namespace) -> None:
    """Write a recipe, a lexicon and a policy to edit, and say how to go on."""
    from shoptalk.stages import starting

    folder = Path(parsed.to)
    purposes = dict(starting.FILES)
    if parsed.sources:
        purposes[starting.LEXICON] = "the lexicon: your terms"
    for path in starting.start(folder, parsed.sources, trade=parsed.trade):
        print(f"{path}: {purposes[path.name]}")
    command = ["shoptalk", "run", "--recipe", str(folder / starting.RECIPE), "--run", str(folder / "runs" / "first")]
    first = "Read" if parsed.sources else "Edit"
    print(f"{first} the terms, then: {shlex.join(command)}")


def one_stage(parsed: argparse.Namespace) -> None:
    """Run one stage whose inputs are there."""
    from shoptalk.core.errors import RecipeError
    from shoptalk.stages import execution

    if not (parsed.recipe and parsed.run):
        raise RecipeError(
            f"the stage {parsed.command} needs --recipe and --run; `shoptalk {parsed.command} -h` has more"
        )
    run = _open_run(parsed)
    if first := run.first_stale(parsed.command):
        options = ["--recipe", parsed.recipe, "--run", parsed.run]
        for change in parsed.set:
            options += ["--set", change]
        raise RecipeError(
            f"{parsed.command} needs {first} made from this recipe; run "
            f"`shoptalk {first} {shlex.join(options)}` first, or `shoptalk run` for all"
        )
    execution.make(run, parsed.command)


def all_stages(parsed: argparse.Namespace) -> None:
    """Run every stage that is not current, in order."""
    from shoptalk.stages import execution

    execution.make_all(_open_run(parsed))


def corpus(parsed: argparse.Namespace) -> None:
    """Run the stages 10 to 50 that are not current; from a bare list, write the recipe for it first."""
    from shoptalk.core.errors import RecipeError
    from shoptalk.stages import dataset_report, execution, from_list

    if not parsed.run:
        raise RecipeError("corpus needs --run DIR, the folder for all that is made")
    if bool(parsed.recipe) == bool(parsed.terms):
        raise RecipeError("corpus takes either --recipe, or --terms with a list of terms")
    if parsed.trade and parsed.recipe:
        raise RecipeError("--trade goes with --terms; with a recipe, use --set transcripts.trade='a coffee bar'")
    if parsed.terms:
        parsed.recipe = str(from_list.recipe_in(Path(parsed.run), parsed.terms, trade=parsed.trade))
    run = _open_run(parsed)
    execution.make_all(run, last="dataset")
    print(f"dataset: {run.product('dataset')}")
    if page := dataset_report.there(run):
        print(f"page: {page}")


def demo(parsed: argparse.Namespace) -> None:
    """The whole road, then a freshly started server asked about a held-out recording."""
    from shoptalk.scoring.report import tables
    from shoptalk.stages import execution, showcase

    run = _open_run(parsed)
    execution.make_all(run)
    print("\n" + tables.console_table(showcase.scores(run)))
    print(f"\nreport: {run.product('evaluate') / 'report.html'}\nbundle: {run.product('package')}", flush=True)
    answer = showcase.ask_a_fresh_server(run)
    print(f"\nasked {answer.url} with the openai client about a test recording in voice {answer.voice}:")
    print(f"  reference:  {answer.reference}\n  hypothesis: {answer.hypothesis}")
    print(f"\nstages took {run.seconds():.0f} s")


def _open_run(parsed: argparse.Namespace) -> "Run":
    from shoptalk.stages import execution

    return execution.open_run(Path(parsed.recipe), Path(parsed.run), parsed.set, command=parsed.line)
