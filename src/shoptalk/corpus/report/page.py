"""The dataset as one self-contained HTML page: no scripts, nothing loaded, texts escaped."""

from collections.abc import Mapping, Sequence

from shoptalk.core import pages
from shoptalk.corpus.report import charts
from shoptalk.corpus.report.sample import Clip
from shoptalk.corpus.report.summary import Part, Spread, Summary, TermRow, parts
from shoptalk.corpus.screening import Screening

MOST_TERMS = 300
"""So many rows the table of terms has."""
LISTS = {
    "train": "training",
    "dev": "dev, by which the best weights are chosen",
    "rehearsal": "general speech, rehearsed against forgetting",
    "dev-general": "general speech, for word confidence",
    "test-taught": "test, trained terms",
    "test-untaught": "test, held-out terms",
    "test-general": "test, general speech",
}
"""What the manifests of a dataset are for."""


def html(
    summary: Summary,
    *,
    title: str,
    clips: Sequence[Clip] = (),
    sounds: Mapping[str, str] | None = None,
    refused: Mapping[str, int] | None = None,
    screening: Screening | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page. `sounds` maps ids of `clips` to data URLs, `refused` reasons to counts of answers."""
    template = pages.environment(__package__, number=_number, hours=_hours).get_template("dataset.html.j2")
    page: str = template.render(
        title=title,
        summary=summary,
        lists=LISTS,
        groups=_groups(summary),
        histograms=_histograms(summary),
        minutes=(("Minutes by accent", summary.accents), ("Minutes by voice", summary.voices)),
        terms=_fewest_first(summary),
        most=MOST_TERMS,
        clips=clips,
        sounds=sounds or {},
        refused=parts(refused or {}),
        screening=screening,
        rejected=parts(screening.reasons) if screening else (),
        texts={row.term.id: row.term.text for row in summary.terms},
        facts=facts or {},
    )
    return page


def _groups(summary: Summary) -> list[tuple[str, Sequence[Part]]]:
    """Bars of sentences with their headings."""
    groups = (
        ("Kinds of sentence", summary.kinds),
        ("Where the term stands", summary.places),
        ("Contexts", summary.contexts),
        ("Who wrote the sentence frames", summary.sources),
        ("Openings (first two words)", summary.openings),
    )
    return [(heading, bars) for heading, bars in groups if bars]


def _histograms(summary: Summary) -> list[tuple[str, str, str]]:
    """Headings, what they say in words, and charts."""
    measured: Sequence[tuple[str, Spread | None, str]] = (
        ("Duration of a sentence", summary.durations, "s"),
        ("Speaking rate", summary.rates, "words per minute"),
        ("Length of a sentence", summary.words, "words"),
        ("SNR of noisy copies", summary.snr_db, "dB"),
    )
    made = []
    for heading, spread, unit in measured:
        if spread:
            told = f"Median {spread.median:.3g} {unit}; 90 % from {spread.at(5):.3g} to {spread.at(95):.3g} {unit}"
            made.append((heading, told, charts.histogram(spread.values, title=f"{heading}. {told}", unit=unit)))
    return made


def _fewest_first(summary: Summary) -> list[TermRow]:
    """Trained terms before held-out ones, those with the fewest recordings first."""
    return sorted(summary.terms, key=lambda row: (not row.term.taught, row.recordings, row.term.id))


def _number(value: float) -> str:
    """``1,234``; below ten with a digit behind the point where there is one."""
    return f"{value:.1f}" if value < 10 and value != int(value) else f"{value:,.0f}"


def _hours(value: float) -> str:
    """``12 min`` below two hours, else ``3.4 h``."""
    return f"{60 * value:.1f} min" if value < 2 else f"{value:,.1f} h"
