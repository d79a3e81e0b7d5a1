"""Transcripts against references: jiwer as the oracle, laws of the alignment, and files of published scores."""

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.errors import ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Term
from shoptalk.core.text import words
from shoptalk.scoring import equal_words, transcripts
from shoptalk.scoring.equal_words import Row
from shoptalk.scoring.transcripts import Texts, TextScores, Wishes

CONFIG = EvaluateSection(bootstrap=100)
SENTENCES = st.lists(st.sampled_from("pain fever yeah cough rash".split()), max_size=9)
DRUGS = (
    Term(id="antibiotic", text="antibiotic", category="drugs"),
    Term(id="antibiotics", text="antibiotics", category="drugs"),
    Term(id="insulin", text="insulin", category="drugs"),
    Term(id="insulin-glargine", text="insulin glargine", category="drugs"),
)


def score(pairs: list[tuple[str, str]], wishes: Wishes | None = None) -> TextScores:
    texts = [Texts(f"{n}", f"{n}", reference, (other,)) for n, (reference, other) in enumerate(pairs)]
    return transcripts.score(texts, wishes or Wishes(), CONFIG, seed=7)


@settings(deadline=None)
@given(st.lists(st.tuples(SENTENCES.filter(bool), SENTENCES), min_size=1, max_size=5))
def test_rates_agree_with_jiwer(pairs: list[tuple[list[str], list[str]]]) -> None:
    texts = [(" ".join(reference), " ".join(other)) for reference, other in pairs]
    figures = score(texts).figures
    references, others = [reference for reference, _ in texts], [other for _, other in texts]
    assert figures["wer"].before.value == pytest.approx(jiwer.wer(references, others))
    mean = sum(jiwer.wer(reference, other) for reference, other in texts) / len(texts)
    assert figures["mean_of_files"].before.value == pytest.approx(mean)


@given(SENTENCES, SENTENCES)
def test_paired_words_are_those_of_a_shortest_alignment(reference: list[str], other: list[str]) -> None:
    same, same_other = transcripts.paired_words(reference, other)
    assert [word for word, is_same in zip(reference, same, strict=True) if is_same] == [
        word for word, is_same in zip(other, same_other, strict=True) if is_same
    ]
    if reference:
        counted = jiwer.process_words(" ".join(reference), " ".join(other))
        distance = counted.substitutions + counted.deletions + counted.insertions
        assert max(len(reference), len(other)) - sum(same) <= distance <= len(reference) + len(other) - 2 * sum(same)


def test_equal_words_are_read_by_the_rules_and_the_longest_phrase_wins() -> None:
    rows = [Row("a:2", "Okay", "OK!"), Row("a:3", "pain killers", "painkiller"), Row("a:4", "pain", "ache")]
    table = equal_words.build(rows, "leaderboard")
    assert equal_words.replace(words("Okay, pain killers or pain"), table.both) == ["ok", "painkiller", "or", "ache"]
    wishes = Wishes(equal=table)
    figures = score([("okay the pain", "OK the ache")], wishes).figures
    assert (figures["wer"].before.count, figures["wer_equal"].before.count) == (2, 0)


def test_a_row_for_references_does_not_forgive_the_recogniser() -> None:
    table = equal_words.build([Row("a:2", "flem", "phlegm", "reference")], "leaderboard")
    figures = score([("flem", "phlegm"), ("phlegm", "flem")], Wishes(equal=table)).figures
    assert figures["wer_equal"].before.count == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([Row("a:2", "?!", "ok")], "a:2: no words"),
        ([Row("a:2", "k", "ok"), Row("a:3", "K", "okay")], "a:3: 'K' counts already as 'ok'"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(rows: list[Row], said: str) -> None:
    with pytest.raises(ScoringError, match=said):
        equal_words.build(rows, "leaderboard")


def test_each_mention_belongs_to_one_term() -> None:
    reference = "antibiotics or an antibiotic with insulin glargine and insulin"
    figures = score([(reference, "antibiotics or an antibiotic with insulin and insulin")], Wishes(terms=DRUGS)).figures
    missed = figures["terms drugs"].before
    assert (missed.count, missed.of) == (1, 4)
    assert figures["invented terms"].before.count == 0


@pytest.mark.parametrize(
    ("reference", "other", "missed", "mentions"),
    [
        ("an antibiotic", "antibiotics", 0, 1),
        ("insulin glargine", "insulin", 1, 1),
        ("insulin", "insulin glargine", 0, 1),
        ("HbA1c rose", "H b a one c rose", 0, 1),
        ("CO2 was high", "C O two was high", 0, 1),
        ("Crohn's and anaemia", "crohn and anemia", 0, 2),
    ],
)
def test_written_forms_of_a_term_are_the_term(reference: str, other: str, missed: int, mentions: int) -> None:
    more = ("CO2", "HbA1c", "Crohn's", "anaemia")
    lexicon = (*DRUGS, *(Term(id=text, text=text, category="drugs") for text in more))
    counted = score([(reference, other)], Wishes(terms=lexicon)).figures["terms drugs"].before
    assert (counted.count, counted.of) == (missed, mentions)


def test_as_listed_plurals_count_only_where_the_lexicon_or_a_table_has_them() -> None:
    rows = [Row("a:2", "steroids", "steroid")]
    lexicon = (Term(id="steroid", text="steroid", category="drugs"), Term(id="dose", text="dose", category="drugs"))
    tables = [equal_words.build(rows, "clinical")]
    pairs = [("steroids and doses, a dose", "a steroid and the doses, a dose")]
    counted = score(pairs, Wishes(terms=lexicon, term_tables=tables, as_listed=True)).figures["terms"].before
    assert (counted.count, counted.of) == (0, 2)


@given(st.lists(st.sampled_from("insulin glargine antibiotic antibiotics pain".split()), min_size=1, max_size=9))
def test_an_identical_transcript_misses_and_invents_no_term(sentence: list[str]) -> None:
    text = " ".join(sentence)
    figures = score([(text, text)], Wishes(terms=DRUGS)).figures
    assert figures["invented terms"].before.count == 0
    if "terms" in figures:
        assert figures["terms"].before.count == 0 < (figures["terms"].before.of or 0) <= len(sentence)


def test_two_systems_are_compared_in_pairs() -> None:
    texts = [Texts(f"{n}", f"{n}", "pain and fever", ("pain and", "pain and fever")) for n in range(12)]
    change = transcripts.score(texts, Wishes(), CONFIG, seed=7).figures["wer"]
    assert (change.before.count, change.after.count, change.verdict) == (12, 0, "better")


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ScoringError, match="no texts"):
        transcripts.score([], Wishes(), CONFIG, seed=7)
    with pytest.raises(ScoringError, match="no words"):
        score([("", "pain")])
