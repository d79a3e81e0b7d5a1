"""The design gives every term its share of each voice and condition, exactly, and short cells are named."""

from collections import Counter
from itertools import product
from math import ceil, floor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shoptalk.core.errors import CoverageError, RecipeError
from shoptalk.core.recipe import CoverageSection, MinimumSection, SpeechSection
from shoptalk.core.records import Term, Transcript
from shoptalk.corpus.coverage import Coverage, Levels, counted, levels_of, planned, require_minima, told

CONTEXTS = ("plan", "history", "nursing", "")


def term(number: int) -> Term:
    return Term(id=f"t{number}", text=f"term{number}", category=f"c{number % 2}")


def sentence(term_id: str, number: int, context: str, split: str = "train") -> Transcript:
    return Transcript.model_validate(
        {
            "id": f"{term_id}.{number}",
            "text": f"Say {term_id} now.",
            "spoken": "x",
            "term_ids": (term_id,) if term_id else (),
            "carrier": "Say {drug} now.",
            "split": split,
            "source": "x",
            "section": context,
            "kind": "carrier" if term_id else "without",
        }
    )


def corpus(counts: list[list[int]]) -> list[Transcript]:
    """Of each term so many sentences in each context; the last one has no term."""
    made = []
    for number, of_contexts in enumerate(counts):
        name = f"t{number}" if number < len(counts) - 1 else ""
        total = 0
        for context, count in zip(CONTEXTS, of_contexts, strict=False):
            for _ in range(count):
                made.append(sentence(name, total, context))
                total += 1
    return made


def is_even(counts: Counter[object], levels: int, total: int) -> bool:
    present = [counts[level] for level in counts]
    least, most = floor(total / levels), ceil(total / levels)
    filled = len(present) == levels or least == 0
    return filled and all(max(1, least) <= count <= most for count in present)


sizes = st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 6), st.integers(0, 6), st.integers(0, 99), st.randoms(use_true_random=False))
def test_every_margin_of_a_term_is_even(  # type: ignore[no-untyped-def]
    counts: list[list[int]], voices: int, conditions: int, seed: int, chance
) -> None:
    levels = Levels(tuple(f"v{i}" for i in range(voices)), tuple(f"k{i}" for i in range(conditions)))
    made = corpus(counts)
    plan = {each.id: each for each in planned(made, levels, seed=seed)}
    shuffled = list(made)
    chance.shuffle(shuffled)
    assert {each.id: each for each in planned(shuffled, levels, seed=seed)} == plan
    for own in {each.term_ids for each in made}:
        theirs = [each for each in plan.values() if each.term_ids == own]
        assert planned([each for each in made if each.term_ids == own], levels, seed=seed) == theirs, "alone or among"
        assert is_even(Counter(each.voice_group for each in theirs), max(1, voices), len(theirs))
        assert is_even(Counter(each.condition for each in theirs), max(1, conditions), len(theirs))
        pairs = Counter((each.voice_group, each.condition) for each in theirs)
        assert is_even(pairs, max(1, voices) * max(1, conditions), len(theirs))
        for context in CONTEXTS:
            there = [each for each in theirs if each.section == context]
            assert is_even(Counter(each.voice_group for each in there), max(1, voices), len(there)) or not there


def expected_cells(terms: list[Term], made: list[Transcript], levels: Levels, of: list[str]) -> set[tuple[str, ...]]:
    """Each combination that there must be: a term has the contexts of its category."""
    cells = set()
    for own in terms:
        alike = {each.id for each in terms if each.category == own.category or "term" not in of}
        contexts = {each.section for each in made if each.section and set(each.term_ids) & alike}
        contexts = contexts if "context" in of else {""}
        for context, voice, condition in product(sorted(contexts), levels.voices, levels.conditions):
            everything = {"term": own.id, "context": context, "voice": voice, "condition": condition}
            cells.add(tuple(everything[factor] for factor in of))
    return cells


def levels_of_sentence(each: Transcript, of: list[str]) -> tuple[str, ...] | None:
    everything = {"context": each.section, "voice": each.voice_group, "condition": each.condition}
    return tuple([{**everything, "term": each.term_ids[0]}[factor] for factor in of]) if each.term_ids else None


@settings(max_examples=60, deadline=None)
@given(
    sizes,
    st.lists(st.sampled_from(["term", "context", "voice", "condition"]), min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
)
def test_each_minimum_is_met_or_the_short_cells_are_named(
    counts: list[list[int]], of: list[str], at_least: int
) -> None:
    levels = Levels(("v0", "v1"), ("k0", "k1", "k2"))
    config = CoverageSection(
        conditions=levels.conditions, minimum=(MinimumSection.model_validate({"of": of, "at_least": at_least}),)
    )
    terms = [term(number) for number in range(len(counts) - 1)]
    made = planned(corpus(counts), levels, seed=1)
    cells = expected_cells(terms, made, levels, of)
    short = sum(sum(levels_of_sentence(each, of) == cell for each in made) < at_least for cell in cells)
    covered = counted(made, terms, config, levels)
    assume(cells)
    assert covered.minima[0].cells == len(cells)
    if short:
        with pytest.raises(CoverageError, match=rf"^{short} cells of the design"):
            require_minima(covered, terms, levels)
    else:
        require_minima(covered, terms, levels)


def test_a_short_cell_is_named_with_its_count() -> None:
    levels = Levels(("en-us-female", "accent"), ())
    config = CoverageSection(minimum=(MinimumSection(of=("term", "voice"), at_least=2),))
    made = planned(corpus([[3], [0]]), levels, seed=1)
    covered = counted(made, [term(0)], config, levels)
    with pytest.raises(CoverageError, match=r"term 't0', voice '[a-z-]+': 1 of 2") as error:
        require_minima(covered, [term(0)], levels)
    assert "train_per_term" in str(error.value)
    assert any("asked: 2" in line for line in told(covered))


def test_what_is_counted_is_read_back() -> None:
    levels = levels_of(CoverageSection(conditions=("clean", "noise")), SpeechSection())
    made = [*planned(corpus([[4, 2], [1]]), levels, seed=1), sentence("t0", 9, "plan", "test")]
    covered = counted(made, [term(0)], CoverageSection(), levels)
    assert Coverage.model_validate_json(covered.model_dump_json()) == covered
    assert covered.sentences == {"test": {"carrier": 1}, "train": {"carrier": 6, "without": 1}}
    assert covered.terms == {"t0": {"test": 1, "train": 6}}
    assert covered.margin("term", "context") == {("t0", "plan"): 4, ("t0", "history"): 2}
    assert covered.places == {"middle": 6, "none": 1}
    assert (covered.words["least"], covered.words["most"]) == (2, 3)


def test_levels_are_those_of_the_recipe() -> None:
    drawn = levels_of(CoverageSection(voices=False), SpeechSection())
    assert drawn == Levels((), ())
    assert "accent" in levels_of(CoverageSection(), SpeechSection()).voices
    assert "accent" not in levels_of(CoverageSection(), SpeechSection(accents=0)).voices
    with pytest.raises(RecipeError, match="'underwater' is none of clean, "):
        levels_of(CoverageSection(conditions=("underwater",)), SpeechSection())


@pytest.mark.parametrize(
    ("section", "told_of"),
    [
        ({"minimum": [{"of": ["condition"]}]}, "conditions names none"),
        ({"voices": False, "minimum": [{"of": ["term", "voice"]}]}, "voices is false"),
        ({"minimum": [{"of": ["term", "term"]}]}, "each factor once"),
        ({"minimum": [{"of": []}]}, "each factor once"),
    ],
)
def test_a_minimum_of_what_is_not_planned_is_an_error(section: dict[str, object], told_of: str) -> None:
    with pytest.raises(ValidationError, match=told_of):
        CoverageSection.model_validate(section)
