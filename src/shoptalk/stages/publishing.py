"""`shoptalk results publish RUN`: figures that documents quote, how they were made, and the README's table."""

import json
import re
import subprocess
from datetime import date
from pathlib import Path

from shoptalk.core import device
from shoptalk.core.errors import ScoringError
from shoptalk.core.files import write_text
from shoptalk.core.scores import SCORES, Scores
from shoptalk.scoring import publish as figures
from shoptalk.scoring.report import tables
from shoptalk.stages.execution import reopen

BEGIN, END = "<!-- results:{name} -->", "<!-- /results:{name} -->"


def publish(folder: Path, name: str | None) -> list[Path]:
    """Write results/NAME.json; where README.md has the marks of NAME, the table between them too. What was written."""
    run, command = reopen(folder, "evaluate")
    scores = Scores.model_validate_json((run.product("evaluate") / SCORES).read_text(encoding="utf-8"))
    name = name or run.recipe.name
    today, machine = f"{date.today()}", device.machine()
    summary = figures.publish(
        scores, command=command, seconds=run.seconds(), machine=machine, commit=commit(), date=today
    )
    written = [Path("results") / f"{name}.json"]
    write_text(written[0], json.dumps(summary, indent=1) + "\n")
    readme = Path("README.md")
    begin, end = BEGIN.format(name=name), END.format(name=name)
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if begin in text and end not in text:
        raise ScoringError(f"README.md: has {begin} but no {end} behind the table; add it")
    if begin in text:
        shown = [tables.summary_table(scores)]
        if scores.others:
            shown.append(tables.beside_table(scores))
        made = f"By `{command}` in {run.seconds() / 60:.1f} minutes."
        table = "\n".join([begin, "\n\n".join([*shown, made]), end])
        write_text(readme, re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: table, text, flags=re.DOTALL))
        written.append(readme)
    return written


def commit() -> str:
    """The commit that was run, with ``-dirty`` where files differ from it; empty outside a clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
