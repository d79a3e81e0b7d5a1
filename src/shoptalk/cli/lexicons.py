"""`shoptalk lexicon import`, `mine` and `from-misses`: where terms come from. Without an action it is stage 10."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoptalk.stages.term_sources import Gathered

SHOWN = 20
"""Terms that are printed; all are in the file."""


def add_actions(stage: argparse.ArgumentParser) -> None:
    """Add the actions to the parser of the stage."""
    actions = stage.add_subparsers(dest="action", metavar="ACTION")
    importing = actions.add_parser("import", help="lists, tables, RxNorm and ICD-10-CM as a lexicon")
    sources = "lexicon (.txt, .csv, .tsv, .yaml, .jsonl), RXNCONSO.RRF or its folder, or a file of ICD-10-CM"
    importing.add_argument("sources", metavar="SOURCE", type=Path, nargs="+", help=sources)
    importing.add_argument("--category", default="", help="of terms that have none, e.g. drug")
    column = "the table's name for a column, e.g. text='Drug Name'; other columns are then left out"
    importing.add_argument("--column", metavar="NAME=HEADER", type=_pair, action="append", default=[], help=column)
    importing.add_argument("--sab", metavar="SOURCE", help="of RxNorm; RXNORM without")
    importing.add_argument("--tty", metavar="TYPES", help="of RxNorm, e.g. IN,PIN,BN; IN,BN without")
    codes = "of ICD-10-CM: only codes that begin so; A to T without"
    importing.add_argument("--code", metavar="PREFIX", action="append", default=[], help=codes)
    importing.add_argument("--words", metavar="N", type=_count, help="of ICD-10-CM: longest name; 4 without")
    mining = actions.add_parser("mine", help="terms of old transcripts, by frequency against general English")
    texts = "folder of .txt, a .txt with a text on each line, or .jsonl, .csv, .tsv, .stm, .ctm"
    mining.add_argument("texts", metavar="TEXTS", type=Path, nargs="+", help=texts)
    mining.add_argument("--known", metavar="FILE", type=Path, action="append", default=[], help="lexicon to leave out")
    mining.add_argument("--at-least", metavar="N", type=_count, default=3, help="occurrences; %(default)s without")
    mining.add_argument("--in-texts", metavar="N", type=_count, default=2, help="texts with it; %(default)s without")
    mining.add_argument("--most", metavar="N", type=_count, default=200, help="terms; %(default)s without")
    missed = actions.add_parser("from-misses", help="terms that an earlier evaluation missed, low recall first")
    paths = "run folder; or references and transcripts, as for `shoptalk score`"
    missed.add_argument("paths", metavar="RUN", type=Path, nargs="+", help=paths)
    missed.add_argument("--model", choices=("tuned", "base"), default="tuned", help="of the run; %(default)s without")
    lexicon = "terms, for references and transcripts; mined of the references without"
    missed.add_argument("--lexicon", metavar="FILE", type=Path, action="append", default=[], help=lexicon)
    missed.add_argument("--common", action="store_true", help="use the ids that both sides have")
    calls = {
        importing: (import_terms, "terms.yaml"),
        mining: (mine, "mined.yaml"),
        missed: (from_misses, "missed.yaml"),
    }
    for action, (call, default) in calls.items():
        action.add_argument("--to", metavar="FILE", type=Path, default=Path(default), help="%(default)s without")
        action.set_defaults(call=call)


def import_terms(parsed: argparse.Namespace) -> None:
    """Write the terms of lists, tables, RxNorm and ICD-10-CM as a lexicon."""
    from shoptalk.stages import term_sources

    term_sources.require_free(parsed.to)
    given = {
        "rxnorm_source": parsed.sab,
        "rxnorm_kinds": tuple(parsed.tty.split(",")) if parsed.tty else None,
        "most_words": parsed.words,
    }
    wishes = term_sources.Wishes(
        columns=dict(parsed.column),
        category=parsed.category,
        icd10_codes=tuple(parsed.code),
        **{name: value for name, value in given.items() if value is not None},
    )
    gathered = term_sources.read_sources(parsed.sources, wishes)
    _write(parsed.to, gathered, head=f"Imported from {', '.join(path.name for path in parsed.sources)}.")


def mine(parsed: argparse.Namespace) -> None:
    """Write the terms of transcripts as a lexicon, with their counts."""
    from shoptalk.stages import term_sources

    term_sources.require_free(parsed.to)
    gathered = term_sources.mine(
        parsed.texts, known=parsed.known, at_least=parsed.at_least, in_texts=parsed.in_texts, most=parsed.most
    )
    head = (
        "Mined from texts. Read this list before use: keep what your recogniser must know, and remove names of people."
    )
    _write(parsed.to, gathered, head=head)


def from_misses(parsed: argparse.Namespace) -> None:
    """Write the terms that an evaluation missed as a lexicon, low recall first."""
    from shoptalk.core.errors import LexiconError
    from shoptalk.stages import term_sources

    term_sources.require_free(parsed.to)
    match parsed.paths:
        case [run]:
            if parsed.lexicon or parsed.common:
                raise LexiconError("a run has a lexicon and pairs of its own; leave out --lexicon and --common")
            gathered = term_sources.missed_in_run(run, model=parsed.model)
        case [references, transcripts]:
            gathered = term_sources.missed_in_texts(
                references, transcripts, lexicons=parsed.lexicon, common=parsed.common
            )
        case _:
            raise LexiconError(
                f"{len(parsed.paths)} paths; give a run folder, or references and one set of transcripts"
            )
    _write(parsed.to, gathered, head="Terms as an evaluation found them, low recall first.")


def _write(path: Path, gathered: "Gathered", *, head: str) -> None:
    from shoptalk.core.progress import say
    from shoptalk.corpus import term_files

    for sentence in gathered.told:
        say(f"note: {sentence}")
    term_files.write(path, gathered.terms, remarks=gathered.remarks, head=head)
    for term in gathered.terms[:SHOWN]:
        remark = gathered.remarks.get(term.id, "")
        print(f"{term.text:<28} {term.weight:4.2f}  {remark}".rstrip() if gathered.remarks else term.text)
    if len(gathered.terms) > SHOWN:
        print(f"… and {len(gathered.terms) - SHOWN} more")
    print(f"{path}: {len(gathered.terms)} terms")


def _pair(text: str) -> tuple[str, str]:
    """The two sides of ``NAME=HEADER``."""
    name, is_there, header = text.partition("=")
    if not (name and is_there and header):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=HEADER")
    return name, header


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)
