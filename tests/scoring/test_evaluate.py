"""A small evaluation with every figure counted by hand."""

import pytest
from tests.scoring.sample import ROWS, TERMS, hypotheses, sample_scores

from shoptalk.errors import ScoringError
from shoptalk.recipe import EvaluateSection
from shoptalk.records import Hypothesis, Term
from shoptalk.scoring.evaluate import evaluate
from shoptalk.scoring.scores import Change, Scores


@pytest.fixture(scope="module")
def scores() -> Scores:
    return sample_scores()


def counts(change: Change) -> tuple[int, int | None, int, int | None]:
    return change.before.count, change.before.of, change.after.count, change.after.of


def test_taught_terms(scores: Scores) -> None:
    taught = scores.sets["taught"]
    assert taught.term_error is not None and taught.recall is not None and taught.precision is not None
    assert counts(taught.term_error) == (4, 5, 1, 5)
    assert counts(taught.recall) == (1, 5, 4, 5)
    assert counts(taught.precision) == (1, 1, 4, 4)
    assert taught.term_error.after.value == pytest.approx(1 / 5)
    assert taught.term_error.verdict == taught.recall.verdict == "unclear", "five carriers are too few to tell"
    assert (taught.utterances, taught.clusters) == (5, 5)


def test_the_control_and_what_was_sprayed(scores: Scores) -> None:
    untaught, general = scores.sets["untaught"], scores.sets["general"]
    assert untaught.term_error is not None
    assert counts(untaught.term_error) == (1, 2, 1, 2)
    assert untaught.term_error.verdict == "unclear"
    assert (untaught.false_insertions.before.count, untaught.false_insertions.after.count) == (0, 1)
    assert general.term_error is None
    assert counts(general.false_insertions) == (0, 14, 1, 14)
    assert general.false_insertions.after.value == pytest.approx(1000 / 14)
    assert counts(general.wer) == (1, 14, 2, 14)


def test_rows_of_terms_and_groups(scores: Scores) -> None:
    rows = {row.id: row for row in scores.terms}
    metformin = rows["metformin"]
    assert counts(metformin.recall) == (0, 3, 2, 3)
    assert counts(metformin.precision) == (0, 0, 2, 4)
    assert metformin.precision.before.value is None
    assert [(one.words, one.count) for one in metformin.instead_before] == [("met forming", 2), ("metal man", 1)]
    assert [one.words for one in metformin.instead_after] == ["met for men"]
    assert (metformin.known, rows["hba1c"].known, rows["apixaban"].taught) == (False, True, False)
    assert counts(rows["hba1c"].recall) == (1, 2, 2, 2)
    assert [(row.name, row.taught, row.terms) for row in scores.categories] == [
        ("drug", True, 1),
        ("lab", True, 1),
        ("drug", False, 1),
    ]
    assert [(row.name, row.taught) for row in scores.knowledge] == [
        ("known", True),
        ("unknown", True),
        ("unknown", False),
    ]
    assert scores.unfound == ()


def test_every_interval_holds_its_value(scores: Scores) -> None:
    changes = [one.wer for one in scores.sets.values()] + [row.recall for row in scores.terms]
    for rate in [rate for change in changes for rate in (change.before, change.after, change.difference)]:
        assert rate.value is not None and rate.low is not None and rate.high is not None
        assert rate.low <= rate.value <= rate.high


def test_scores_survive_json_and_do_not_depend_on_order(scores: Scores) -> None:
    assert Scores.model_validate_json(scores.model_dump_json()) == scores
    config = EvaluateSection(bootstrap=200)
    again = evaluate(hypotheses(0), hypotheses(1), TERMS[::-1], config, seed=5, known=frozenset({"hba1c"}))
    assert again == scores


def test_examples_show_harm_too(scores: Scores) -> None:
    assert {(one.kind, one.id) for one in scores.examples} >= {("improved", "t1"), ("worse", "g3")}


def test_a_term_that_its_sentence_does_not_hold_is_told() -> None:
    one = Hypothesis(id="x", reference="Nothing here", heard="", set="taught", term_ids=("metformin",))
    assert evaluate([one], [one], TERMS, EvaluateSection(bootstrap=100), seed=1).unfound == ("x: metformin",)


def test_a_model_that_sprays_a_term_is_worse_not_better() -> None:
    """Saying cefazolin everywhere finds it every time it is said: precision and false insertions must tell."""
    term = Term(id="cefazolin", text="cefazolin", category="drug")
    said = ["Give cefazolin now please.", "Give vancomycin now please.", "The weather is fine today."]
    rows = [(f"{kind}{n}", "taught" if n < 2 else "general", text) for n, text in enumerate(said) for kind in "abcdef"]
    before = [Hypothesis(id=name, set=chosen, reference=text, heard=text) for name, chosen, text in rows]
    after = [one.model_copy(update={"heard": one.heard + " cefazolin cefazolin"}) for one in before]
    scores = evaluate(before, after, [term], EvaluateSection(bootstrap=200), seed=1)
    [row] = scores.terms
    assert row.recall.after.value == 1.0
    assert (row.precision.verdict, row.precision.after.count, row.precision.after.of) == ("worse", 6, 42)
    assert scores.sets["general"].false_insertions.verdict == row.false_insertions.verdict == "worse"


def test_enough_carriers_tell_better_from_unclear() -> None:
    many = [
        [
            one.model_copy(update={"id": f"{one.id}.{n}", "cluster": f"{one.cluster}.{n}"})
            for one in hypotheses(side)
            for n in range(4)
        ]
        for side in (0, 1)
    ]
    taught = evaluate(*many, TERMS, EvaluateSection(bootstrap=200), seed=1).sets["taught"]
    assert taught.term_error is not None and taught.recall is not None
    assert (taught.clusters, taught.term_error.verdict, taught.recall.verdict) == (20, "better", "better")
    assert taught.term_error.difference.high is not None and taught.term_error.difference.high < 0


def test_nothing_to_score_and_an_unknown_set() -> None:
    config = EvaluateSection(bootstrap=100)
    with pytest.raises(ScoringError, match="no hypotheses"):
        evaluate([], [], TERMS, config, seed=1)
    strange = [Hypothesis(id="x", reference="a", heard="a", set="tought")]
    with pytest.raises(ScoringError, match="tought"):
        evaluate(strange, strange, TERMS, config, seed=1)
    with pytest.raises(ScoringError, match="missing after tuning: g3"):
        evaluate(hypotheses(0), [one for one in hypotheses(1) if one.id != ROWS[-1][1]], TERMS, config, seed=1)
