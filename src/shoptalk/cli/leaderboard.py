"""`shoptalk leaderboard`: the Open ASR Leaderboard's average for a model."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.cli.parsing import Commands, add_set

if TYPE_CHECKING:
    from shoptalk.stages.leaderboard import Score

GREEDY = ("engine.beam=1", "engine.fill_holes=false")
"""How the leaderboard decodes models of this kind; `--set` changes it."""


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser of the command."""
    purpose = "score a model on the eight sets of the Open ASR Leaderboard"
    parser = commands.add_parser("leaderboard", help=purpose, description=purpose)
    parser.add_argument("model", metavar="MODEL", help="bundle, .nemo, or OWNER/NAME at the hub")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="gets sets/, transcripts, leaderboard.json")
    parser.add_argument("--sets", metavar="FOLDER", help="has a folder for each set, as of the hub; the hub without")
    parser.add_argument("--only", action="append", default=[], metavar="SET", help="this set; may be given again")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N utterances of each set only, as a trial")
    add_set(parser, "evaluate.batch=64")
    parser.set_defaults(call=score)


def score(parsed: argparse.Namespace) -> None:
    """Print each set's figures as they come, then the average."""
    from shoptalk.core import config
    from shoptalk.scoring.leaderboard import SETS
    from shoptalk.stages import leaderboard

    recipe = config.changed((*GREEDY, *parsed.set))
    asked = leaderboard.Asked(
        model=parsed.model,
        folder=Path(parsed.to),
        local=Path(parsed.sets) if parsed.sets else None,
        only=tuple(parsed.only),
        limit=parsed.limit,
    )
    command = f"shoptalk {parsed.line}"
    done = []
    for scored in leaderboard.scores(asked, recipe, command=command):
        print(_line(scored), flush=True)
        done.append(scored)
    content = leaderboard.summary(asked, recipe, done, command=command)
    average = content["average_wer"]
    if average is None:
        print(f"{len(done)} of {len(SETS)} sets: no average", file=sys.stderr)
    else:
        print(f"{'average':18} {100 * average:6.2f} %")
    print(f"written: {asked.folder / leaderboard.RESULTS}", file=sys.stderr)


def _line(scored: "Score") -> str:
    speed = "" if scored.speed is None else f", {scored.speed:,.1f} x real time"
    figures = scored.figures
    skipped = f", {scored.skipped} skipped" if scored.skipped else ""
    return (
        f"{scored.name:18} {100 * figures.wer:6.2f} %  {figures.errors:,} of {figures.words:,} words, "
        f"{figures.utterances:,} utterances{skipped}{speed}"
    )
