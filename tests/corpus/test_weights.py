"""The law of weights: more for rare, risky and missed terms, 1 where nothing is known, and never without bounds."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.records import Term
from shoptalk.corpus import general_english
from shoptalk.corpus.weights import HIGHEST, LOWEST, weigh, weight

ENGLISH = general_english.frequencies(
    {"the": 900_000, "flat": 600, "white": 900, "latte": 60, "afternoon": 50, "diarrhea": 55, "april": 51, "crohn": 70},
    ["This Friday afternoon in April", "An afternoon in April", "It was an afternoon, not April."],
)

risks: st.SearchStrategy[Literal["low", "medium", "high"]] = st.sampled_from(["low", "medium", "high"])
counts = st.integers(0, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


def test_nothing_known_is_what_the_recipe_says() -> None:
    assert weight() == 1.0


@given(st.floats(0, 9), risks, counts)
def test_a_weight_rises_with_each_reason_and_has_bounds(
    zipf: float, risk: Literal["low", "medium", "high"], count: tuple[int, int]
) -> None:
    missed, of = count
    own = weight(zipf=zipf, risk=risk, missed=missed, of=of)
    assert LOWEST <= own <= HIGHEST
    assert weight(zipf=max(0, zipf - 1), risk=risk, missed=missed, of=of) >= own
    assert weight(zipf=zipf, risk="high", missed=missed, of=of) >= own
    assert weight(zipf=zipf, risk=risk, missed=missed, of=of + 1) <= own
    assert weight(zipf=zipf, risk=risk, missed=missed + 1, of=of + 1) >= own


def test_little_evidence_says_little() -> None:
    once, ten_times = weight(missed=1, of=1), weight(missed=10, of=10)
    assert 1.0 < once < ten_times
    assert weight(missed=0, of=10) < weight(missed=0, of=1) < 1.0


def test_a_term_is_as_rare_as_its_rarest_word() -> None:
    assert ENGLISH.zipf("flat white") == ENGLISH.zipf("flat") < ENGLISH.zipf("white")
    assert ENGLISH.zipf("metformin") == ENGLISH.zipf("the metformin") == 0.0


def test_words_are_looked_up_as_people_write_them() -> None:
    assert ENGLISH.zipf("Flat-White") == ENGLISH.zipf("flat white")
    assert ENGLISH.zipf("lattes") == 0.0
    assert ENGLISH.zipf("diarrhoea") == ENGLISH.zipf("diarrhea") > 0
    assert ENGLISH.zipf("Crohn’s") == ENGLISH.zipf("crohn") > 0
    assert ENGLISH.zipf("latté") == ENGLISH.zipf("latte") > 0


def test_sentences_fill_the_gaps_of_the_list() -> None:
    listed = general_english.frequencies({"the": 900_000, "afternoon": 50, "april": 51})
    assert listed.per_million("afternoon") == 0.0, "50 stands for words without a count"
    assert ENGLISH.per_million("afternoon") > 10_000
    assert ENGLISH.per_million("april") > 100 * listed.per_million("april"), "a name: subtitles have few"
    assert ENGLISH.per_million("friday") == 0.0, "one sentence is no frequency"


def test_a_given_weight_stays() -> None:
    terms = [
        Term(id="a", text="metformin", category="drug"),
        Term(id="b", text="apixaban", category="drug", weight=1.0),
        Term(id="c", text="the", category="word"),
    ]
    assert [term.weight for term in weigh(terms, ENGLISH)] == [1.5, 1.0, 0.5]
