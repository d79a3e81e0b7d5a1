"""The report as one self-contained HTML page that a clinician can read: no scripts, nothing loaded, texts escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from shoptalk.core import pages
from shoptalk.core.scores import Scores, Slice, TermRow
from shoptalk.scoring.report import charts
from shoptalk.scoring.report.tables import (
    HELD_OUT_TERMS,
    TRAINED_TERMS,
    Headline,
    beside,
    counted_by_set,
    figure,
    headlines,
    interval,
    set_changes,
    worst_first,
)
from shoptalk.scoring.wer import align

MOST_TERMS = 300
"""So many rows a table of terms has, worst first, and so many terms without a score are named. With the recordings of
5,000 terms the page would have a hundred megabytes; `tables.markdown` and the scores have them all."""

_PARTS = {
    "category": "Kinds of terms",
    "tier": "Where the pronunciation came from",
    "known": "Known to the base from its training texts",
    "voice": "Voices",
    "accent": "Accents",
    "context": "Contexts and sources",
}


@dataclass(frozen=True)
class Piece:
    """A run of words in a comparison: equal ones, or those of the reference and of the hypothesis (`heard`)."""

    equal: bool
    reference: str
    heard: str


def pieces(reference: str, heard: str) -> list[Piece]:
    """The words of two texts, as they are counted, in runs that agree and runs that do not."""
    alignment = align(reference, heard)
    runs: list[Piece] = []
    for kind, start, end, heard_start, heard_end in alignment.chunks:
        equal = kind == "equal"
        expected = " ".join(alignment.reference[start:end])
        recognised = " ".join(alignment.heard[heard_start:heard_end])
        if runs and not equal and not runs[-1].equal:
            last = runs.pop()
            expected = f"{last.reference} {expected}".strip()
            recognised = f"{last.heard} {recognised}".strip()
        runs.append(Piece(equal, expected, recognised))
    return runs


def shown(scores: Scores) -> list[str]:
    """Ids of the utterances whose recordings the page has: its examples, and a missed sentence of each term shown."""
    ids = [example.id for example in scores.examples]
    for table in _term_tables(scores):
        ids += [row.missed.id for row in table.rows if row.missed]
    return list(dict.fromkeys(ids))


@dataclass(frozen=True)
class TermsShown:
    """A table of terms on the page."""

    name: str
    rows: Sequence[TermRow]
    """The first `MOST_TERMS`."""
    left_out: int
    """How many more there are."""


def _term_tables(scores: Scores) -> list[TermsShown]:
    """The trained terms and the held-out ones, worst first."""
    shown_tables = []
    for name, taught in ((TRAINED_TERMS, True), (HELD_OUT_TERMS, False)):
        rows = worst_first(scores, taught=taught)
        shown_tables.append(TermsShown(name, rows[:MOST_TERMS], max(0, len(rows) - MOST_TERMS)))
    return shown_tables


def html(
    scores: Scores,
    *,
    title: str = "What the recogniser learned",
    sounds: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page. `sounds` maps ids of utterances to data URLs; `facts` are shown at the end, e.g. the base model."""
    template = pages.environment(__package__, figure=figure, interval=interval).get_template("report.html.j2")
    page: str = template.render(
        title=title,
        scores=scores,
        counted=counted_by_set(scores),
        headlines=headlines(scores),
        beside=beside(scores),
        tables=_term_tables(scores),
        most=MOST_TERMS,
        parts=_parts(scores),
        curves=_curves(scores),
        reliability=_reliability(scores),
        set_changes=set_changes,
        sounds=sounds or {},
        pieces=pieces,
        place=partial(_place, scores),
        facts=facts or {},
        confidence=f"{100 * scores.confidence:g} %",
    )
    return page


def _parts(scores: Scores) -> list[tuple[str, list[Slice]]]:
    """Headings and slices of each kind, without the curve over SNR."""
    parts: list[tuple[str, list[Slice]]] = []
    for by, heading in _PARTS.items():
        rows = [row for row in scores.slices if row.by == by]
        if rows:
            parts.append((heading, rows))
    return parts


def _curves(scores: Scores) -> list[tuple[str, str]]:
    """Titles and charts of word and term error rates over SNR, noisiest first."""
    rows = [row for row in scores.slices if row.by == "snr"]
    labels = [row.name for row in rows]
    word_errors = [row.wer for row in rows if row.wer]
    term_errors = [row.terms.error for row in rows if row.terms]
    charts_by_title: list[tuple[str, str]] = []
    for title, changes in (
        ("Word errors under noise", word_errors),
        ("Trained terms missed under noise", term_errors),
    ):
        if rows and len(changes) == len(rows):
            before = charts.Series("before", "key-before", [change.before for change in changes])
            after = charts.Series("after", "key-after", [change.after for change in changes])
            charts_by_title.append((title, charts.curve(labels, [before, after], title=title)))
    return charts_by_title


def _reliability(scores: Scores) -> str | None:
    if not scores.calibration:
        return None
    return charts.reliability(scores.calibration.bins, title="Part of correct words against their confidence")


def _place(scores: Scores, line: Headline, value: float | None) -> str:
    """Where a value lies on the scale of its headline, in percent of the width; percentages share one scale."""
    ends: list[float] = []
    for other in headlines(scores):
        if other.percent == line.percent:
            for rate in (other.change.before, other.change.after):
                ends.append(rate.high or rate.value or 0.0)
    top = max(ends) or 1.0
    part = min(max((value or 0.0) / top, 0.0), 1.0)
    return f"{100 * part:.2f}"
