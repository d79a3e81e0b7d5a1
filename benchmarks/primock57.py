"""Scores of six recognisers on real GP consultations (PriMock57), beside the published ones; writes JSON.

    python benchmarks/primock57.py TEXTS [results/primock57.json]

TEXTS is a clone of the public repository Omi-Health/medical-STT-eval, or a folder with `references/ID.txt` and
`heard/RECOGNISER/ID.txt`. Two consultations are left out, as in the published scores.
"""

import argparse
import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

from shoptalk.core import files
from shoptalk.core.errors import ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Term
from shoptalk.corpus import lexicon
from shoptalk.scoring import transcripts
from shoptalk.scoring.transcripts import MEAN, TERMS, WER, WER_EQUAL, TextScores, Wishes
from shoptalk.stages import text_scores
from shoptalk.stages.text_scores import Entry

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "assets/primock57"
LEFT_OUT = ("day1_consultation07", "day3_consultation03")
LAYOUTS = (("references", "heard"), ("data/cleaned_transcripts", "results/transcripts"))
SUFFIXES = ("_pure_text", "_conversation_transcript")
"""Of file names in the clone."""
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=Path("results/primock57.json"))
    arguments = parser.parse_args()
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
    result = {
        "command": "python benchmarks/primock57.py TEXTS",
        "date": f"{date.today()}",
        "commit": commit,
        "left_out": LEFT_OUT,
        "intervals": "95 %, by consultation",
        "recognisers": measure(arguments.texts),
    }
    files.write_text(arguments.target, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measure(folder: Path) -> dict[str, Any]:
    """The figures of each recogniser that has published ones."""
    published = json.loads((TABLES / "published.json").read_text(encoding="utf-8"))
    layouts = [layout for layout in LAYOUTS if (folder / layout[0]).is_dir()]
    if not layouts:
        raise ScoringError(f"{folder}: has neither {LAYOUTS[0][0]} nor {LAYOUTS[1][0]}; give the clone's folder")
    references_name, transcripts_name = layouts[0]
    references = read(folder / references_name)
    terms = lexicon.load([TABLES / "terms.csv"])
    recognisers: dict[str, Any] = {}
    for name, scores in published.items():
        recognised = read(folder / transcripts_name / name)
        own = score(references, recognised, terms, TABLES / "equal-terms.csv")
        figures = own.figures
        by_forms = score(references, recognised, terms, None).figures
        recognisers[name] = {
            "texts": own.texts,
            "wer": figures[WER].before.model_dump(),
            "wer_equal": figures[WER_EQUAL].before.model_dump(),
            "wer_equal_mean_of_files": figures[MEAN].before.model_dump(),
            "term_error": figures[TERMS].before.model_dump(),
            "drug_term_error": figures[f"{TERMS} drugs"].before.model_dump(),
            "term_error_by_forms": by_forms[TERMS].before.model_dump(),
            "drug_term_error_by_forms": by_forms[f"{TERMS} drugs"].before.model_dump(),
            "published": {
                "wer_equal_mean_of_files": scores["avg_wer"],
                "drug_term_error": scores["global_high_risk_m_wer"],
                "drugs": scores["global_per_category"]["drugs"],
            },
        }
    return recognisers


def score(
    references: dict[str, Entry], recognised: dict[str, Entry], terms: list[Term], term_table: Path | None
) -> TextScores:
    """By the leaderboard's words, with the table of the published scores; terms as listed, where a table is given."""
    tables = [TABLES / "equal.csv", *([term_table] if term_table else [])]
    wishes = Wishes(
        equal=text_scores.read_equal(tables[:1], "leaderboard"),
        terms=terms,
        term_tables=[text_scores.read_equal([table], "clinical") for table in tables],
        as_listed=term_table is not None,
    )
    texts, _ = text_scores.pair(references, [recognised], common=True, leave_out=LEFT_OUT)
    return transcripts.score(texts, wishes, EvaluateSection(), seed=SEED)


def read(folder: Path) -> dict[str, Entry]:
    """The texts of a folder by consultation."""
    entries: dict[str, Entry] = {}
    for name, entry in text_scores.read(folder).items():
        for suffix in SUFFIXES:
            name = name.removesuffix(suffix)
        entries[name] = entry
    return entries


if __name__ == "__main__":
    main()
