"""Terms of an evaluation: low recall first, weights of the law, and what sounds alike as their confusions."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.records import Term
from shoptalk.corpus import general_english
from shoptalk.corpus.misses import Evidence, remark, with_misses

ENGLISH = general_english.frequencies({"the": 900_000, "hay": 900, "fever": 2_000})
TERMS = [
    Term(id="metformin", text="metformin", category="drug"),
    Term(id="hyper", text="hyperthyroidism", category="condition", risk="high", weight=0.7),
    Term(id="hypo", text="hypothyroidism", category="condition", taught=False),
    Term(id="clenil", text="Clenil", category="drug", variants=("Clenil Modulite",), confused_with=("Clonil",)),
]
EVIDENCE = {
    "metformin": Evidence(of=5, missed=2, instead=Counter({"nephormin": 1, "": 1})),
    "hyper": Evidence(of=2, missed=2, instead=Counter({"hypothyroidism": 2})),
    "hypo": Evidence(of=8),
    "clenil": Evidence(of=13, missed=13, instead=Counter({"clinol": 6, "yesterday evening": 3, "clenol": 4, "12": 1})),
}


def test_low_recall_comes_first_with_its_confusions() -> None:
    missed = with_misses(TERMS, EVIDENCE, ENGLISH)
    assert [term.id for term in missed] == ["clenil", "hyper", "metformin", "hypo"]
    confused = {term.id: term.confused_with for term in missed}
    assert confused == {
        "clenil": ("Clonil", "clinol", "clenol"),
        "hyper": ("hypothyroidism",),
        "metformin": ("nephormin",),
        "hypo": (),
    }
    weights = {term.id: term.weight for term in missed}
    assert weights["hyper"] > weights["metformin"] > weights["hypo"]
    assert [term.taught for term in missed] == [True, True, True, False]
    assert [term.id for term in missed if "taught" in term.model_fields_set] == ["hypo"]


def test_what_stage_10_decides_is_not_copied() -> None:
    sounds = {"ipa": ("mˈɛt",), "verified_by": "Ann"}
    terms = [
        Term(id="a", text="metformin", category="drug", pronounced_by="lexicon", **sounds),
        Term(id="b", text="apixaban", category="drug", pronounced_by="override", **sounds),
    ]
    first, second = with_misses(terms, {}, ENGLISH)
    assert (first.ipa, first.verified_by, first.pronounced_by) == (("mˈɛt",), "Ann", None)
    assert (second.ipa, second.verified_by, second.pronounced_by) == ((), "", None)


def test_remarks_say_what_was_counted() -> None:
    assert remark(EVIDENCE["clenil"]) == "missed 13 of 13: clinol (6), clenol (4), yesterday evening (3)"
    assert remark(EVIDENCE["metformin"]) == "missed 2 of 5: nephormin (1), nothing (1)"
    assert remark(EVIDENCE["hypo"]) == "recognised 8 of 8 times"
    assert remark(Evidence()) == ""


counts = st.integers(0, 9).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(st.lists(counts, min_size=1, max_size=6))
def test_no_term_is_lost_and_recall_rises(numbers: list[tuple[int, int]]) -> None:
    terms = [Term(id=f"t{place}", text=f"zyx{'abcdef'[place]}", category="drug") for place in range(len(numbers))]
    evidence = {f"t{place}": Evidence(of=of, missed=missed) for place, (missed, of) in enumerate(numbers)}
    ordered = with_misses(terms, evidence, ENGLISH)
    assert sorted(term.id for term in ordered) == sorted(term.id for term in terms)
    recalls = [evidence[term.id].recall for term in ordered]
    assert recalls == sorted(recalls)
