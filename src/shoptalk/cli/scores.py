"""`shoptalk results` and `shoptalk gate`: what becomes of a run's scores."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.cli.parsing import Commands

if TYPE_CHECKING:
    from shoptalk.release.judging import Judgement


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parsers of the group."""
    results = commands.add_parser("results", help="publish the scores of a run to results/")
    results.add_argument("action", choices=("publish",))
    results.add_argument("run", metavar="RUN", help="run folder")
    results.add_argument("--name", help="name of the file below results/; the recipe's name without")
    results.set_defaults(call=publish)
    purpose = "hold a run's scores against a policy: status 0 passed, 1 refused"
    gate = commands.add_parser("gate", help=purpose)
    gate.add_argument("run", metavar="RUN", help="run folder")
    gate.add_argument("--policy", required=True, help="YAML file; see recipes/gate.yaml")
    gate.set_defaults(call=judge)


def publish(parsed: argparse.Namespace) -> None:
    """Write results/NAME.json from a run's scores, and the table of the README with it."""
    from shoptalk.stages import publishing

    for path in publishing.publish(Path(parsed.run), parsed.name):
        print(path)


def judge(parsed: argparse.Namespace) -> int:
    """Hold a run's scores against a policy: 0 passed, 1 refused."""
    from shoptalk.stages import releasing

    judgement = releasing.gate(Path(parsed.run), Path(parsed.policy))
    print_judgement(judgement)
    return 0 if judgement.verdict.passed else 1


def print_judgement(judgement: "Judgement") -> None:
    """The verdict as a table, and where its page lies."""
    from shoptalk.release import gate_page

    print(gate_page.console_table(judgement.verdict))
    print(f"gate: {judgement.page}")
