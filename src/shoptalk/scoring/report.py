"""Scores for people: a table for the console, Markdown, and one self-contained HTML page that a clinician can read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from shoptalk.scoring.scores import Change, Misheard, Rate, Scores, TermRow
from shoptalk.scoring.wer import align

NONE = "–"


@dataclass(frozen=True)
class Headline:
    """One line of the summary."""

    label: str
    explanation: str
    change: Change
    percent: bool = True


@dataclass(frozen=True)
class Piece:
    """A run of words in a comparison: equal, or what was said (`reference`) and what was heard."""

    equal: bool
    reference: str
    heard: str


def headlines(scores: Scores) -> list[Headline]:
    """What was learned, what was not taught, what was not forgotten; only what was scored."""
    lines = []
    taught, untaught, general = (scores.sets.get(name) for name in ("taught", "untaught", "general"))
    if taught and taught.term_error:
        lines.append(
            Headline("Taught terms missed", "of all times they were said, in new sentences", taught.term_error)
        )
    if untaught and untaught.term_error:
        lines.append(Headline("Untaught terms missed", "the control: these were never taught", untaught.term_error))
    if taught:
        lines.append(Headline("Word errors, sentences of the trade", "of all words said", taught.wer))
    if general:
        lines.append(Headline("Word errors, general speech", "what must not be forgotten", general.wer))
        invented = "in general speech, for each 1,000 words"
        lines.append(Headline("Taught terms nobody said", invented, general.false_insertions, percent=False))
    return lines


def worst_first(scores: Scores, *, taught: bool) -> list[TermRow]:
    """The terms, those that are still missed most often first."""
    rows = [row for row in scores.terms if row.taught == taught]
    return sorted(rows, key=lambda row: (row.recall.after.value or 0.0, row.recall.before.value or 0.0, row.id))


def pieces(reference: str, heard: str) -> list[Piece]:
    """The words of two texts, as they are counted, in runs that agree and runs that do not."""
    alignment = align(reference, heard)
    runs: list[Piece] = []
    for kind, start, end, heard_start, heard_end in alignment.chunks:
        equal = kind == "equal"
        said, got = " ".join(alignment.reference[start:end]), " ".join(alignment.heard[heard_start:heard_end])
        if runs and not equal and not runs[-1].equal:
            last = runs.pop()
            said, got = f"{last.reference} {said}".strip(), f"{last.heard} {got}".strip()
        runs.append(Piece(equal, said, got))
    return runs


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
    parts = ["# What was learned, and what was not forgotten", _basis(scores), summary_table(scores)]
    for title, taught in (("Taught terms, worst first", True), ("Untaught terms (control)", False)):
        if rows := worst_first(scores, taught=taught):
            parts += [f"## {title}", _markdown_table(_TERM_HEAD, [_term_cells(row) for row in rows])]
    groups = [
        (
            f"{row.name}{'' if row.taught else ' (untaught)'}",
            str(row.terms),
            _with_interval(row.recall.before, True),
            _with_interval(row.recall.after, True),
            figure(row.precision.after.value),
        )
        for row in (*scores.categories, *scores.knowledge)
    ]
    if groups:
        head = ("group", "terms", "recall before", "recall after", "precision after")
        parts += ["## Groups of terms", _markdown_table(head, groups)]
    if scores.unfound:
        parts += ["## Not scored", "Terms not found in their own sentence: " + _cell("; ".join(scores.unfound))]
    return "\n\n".join(parts) + "\n"


_TERM_HEAD = ("term", "said", "recall before", "recall after", "precision after", "heard instead, before", "after")


def _term_cells(row: TermRow) -> tuple[str, ...]:
    return (
        row.text,
        str(row.recall.before.of),
        figure(row.recall.before.value),
        figure(row.recall.after.value),
        figure(row.precision.after.value),
        instead(row.instead_before),
        instead(row.instead_after),
    )


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|").replace("[", "\\[").replace("`", "\\`").replace("*", "\\*")


# --- HTML ------------------------------------------------------------------------------------------------------


def html(scores: Scores, *, title: str = "What the recogniser learned", facts: Mapping[str, str] | None = None) -> str:
    """One self-contained page without scripts or outside resources; all texts are escaped.

    `facts` are shown at the end, e.g. the base model, the recipe, the date.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(figure=figure, interval=interval, instead=instead)
    template = environment.from_string(files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    groups = [(f"{'Taught' if row.taught else 'Untaught'}: {row.name}", row) for row in scores.categories]
    knowledge = [(f"{'Taught' if row.taught else 'Untaught'}, {row.name} to the base", row) for row in scores.knowledge]
    return template.render(
        title=title,
        scores=scores,
        headlines=headlines(scores),
        tables=[
            ("Taught terms, worst first", worst_first(scores, taught=True)),
            ("Untaught terms (control)", worst_first(scores, taught=False)),
        ],
        groups=[*groups, *knowledge],
        pieces=pieces,
        place=partial(_place, scores),
        facts=facts or {},
        confidence=f"{100 * scores.confidence:g} %",
    )


def _place(scores: Scores, line: Headline, value: float | None) -> str:
    """Where a value lies on the scale of its headline, in percent of the width; percentages share one scale."""
    sharing = [one.change for one in headlines(scores) if one.percent == line.percent]
    ends = [rate.high or rate.value or 0.0 for change in sharing for rate in (change.before, change.after)]
    top = max(ends) or 1.0
    return f"{100 * min(max((value or 0.0) / top, 0.0), 1.0):.2f}"
