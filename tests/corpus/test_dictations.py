"""The terms of one dictation are drawn from few of the lexicon, and hardly change with it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.records import Term
from shoptalk.corpus.company import company
from shoptalk.corpus.dictations import _circles


def lexicon(taught: list[bool]) -> list[Term]:
    terms = []
    for number, trained in enumerate(taught):
        terms.append(Term(id=f"t{number}", text=f"term {number}", category="drug", taught=trained))
    return terms


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 99))
def test_company_is_of_other_terms_and_none_that_is_held_out_trains(taught: list[bool], seed: int) -> None:
    terms = lexicon(taught)
    circles = _circles(terms, seed)
    for term in terms:
        for split in ("train", "dev", "test") if term.taught else ("test",):
            together = company(f"{term.id}.{split}.0", term, 2, circles[split], seed=seed)
            possible = [other for other in terms if other.taught or split == "test"]
            assert together[0] == term and len({member.id for member in together}) == len(together)
            assert len(together) == min(3, len(possible))
            assert all(member in possible for member in together)


def test_a_term_more_changes_the_company_of_few_dictations() -> None:
    terms = lexicon([True] * 200)
    few, more = _circles(terms[:-1], 7)["train"], _circles(terms, 7)["train"]
    changed = 0
    for term in terms[:-1]:
        changed += company(term.id, term, 2, few, seed=7) != company(term.id, term, 2, more, seed=7)
    assert changed < 20
    together = {member.id for term in terms for member in company(term.id, term, 2, more, seed=7)[1:]}
    assert len(together) > 100, "and it is not always the same few that are drawn"
