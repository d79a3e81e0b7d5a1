"""Scores for people: a table for the console, and Markdown; `page` makes the HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoptalk.core.scores import Change, Misheard, Rate, Scores, SetScores, Slice, TermRow
from shoptalk.core.sets import GENERAL, TAUGHT, TESTS

NONE = "–"


@dataclass(frozen=True)
class Headline:
    """One line of the summary."""

    label: str
    explanation: str
    change: Change
    percent: bool = True


def headlines(scores: Scores) -> list[Headline]:
    """The figures of the summary: trained terms, held-out terms, word errors; only what was scored."""
    lines = []
    taught, untaught, general = (scores.sets.get(name) for name in TESTS)
    if taught and taught.terms:
        lines.append(Headline("Trained terms missed", "of all occurrences, in new sentences", taught.terms.error))
    if untaught and untaught.terms:
        lines.append(Headline("Held-out terms missed", "the control: these were never trained", untaught.terms.error))
    if taught:
        lines.append(Headline("Word errors, sentences with terms", "of all reference words", taught.wer))
    if general:
        lines.append(Headline("Word errors, general speech", "what must not be forgotten", general.wer))
        where = "in general speech, per 1,000 words"
        lines.append(Headline("False insertions of terms", where, general.false_insertions, percent=False))
    return lines


def worst_first(scores: Scores, *, taught: bool) -> list[TermRow]:
    """The terms, those that are still missed most often first."""
    rows = [row for row in scores.terms if row.taught == taught]
    return sorted(
        rows, key=lambda row: (row.scores.recall.after.value or 0.0, row.scores.recall.before.value or 0.0, row.id)
    )


# --- figures ---------------------------------------------------------------------------------------------------


def figure(value: float | None, *, percent: bool = True, signed: bool = False) -> str:
    """``12.3 %`` or, for insertions per 1,000 words, ``0.41``."""
    if value is None:
        return NONE
    value = round(value, 4 if percent else 3) + 0.0  # no "-0.0"
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f} %" if percent else f"{value:{sign}.2f}"


def interval(rate: Rate, *, percent: bool = True, signed: bool = False) -> str:
    """``10.0 to 14.9``, in the unit of `figure`."""
    if rate.low is None or rate.high is None:
        return "no interval"
    low, high = (figure(value, percent=percent, signed=signed).removesuffix(" %") for value in (rate.low, rate.high))
    return f"{low} to {high}"


def _with_interval(rate: Rate, percent: bool, signed: bool = False) -> str:
    if rate.value is None:
        return NONE
    return f"{figure(rate.value, percent=percent, signed=signed)} [{interval(rate, percent=percent, signed=signed)}]"


def instead(heard: Sequence[Misheard], most: int = 3) -> str:
    """``met forming (4), nothing (1)``."""
    return ", ".join(f"{one.words or 'nothing'} ({one.count})" for one in heard[:most]) or NONE


# --- console and Markdown --------------------------------------------------------------------------------------


def console_table(scores: Scores) -> str:
    """Before → after with intervals, for the end of a run."""
    rows = [_SUMMARY_HEAD, *_summary(scores)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, _basis(scores)])


def summary_table(scores: Scores) -> str:
    """The same as a Markdown table."""
    return _markdown_table(_SUMMARY_HEAD, _summary(scores))


_SUMMARY_HEAD = ("", "before", "after", "difference", "")


def _summary(scores: Scores) -> list[tuple[str, ...]]:
    rows = []
    for line in headlines(scores):
        change = line.change
        sides = [_with_interval(rate, line.percent) for rate in (change.before, change.after)]
        label = line.label + ("" if line.percent else " (per 1,000 words)")
        rows.append((label, *sides, _with_interval(change.difference, line.percent, signed=True), change.verdict))
    return rows


def _basis(scores: Scores) -> str:
    counted = ", ".join(f"{one.utterances} {name}" for name, one in scores.sets.items())
    return (
        f"{scores.utterances} test utterances ({counted}); [{100 * scores.confidence:g} % intervals, paired bootstrap]"
    )


def markdown(scores: Scores) -> str:
    """The scores as GitHub Markdown: summary, terms worst first, categories."""
    parts = ["# Scores before and after tuning", _basis(scores), summary_table(scores)]
    for title, taught in (("Trained terms, worst first", True), ("Held-out terms (control)", False)):
        if rows := worst_first(scores, taught=taught):
            parts += [f"## {title}", _markdown_table(_TERM_HEAD, [_term_cells(row) for row in rows])]
    if scores.slices:
        parts += ["## Parts of the test", _markdown_table(_SLICE_HEAD, [_slice_cells(one) for one in scores.slices])]
    if scores.others:
        parts += ["## Beside other recognisers", beside_table(scores)]
    parts += ["## What else was measured", _markdown_table(("figure", "before", "after"), _further(scores))]
    if scores.unfound:
        parts += ["## Not scored", "Terms not found in their own sentence: " + _cell("; ".join(scores.unfound))]
    return "\n\n".join(parts) + "\n"


_SLICE_HEAD = ("part", "set", "of", "term recall before", "after", "word errors before", "after")


def _slice_cells(row: Slice) -> tuple[str, ...]:
    recall = (
        [_with_interval(rate, True) for rate in (row.terms.recall.before, row.terms.recall.after)] if row.terms else []
    )
    errors = [_with_interval(rate, True) for rate in (row.wer.before, row.wer.after)] if row.wer else []
    return (f"{row.by} {row.name}", row.set, str(row.count), *(recall or [NONE] * 2), *(errors or [NONE] * 2))


_BESIDE_HEAD = ("recogniser", "trained terms missed", "false insertions", "word errors, with terms", "general", "speed")


def beside(scores: Scores) -> list[tuple[str, ...]]:
    """Base, tuned model and every other recogniser on the same recordings, a row each."""
    rows = [
        _beside("base", scores.sets, "before", scores.speed_before),
        _beside("tuned", scores.sets, "after", scores.speed_after),
    ]
    return rows + [_beside(one.name, one.sets, "before", one.speed) for one in scores.others]


def beside_table(scores: Scores) -> str:
    """The same as a Markdown table."""
    return _markdown_table(_BESIDE_HEAD, beside(scores))


def _beside(name: str, sets: Mapping[str, SetScores], side: str, speed: float | None) -> tuple[str, ...]:
    taught, general = sets.get(TAUGHT), sets.get(GENERAL)
    changes = (
        (taught.terms.error if taught and taught.terms else None, True),
        (general.false_insertions if general else None, False),
        (taught.wer if taught else None, True),
        (general.wer if general else None, True),
    )
    cells = [_with_interval(getattr(change, side), percent) if change else NONE for change, percent in changes]
    return (name, *cells, f"{speed:.0f} x real time" if speed else NONE)


def _further(scores: Scores) -> list[tuple[str, ...]]:
    """Figures that the summary does not have, where they were measured."""
    rows = [
        (f"{label}, {name}", *(_with_interval(rate, percent) for rate in (change.before, change.after)))
        for name, one in scores.sets.items()
        for label, change, percent in set_changes(one)
        if change.before.value is not None
    ]
    if scores.silence:
        change = scores.silence.words
        sides = (_with_interval(rate, False) for rate in (change.before, change.after))
        rows.append(("Words invented where nobody speaks, per minute", *sides))
    if scores.calibration:
        rows.append(("Calibration error of word confidence", NONE, figure(scores.calibration.ece)))
    return rows


def set_changes(one: SetScores) -> list[tuple[str, Change, bool]]:
    """The figures of a set with their names, and whether they are percentages."""
    return [
        ("Word errors", one.wer, True),
        ("Character errors", one.cer, True),
        ("Sentences with an error", one.sentence_error, True),
        ("Numbers, doses and units wrong", one.numbers, True),
        ("Numbers invented, per 1,000 words", one.invented_numbers, False),
        ("Punctuation errors (1 − F1)", one.punctuation, True),
        ("Capitals wrong", one.case, True),
        ("False insertions of terms, per 1,000 words", one.false_insertions, False),
    ]


_TERM_HEAD = ("term", "occurrences", "recall before", "recall after", "precision after", "instead, before", "after")


def _term_cells(row: TermRow) -> tuple[str, ...]:
    return (
        row.text,
        str(row.scores.recall.before.of),
        figure(row.scores.recall.before.value),
        figure(row.scores.recall.after.value),
        figure(row.scores.precision.after.value),
        instead(row.instead_before),
        instead(row.instead_after),
    )


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|").replace("[", "\\[").replace("`", "\\`").replace("*", "\\*")
