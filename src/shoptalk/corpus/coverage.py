"""Stage 20: the design, which spreads the training sentences of each term over voices and conditions, and its table.

The table has a cell for each term, context, voice and condition; minima of its margins are required by the recipe.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from math import lcm
from statistics import quantiles
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from shoptalk.core.errors import CoverageError, RecipeError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.recipe import CoverageSection, SpeechSection
from shoptalk.core.records import Term, Transcript
from shoptalk.corpus.augmentation import CONDITIONS
from shoptalk.corpus.splits import draw_key
from shoptalk.corpus.transcripts import place_of_term
from shoptalk.corpus.voices import groups

PRODUCT = "20-coverage.json"
"""In the run folder: the `Coverage` of stage 20."""
SHOWN = 20
"""Short cells that an error names."""


class Table(BaseModel):
    """Base of the parts of `PRODUCT`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(Table):
    """Training sentences of one term in one context, planned for one group of voices and one condition."""

    term: str
    context: str
    """Note section; empty where unknown."""
    voice: str
    """Group of voices; empty: drawn."""
    condition: str
    """Of the augmented copies; empty: drawn."""
    sentences: int


class Minimum(Table):
    """What the recipe requires of a margin of the table, and what there is."""

    of: tuple[str, ...]
    at_least: int
    cells: int
    """Combinations of the factors."""
    least: int
    """Sentences in the smallest."""


class Coverage(Table):
    """What the sentences of stage 20 cover."""

    sentences: Mapping[str, Mapping[str, int]]
    """By split and kind."""
    terms: Mapping[str, Mapping[str, int]]
    """Sentences that name a term, by its id and the split."""
    words: Mapping[str, float]
    """Length of the training sentences in words: ``least``, ``tenth``, ``median``, ``ninetieth``, ``most``."""
    places: Mapping[str, int]
    """Training sentences by the third in which their first term stands: ``start``, ``middle``, ``end``, ``none``."""
    contexts: Mapping[str, tuple[str, ...]]
    """By category: the contexts of training sentences that are about a term of it."""
    minima: tuple[Minimum, ...]
    table: tuple[Cell, ...]
    """The cells that are not empty, sorted. A sentence counts for each term that it names."""

    def margin(self, *of: str) -> Counter[tuple[str, ...]]:
        """Sentences by the levels of some factors (`term`, `context`, `voice`, `condition`)."""
        counts: Counter[tuple[str, ...]] = Counter()
        for cell in self.table:
            counts[tuple(getattr(cell, factor) for factor in of)] += cell.sentences
        return counts


class Levels(NamedTuple):
    """What the design spreads sentences over; nothing where voices or conditions are drawn."""

    voices: tuple[str, ...]
    conditions: tuple[str, ...]


def levels_of(config: CoverageSection, speech: SpeechSection, language: str = ENGLISH) -> Levels:
    """What a recipe spreads sentences over; `RecipeError` names a condition that there is not."""
    for condition in config.conditions:
        if condition not in CONDITIONS:
            known = ", ".join(CONDITIONS)
            raise RecipeError(f"transcripts.coverage.conditions: {condition!r} is none of {known}")
    voices = groups(speech, language) if config.voices else ()
    return Levels(voices, tuple(dict.fromkeys(config.conditions)))


def planned(transcripts: Sequence[Transcript], levels: Levels, *, seed: int) -> list[Transcript]:
    """The transcripts, those for training with the voice group and the condition that the design gives them.

    Of each term, the one that a transcript names first, every voice, every condition and every pair of them gets as
    many sentences as any other, or one more; likewise within each context, as far as its sentences go. What a term gets
    depends on the seed and on ids, not on other terms or on any order.
    """
    sentences_of: dict[str, list[Transcript]] = defaultdict(list)
    for transcript in transcripts:
        if transcript.split == "train":
            sentences_of[_owner(transcript)].append(transcript)
    plans: dict[str, tuple[str, str]] = {}
    for owner, own in sentences_of.items():
        own.sort(key=lambda transcript: _in_context(transcript, seed))
        for transcript, plan in zip(own, _plans(owner, len(own), levels, seed), strict=True):
            plans[transcript.id] = plan
    made = []
    for transcript in transcripts:
        voice, condition = plans.get(transcript.id, ("", ""))
        made.append(transcript.model_copy(update={"voice_group": voice, "condition": condition}))
    return made


def counted(
    transcripts: Sequence[Transcript], terms: Sequence[Term], config: CoverageSection, levels: Levels
) -> Coverage:
    """What transcripts cover."""
    category_of = {term.id: term.category for term in terms}
    contexts: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    per_term: dict[str, Counter[str]] = defaultdict(Counter)
    cells: Counter[tuple[str, str, str, str]] = Counter()
    places: Counter[str] = Counter()
    lengths = []
    for transcript in transcripts:
        kinds[transcript.split][transcript.kind] += 1
        for term_id in transcript.term_ids:
            per_term[term_id][transcript.split] += 1
        if transcript.split == "train":
            lengths.append(len(transcript.text.split()))
            places[place_of_term(transcript.carrier) if transcript.term_ids else "none"] += 1
            for term_id in transcript.term_ids:
                cells[term_id, transcript.section, transcript.voice_group, transcript.condition] += 1
            if transcript.section and transcript.term_ids and transcript.kind != "several":
                contexts[category_of.get(transcript.term_ids[0], "")].add(transcript.section)
    table = []
    for (term_id, context, voice, condition), count in sorted(cells.items()):
        table.append(Cell(term=term_id, context=context, voice=voice, condition=condition, sentences=count))
    coverage = Coverage(
        sentences={split: dict(sorted(kinds[split].items())) for split in sorted(kinds)},
        terms={term_id: dict(sorted(per_term[term_id].items())) for term_id in sorted(per_term)},
        words=_lengths(lengths),
        places=dict(sorted(places.items())),
        contexts={category: tuple(sorted(contexts[category])) for category in sorted(contexts)},
        minima=(),
        table=tuple(table),
    )
    minima = []
    for wanted in config.minimum:
        counts = _margin_with_empty(coverage, wanted.of, terms, levels)
        least = min(counts.values(), default=0)
        minima.append(Minimum(of=wanted.of, at_least=wanted.at_least, cells=len(counts), least=least))
    return coverage.model_copy(update={"minima": tuple(minima)})


def require_minima(coverage: Coverage, terms: Sequence[Term], levels: Levels) -> None:
    """`CoverageError` names the cells that have fewer sentences than the recipe requires."""
    short = short_cells(coverage, terms, levels)
    if short:
        more = f"\n  and {len(short) - SHOWN} more" if len(short) > SHOWN else ""
        raise CoverageError(
            f"{len(short)} cells of the design have fewer training sentences than transcripts.coverage.minimum asks "
            "for; raise transcripts.train_per_term, add carriers of the contexts that are short, or ask for less:\n  "
            + "\n  ".join(short[:SHOWN])
            + more
        )


def short_cells(coverage: Coverage, terms: Sequence[Term], levels: Levels) -> list[str]:
    """The cells that have fewer sentences than the recipe requires: ``term 'latte', voice 'accent': 1 of 2``."""
    short = []
    for minimum in coverage.minima:
        for cell, count in sorted(_margin_with_empty(coverage, minimum.of, terms, levels).items()):
            if count < minimum.at_least:
                named = ", ".join(f"{factor} {level!r}" for factor, level in zip(minimum.of, cell, strict=True))
                short.append(f"{named}: {count} of {minimum.at_least}")
    return short


def told(coverage: Coverage) -> list[str]:
    """The coverage in a few lines."""
    lines = []
    for split, kinds in coverage.sentences.items():
        lines.append(f"{split}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
    for factor in ("term", "context", "voice", "condition"):
        counts = {level: count for (level,), count in coverage.margin(factor).items() if level}
        if counts:
            lines.append(f"{len(counts)} {_PLURALS[factor]}, {_range(counts.values())} training sentences each")
    by_place = ", ".join(f"{count} {place}" for place, count in coverage.places.items())
    length = coverage.words
    if length:
        lines.append(
            f"{length['least']:g} to {length['most']:g} words, half of them up to {length['median']:g}; the term "
            f"stands in the third: {by_place}"
        )
    for minimum in coverage.minima:
        factors = " x ".join(minimum.of)
        lines.append(f"{factors}: {minimum.cells} cells, at least {minimum.least} (asked: {minimum.at_least})")
    return lines


_PLURALS = {"term": "terms", "context": "contexts", "voice": "groups of voices", "condition": "conditions"}


def _range(counts: Collection[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least}" if least == most else f"{least} to {most}"


def _owner(transcript: Transcript) -> str:
    """Whose share of the voices a sentence takes: its first term's, or its kind's."""
    return transcript.term_ids[0] if transcript.term_ids else f"kind {transcript.kind}"


def _in_context(transcript: Transcript, seed: int) -> tuple[str, str]:
    """Sentences of a context stand together, so that each context gets a stretch of the cycle of voices."""
    return draw_key(seed, "context", _owner(transcript), transcript.section), draw_key(seed, "plan", transcript.id)


def _plans(owner: str, count: int, levels: Levels, seed: int) -> list[tuple[str, str]]:
    """So many pairs of voice group and condition.

    Both go round in an order of the owner's own. After each common period the conditions are shifted by one, so that
    all pairs have come once before any comes again.
    """
    voices = _shuffled(levels.voices, "voice", owner, seed)
    conditions = _shuffled(levels.conditions, "condition", owner, seed)
    period = lcm(len(voices), len(conditions))
    plans = []
    for number in range(count):
        shifted = number + number // period
        plans.append((voices[number % len(voices)], conditions[shifted % len(conditions)]))
    return plans


def _shuffled(levels: Sequence[str], factor: str, owner: str, seed: int) -> list[str]:
    return sorted(levels, key=lambda level: draw_key(seed, factor, owner, level)) or [""]


def _margin_with_empty(
    coverage: Coverage, of: Sequence[str], terms: Sequence[Term], levels: Levels
) -> dict[tuple[str, ...], int]:
    """A margin of the table with the cells that the design has but no sentence is in: of a term only its category's
    contexts.
    """
    counts = coverage.margin(*of)
    trained = [term for term in terms if term.taught] if "term" in of else [None]
    cells: dict[tuple[str, ...], int] = {}
    for term in trained:
        contexts = coverage.contexts.get(term.category, ()) if term else _every(coverage.contexts)
        levels_there = {
            "term": (term.id if term else "",),
            "context": contexts,
            "voice": levels.voices,
            "condition": levels.conditions,
        }
        for cell in product(*(levels_there[factor] for factor in of)):
            cells[cell] = counts[cell]
    return cells


def _every(contexts: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({context for own in contexts.values() for context in own}))


def _lengths(lengths: Sequence[int]) -> dict[str, float]:
    if len(lengths) < 2:
        return {}
    tenths = quantiles(lengths, n=10, method="inclusive")
    return {
        "least": min(lengths),
        "tenth": tenths[0],
        "median": tenths[4],
        "ninetieth": tenths[8],
        "most": max(lengths),
    }
