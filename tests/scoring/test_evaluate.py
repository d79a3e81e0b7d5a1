"""A small evaluation with every figure counted by hand."""

import pytest
from tests.scoring.sample import ROWS, TERMS, hypotheses, sample_scores

from shoptalk.core.errors import ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Change, Scores
from shoptalk.scoring.evaluate import compare, evaluate


@pytest.fixture(scope="module")
def scores() -> Scores:
    return sample_scores()


def counts(change: Change) -> tuple[int, int | None, int, int | None]:
    return change.before.count, change.before.of, change.after.count, change.after.of


def test_taught_terms(scores: Scores) -> None:
    taught = scores.sets["taught"]
    assert taught.terms is not None
    assert counts(taught.terms.error) == (4, 5, 1, 5)
    assert counts(taught.terms.recall) == (1, 5, 4, 5)
    assert counts(taught.terms.precision) == (1, 1, 4, 4)
    assert counts(taught.terms.f1) == (2, 6, 8, 9)
    assert taught.terms.error.after.value == pytest.approx(1 / 5)
    assert taught.terms.error.verdict == taught.terms.recall.verdict == "unclear", "five carriers are too few to tell"
    assert (taught.utterances, taught.clusters) == (5, 5)


def test_the_control_and_what_was_sprayed(scores: Scores) -> None:
    untaught, general = scores.sets["untaught"], scores.sets["general"]
    assert untaught.terms is not None
    assert counts(untaught.terms.error) == (1, 2, 1, 2)
    assert untaught.terms.error.verdict == "unclear"
    assert (untaught.false_insertions.before.count, untaught.false_insertions.after.count) == (0, 1)
    assert general.terms is None
    assert counts(general.false_insertions) == (0, 14, 1, 14)
    assert general.false_insertions.after.value == pytest.approx(1000 / 14)
    assert counts(general.wer) == (1, 14, 2, 14)


def test_rows_of_terms_and_groups(scores: Scores) -> None:
    rows = {row.id: row for row in scores.terms}
    metformin = rows["metformin"]
    assert counts(metformin.scores.recall) == (0, 3, 2, 3)
    assert counts(metformin.scores.precision) == (0, 0, 2, 4)
    assert metformin.scores.precision.before.value is None
    assert [(one.words, one.count) for one in metformin.instead_before] == [("met forming", 2), ("metal man", 1)]
    assert [one.words for one in metformin.instead_after] == ["met for men"]
    assert (metformin.known, rows["hba1c"].known, rows["apixaban"].taught) == (False, True, False)
    assert counts(rows["hba1c"].scores.recall) == (1, 2, 2, 2)
    parts = {
        by: [(row.name, row.set, row.count) for row in scores.slices if row.by == by] for by in ("category", "known")
    }
    assert parts["category"] == [("drug", "taught", 1), ("lab", "taught", 1), ("drug", "untaught", 1)]
    assert parts["known"] == [("known", "taught", 1), ("unknown", "taught", 1), ("unknown", "untaught", 1)]
    assert scores.unfound == ()


def test_every_interval_holds_its_value(scores: Scores) -> None:
    changes = [one.wer for one in scores.sets.values()] + [row.scores.recall for row in scores.terms]
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
    assert row.scores.recall.after.value == 1.0
    assert (row.scores.precision.verdict, row.scores.precision.after.count, row.scores.precision.after.of) == (
        "worse",
        6,
        42,
    )
    assert scores.sets["general"].false_insertions.verdict == row.scores.false_insertions.verdict == "worse"


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
    assert taught.terms is not None
    assert (taught.clusters, taught.terms.error.verdict, taught.terms.recall.verdict) == (20, "better", "better")
    assert taught.terms.error.difference.high is not None and taught.terms.error.difference.high < 0


def test_nothing_to_score_and_missing_sides() -> None:
    config = EvaluateSection(bootstrap=100)
    with pytest.raises(ScoringError, match="no hypotheses"):
        evaluate([], [], TERMS, config, seed=1)
    with pytest.raises(ScoringError, match="missing after tuning: g3"):
        evaluate(hypotheses(0), [one for one in hypotheses(1) if one.id != ROWS[-1][1]], TERMS, config, seed=1)


def test_noise_is_a_curve_silence_a_rate_and_an_imported_set_a_set() -> None:
    clean = [one.model_copy(update={"duration_s": 3.0, "voice": "ab"[n % 2]}) for n, one in enumerate(hypotheses(0))]
    more = [
        clean[0].model_copy(update={"id": "t1@10dB", "set": "noisy", "snr_db": 10.0, "heard": "start"}),
        Hypothesis(id="s1", reference="", heard="thank you", set="silence", duration_s=30.0),
        Hypothesis(id="x1", reference="Hello there.", heard="hello", set="visits", duration_s=1.0),
    ]
    scores = evaluate(clean + more, clean + more, TERMS, EvaluateSection(bootstrap=100), seed=1)
    assert list(scores.sets) == ["taught", "untaught", "general", "visits"]
    assert scores.silence is not None and scores.silence.words.after.value == pytest.approx(4.0)
    assert [(one.words, one.count) for one in scores.silence.made_up] == [("thank", 1), ("you", 1)]
    curve = [(row.name, row.count, row.wer and row.wer.after.value) for row in scores.slices if row.by == "snr"]
    assert curve == [("10 dB", 1, pytest.approx(3 / 4)), ("clean", 1, pytest.approx(1 / 2))]
    voices = [(row.name, row.count) for row in scores.slices if row.by == "voice" and row.set == "taught"]
    assert voices == [("a", 3), ("b", 2)]


def test_another_recogniser_is_compared_on_what_it_heard() -> None:
    heard = [one for one in hypotheses(0) if one.set == "taught"]
    other = compare("other", heard, hypotheses(1), TERMS, EvaluateSection(bootstrap=100), seed=1, speed=None)
    assert list(other.sets) == ["taught"] and other.sets["taught"].terms is not None
    assert counts(other.sets["taught"].terms.error) == (4, 5, 1, 5)


def test_nothing_that_a_patient_said_or_that_was_heard_of_it_is_kept() -> None:
    private = [[one.model_copy(update={"patient": True}) for one in hypotheses(side)] for side in (0, 1)]
    hidden = evaluate(*private, TERMS, EvaluateSection(bootstrap=100), seed=1)
    assert not hidden.examples
    assert not any(row.missed or row.instead_before or row.instead_after for row in hidden.terms)
    assert (
        hidden.terms[0].scores
        == evaluate(hypotheses(0), hypotheses(1), TERMS, EvaluateSection(bootstrap=100), seed=1).terms[0].scores
    )
    open_report = EvaluateSection(bootstrap=100, report_private=True)
    assert evaluate(*private, TERMS, open_report, seed=1).examples
