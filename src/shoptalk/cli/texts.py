"""`shoptalk score`: transcripts from anywhere against references."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoptalk.cli.parsing import Commands

if TYPE_CHECKING:
    from shoptalk.core.scores import Change, Rate
    from shoptalk.scoring.transcripts import TextScores


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("score", help="score transcripts from anywhere against references, text alone")
    parser.add_argument("reference", metavar="REFERENCE", type=Path, help="folder of .txt, .jsonl, .csv, .tsv or .stm")
    parser.add_argument("transcripts", metavar="TRANSCRIPTS", type=Path, help="the same, or .ctm; paired by id")
    parser.add_argument("second", metavar="SECOND", type=Path, nargs="?", help="of another system, to compare")
    parser.add_argument("--lexicon", action="append", default=[], metavar="FILE", type=Path, help="terms to count")
    equal = "table of words taken as equal: written,counts_as"
    parser.add_argument("--equal", action="append", default=[], metavar="FILE", type=Path, help=equal)
    more = "the same for terms, which then count only as listed, without plurals and other forms"
    parser.add_argument("--equal-terms", action="append", default=[], metavar="FILE", type=Path, help=more)
    parser.add_argument("--rules", choices=("leaderboard", "clinical"), default="leaderboard", help="what a word is")
    parser.add_argument("--common", action="store_true", help="score the ids that all sides have")
    parser.add_argument("--leave-out", action="append", default=[], metavar="ID", help="do not score this text")
    parser.add_argument("--to", metavar="FILE", type=Path, help="write the figures as JSON")
    parser.set_defaults(call=score)


def score(parsed: argparse.Namespace) -> None:
    """Print the figures, and write them if that is asked."""
    from shoptalk.core.files import write_text
    from shoptalk.stages import text_scores

    systems = (parsed.transcripts, parsed.second) if parsed.second else (parsed.transcripts,)
    asked = text_scores.Asked(
        reference=parsed.reference,
        transcripts=systems,
        lexicon=tuple(parsed.lexicon),
        equal=tuple(parsed.equal),
        equal_terms=tuple(parsed.equal_terms),
        rules=parsed.rules,
        common=parsed.common,
        leave_out=tuple(parsed.leave_out),
    )
    scores = text_scores.score(asked)
    print(table(scores))
    if parsed.to:
        write_text(parsed.to, json.dumps(as_json(scores), indent=1) + "\n")


def table(scores: "TextScores") -> str:
    """The figures in lines; a second system stands in a second column, with the difference behind."""
    lines = [f"{scores.texts} texts, {scores.clusters} clusters, {scores.words} reference words"]
    for name, change in scores.figures.items():
        cells = [_cell(name, change.before)]
        if scores.recognisers > 1:
            cells += [_cell(name, change.after), f"{_cell(name, change.difference)} {change.verdict}"]
        lines.append(f"{name:<22}" + "  |  ".join(cells))
    lines += [f"left out: {told}" for told in scores.left_out]
    if scores.folded:
        same = ", ".join(f"{later} as {first}" for later, first in scores.folded)
        lines.append(f"counted as one term: {same}")
    return "\n".join(lines)


def _cell(name: str, rate: "Rate") -> str:
    """A rate in percent with its interval, and its count; invented terms are for 1,000 words."""
    factor, unit = (1, "/1000") if name.startswith("invented") else (100, "%")
    if rate.value is None:
        return "–"
    interval = ""
    if rate.low is not None and rate.high is not None:
        interval = f" ({rate.low * factor:.2f} to {rate.high * factor:.2f})"
    count = "" if rate.of is None else f" {rate.count} of {rate.of}"
    return f"{rate.value * factor:.2f} {unit}{interval}{count}"


def as_json(scores: "TextScores") -> dict[str, Any]:
    """The figures as they are written; of one system each is a rate, of two both and their difference."""
    figures: dict[str, Any] = {}
    for name, change in scores.figures.items():
        figures[name] = _figure(change, scores.recognisers)
    content: dict[str, Any] = {"texts": scores.texts, "clusters": scores.clusters, "words": scores.words}
    content |= {"counted_as": dict(scores.folded), "figures": figures}
    return {**content, "left_out": list(scores.left_out)} if scores.left_out else content


def _figure(change: "Change", recognisers: int) -> dict[str, Any]:
    if recognisers == 1:
        return change.before.model_dump()
    return {
        "first": change.before.model_dump(),
        "second": change.after.model_dump(),
        "difference": change.difference.model_dump(),
        "verdict": change.verdict,
    }
