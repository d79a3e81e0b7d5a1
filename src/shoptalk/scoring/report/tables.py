"""Scores for people: a table for the console, and Markdown; `page` makes the HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoptalk.core.scores import Change, Misheard, Rate, Scores, SetScores, Slice, TermRow
from shoptalk.core.sets import GENERAL, TAUGHT, TESTS, UNTAUGHT

NONE = "–"
TRAINED_TERMS = "Trained terms, worst first"
HELD_OUT_TERMS = "Held-out terms (control)"


@dataclass(frozen=True)
class Headline:
    """One line of the summary."""

    label: str
    explanation: str
    change: Change
    percent: bool = True


def headlines(scores: Scores) -> list[Headline]:
    """The figures of the summary: trained terms, held-out terms, word errors; only what was scored."""
    lines: list[Headline] = []
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
    """The trained terms, or the held-out ones; those with the lowest recall first."""

    def rank(row: TermRow) -> tuple[float, float, str]:
        recall = row.scores.recall
        return recall.after.value or 0.0, recall.before.value or 0.0, row.id

    return sorted((row for row in scores.terms if row.taught == taught), key=rank)


# --- figures ---------------------------------------------------------------------------------------------------


def figure(value: float | None, *, percent: bool = True, signed: bool = False) -> str:
    """``12.3 %``; for insertions per 1,000 words ``0.41``; signed, for a difference of two shares, ``-4.1 points``."""
    if value is None:
        return NONE
    number = _number(value, percent=percent, signed=signed)
    if not percent:
        return number
    return f"{number} points" if signed else f"{number} %"


def _number(value: float, *, percent: bool, signed: bool) -> str:
    value = round(value, 4 if percent else 3) + 0.0  # no "-0.0"
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if percent else f"{value:{sign}.2f}"


def interval(rate: Rate, *, percent: bool = True, signed: bool = False) -> str:
    """``10.0 to 14.9``, in the unit of `figure`."""
    if rate.low is None or rate.high is None:
        return "no interval"
    low, high = (_number(bound, percent=percent, signed=signed) for bound in (rate.low, rate.high))
    return f"{low} to {high}"


def _with_interval(rate: Rate, percent: bool, signed: bool = False) -> str:
    if rate.value is None:
        return NONE
    return f"{figure(rate.value, percent=percent, signed=signed)} [{interval(rate, percent=percent, signed=signed)}]"


def instead(forms: Sequence[Misheard], most: int = 3) -> str:
    """``met forming (4), nothing (1)``."""
    forms_counted = [f"{form.words or 'nothing'} ({form.count})" for form in forms[:most]]
    return ", ".join(forms_counted) or NONE


# --- console and Markdown --------------------------------------------------------------------------------------


def console_table(scores: Scores) -> str:
    """Before → after with intervals, for the end of a run."""
    rows = [_SUMMARY_HEAD, *_summary(scores)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    ruler = "-" * max(len(line) for line in lines)
    lines.insert(1, ruler)
    lines.append(_basis(scores))
    return "\n".join(lines)


def summary_table(scores: Scores) -> str:
    """The same as a Markdown table."""
    return _markdown_table(_SUMMARY_HEAD, _summary(scores))


_SUMMARY_HEAD = ("", "before", "after", "difference", "")


def _summary(scores: Scores) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for line in headlines(scores):
        label = line.label if line.percent else f"{line.label} (per 1,000 words)"
        before = _with_interval(line.change.before, line.percent)
        after = _with_interval(line.change.after, line.percent)
        difference = _with_interval(line.change.difference, line.percent, signed=True)
        rows.append((label, before, after, difference, line.change.verdict))
    return rows


def counted_by_set(scores: Scores) -> str:
    """How many recordings each test set has: ``90 with trained terms, 30 with held-out terms, 160 general``."""
    titles = {TAUGHT: "with trained terms", UNTAUGHT: "with held-out terms"}
    return ", ".join(f"{test_set.utterances} {titles.get(name, name)}" for name, test_set in scores.sets.items())


def _basis(scores: Scores) -> str:
    confidence = f"{100 * scores.confidence:g} %"
    return f"{scores.utterances} test utterances ({counted_by_set(scores)}); [{confidence} intervals, paired bootstrap]"


def markdown(scores: Scores) -> str:
    """The scores as GitHub Markdown: summary, terms worst first, categories."""
    parts = ["# Scores before and after tuning", _basis(scores), summary_table(scores)]
    for title, taught in ((TRAINED_TERMS, True), (HELD_OUT_TERMS, False)):
        rows = worst_first(scores, taught=taught)
        if rows:
            parts += [f"## {title}", _markdown_table(_TERM_HEAD, [_term_cells(row) for row in rows])]
    if scores.slices:
        parts += ["## Parts of the test", _markdown_table(_SLICE_HEAD, [_slice_cells(row) for row in scores.slices])]
    if scores.others:
        parts += ["## Beside other recognisers", beside_table(scores)]
    parts += ["## What else was measured", _markdown_table(("figure", "before", "after"), _further(scores))]
    if scores.unfound:
        parts += [
            "## Not scored",
            "Terms missing in the reference that names them: " + _cell("; ".join(scores.unfound)),
        ]
    return "\n\n".join(parts) + "\n"


_SLICE_HEAD = ("part", "set", "of", "term recall before", "after", "word errors before", "after")


def _slice_cells(row: Slice) -> tuple[str, ...]:
    recall = _both_sides(row.terms.recall if row.terms else None)
    errors = _both_sides(row.wer)
    return (f"{row.by} {row.name}", row.set, str(row.count), *recall, *errors)


def _both_sides(change: Change | None, *, percent: bool = True) -> tuple[str, str]:
    """The cells of before and after."""
    if change is None:
        return NONE, NONE
    return _with_interval(change.before, percent), _with_interval(change.after, percent)


_BESIDE_HEAD = ("recogniser", "trained terms missed", "false insertions", "word errors, with terms", "general", "speed")


def beside(scores: Scores) -> list[tuple[str, ...]]:
    """Base, tuned model and every other recogniser on the same recordings, a row each."""
    rows = [
        _beside("base", scores.sets, "before", scores.speed_before),
        _beside("tuned", scores.sets, "after", scores.speed_after),
    ]
    for other in scores.others:
        rows.append(_beside(other.name, other.sets, "before", other.speed))
    return rows


def beside_table(scores: Scores) -> str:
    """The same as a Markdown table."""
    return _markdown_table(_BESIDE_HEAD, beside(scores))


def _beside(name: str, sets: Mapping[str, SetScores], side: str, speed: float | None) -> tuple[str, ...]:
    taught, general = sets.get(TAUGHT), sets.get(GENERAL)
    term_error = taught.terms.error if taught and taught.terms else None
    cells = [
        _one_side(term_error, side),
        _one_side(general.false_insertions if general else None, side, percent=False),
        _one_side(taught.wer if taught else None, side),
        _one_side(general.wer if general else None, side),
    ]
    return (name, *cells, f"{speed:.0f} x real time" if speed else NONE)


def _one_side(change: Change | None, side: str, *, percent: bool = True) -> str:
    """The cell of ``before`` or ``after``."""
    if change is None:
        return NONE
    rate: Rate = getattr(change, side)
    return _with_interval(rate, percent)


def _further(scores: Scores) -> list[tuple[str, ...]]:
    """Figures that the summary does not have, where they were measured."""
    rows: list[tuple[str, ...]] = []
    for name, test_set in scores.sets.items():
        for label, change, percent in set_changes(test_set):
            if change.before.value is not None:
                rows.append((f"{label}, {name}", *_both_sides(change, percent=percent)))
    if scores.silence:
        sides = _both_sides(scores.silence.words, percent=False)
        rows.append(("Words invented where nobody speaks, per minute", *sides))
    if scores.calibration:
        rows.append(("Calibration error of word confidence", NONE, figure(scores.calibration.ece)))
    return rows


def set_changes(test_set: SetScores) -> list[tuple[str, Change, bool]]:
    """The figures of a set with their names, and whether they are percentages."""
    return [
        ("Word errors", test_set.wer, True),
        ("Character errors", test_set.cer, True),
        ("Sentences with an error", test_set.sentence_error, True),
        ("Numbers, doses and units wrong", test_set.numbers, True),
        ("Numbers invented, per 1,000 words", test_set.invented_numbers, False),
        ("Punctuation errors (1 − F1)", test_set.punctuation, True),
        ("Capitals wrong", test_set.case, True),
        ("False insertions of terms, per 1,000 words", test_set.false_insertions, False),
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
    lines = [_markdown_row(head), _markdown_row(["---"] * len(head))]
    for row in rows:
        lines.append(_markdown_row([_cell(cell) for cell in row]))
    return "\n".join(lines)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    """One line, with what Markdown or HTML would read as markup escaped."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|").replace("[", "\\[").replace("`", "\\`").replace("*", "\\*")
