"""`shoptalk import`: test sets of others."""

import argparse
import sys
from pathlib import Path

from shoptalk.cli.parsing import Commands

IMPORTED = ("nemo", "csv", "kaldi", "lhotse", "hf", "primock57", "open-asr")
"""What `shoptalk import` reads; docs/test-sets.md says what each is."""
SKIPS_SHOWN = 5


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parser of the group."""
    parser = commands.add_parser("import", help="bring a test set of others: manifest, audio and licence")
    parser.add_argument("format", metavar="FORMAT", choices=IMPORTED, help=", ".join(IMPORTED))
    parser.add_argument("source", metavar="SOURCE", help="file or folder; hf: also OWNER/NAME[:CONFIG[:SPLIT]]")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="gets NAME.jsonl, NAME/ and NAME.about.json")
    parser.add_argument("--name", default="", help="of the test set; made from SOURCE without")
    parser.add_argument("--licence", metavar="SPDX", default="", help="needed unless the catalogue knows the set")
    parser.add_argument("--origin", metavar="URL", default="", help="where it comes from, for NAME.about.json")
    parser.add_argument("--patients", action="store_true", help="recordings of real patients: kept out of reports")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N utterances only")
    parser.set_defaults(call=bring)


def bring(parsed: argparse.Namespace) -> None:
    """Import a test set; what was skipped is told on standard error."""
    from shoptalk.stages import importing

    asked = importing.Asked(
        format=parsed.format,
        source=parsed.source,
        folder=Path(parsed.to),
        name=parsed.name,
        licence=parsed.licence,
        origin=parsed.origin,
        patients=parsed.patients,
        limit=parsed.limit,
    )
    path, about = importing.bring(asked)
    if about is None:
        print(f"{path}: current")
        return
    print(f"{path}: {about['utterances']} utterances, {about['minutes']:g} minutes, {about['licence']}")
    if about["evaluation_only"]:
        print("may be scored, never trained on or shipped")
    skipped = about["skipped"]
    for row in skipped[:SKIPS_SHOWN]:
        print(f"skipped {row['id']} ({row['where']}): {row['reason']}", file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} skipped; {path.with_suffix('.about.json')} names all", file=sys.stderr)
