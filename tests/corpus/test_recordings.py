"""A user's own recordings at stage 50: by speaker, with their terms, without what must not be trained."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.errors import ManifestError
from shoptalk.core.records import Example, Term
from shoptalk.corpus import recordings
from shoptalk.corpus.recordings import OwnSet, place

TERMS = (
    Term(id="metformin", text="metformin", category="drug"),
    Term(id="apixaban", text="apixaban", category="drug", variants=("Eliquis",), taught=False),
)
LETTERS = str.maketrans("0123456789", "ghijklmnop")
TESTS = ["We stopped the metformin before her operation."]


def line(name: str, text: str, speaker: str, **more: Any) -> Example:
    return Example(id=name, audio=Path(f"{name}.flac"), duration_s=1.0, text=text, speaker=speaker, **more)


def lines(speakers: int, each: int = 3) -> list[Example]:
    made = []
    for speaker in range(speakers):
        for number in range(each):
            letters = hashlib.sha256(f"{speaker} {number}".encode()).hexdigest().translate(LETTERS)
            text = f"{letters[:8]} {letters[8:14]} {letters[14:22]} {letters[22:27]} {letters[27:34]} metformin."
            made.append(line(f"{speaker}-{number}", text, f"s{speaker}"))
    return made


def leaks(placed: recordings.Placed, **more: Any) -> list[str]:
    nobody: dict[str, Any] = {"tested_speakers": frozenset(), "rehearsed_speakers": frozenset(), "trained_texts": ()}
    return recordings.leaks(placed.lists, **{**nobody, **more})


@settings(max_examples=30)
@given(st.integers(4, 12), st.floats(0, 0.3), st.floats(0, 0.3))
def test_no_speaker_is_in_two_parts_and_each_part_has_what_was_asked_for(
    speakers: int, dev: float, test: float
) -> None:
    placed = place([OwnSet("calls", lines(speakers), dev, test)], TERMS, [])
    assert not leaks(placed)
    assert ("dev" in placed.lists) == (dev > 0)
    assert ("test-calls" in placed.lists) == (test > 0)
    kept = sum(len(own) for own in placed.lists.values())
    assert kept + placed.left_out.total() == 3 * speakers


def test_a_line_gets_its_terms_and_keeps_what_it_is() -> None:
    own = [
        line("a", "Her Eliquis was stopped.", "ann", patient=True),
        line("b", "Metformin twice daily, please.", "bob"),
    ]
    placed = place([OwnSet("calls", own, 0, 0)], TERMS, [])
    assert placed.left_out == {"says a held-out term": 1}
    [kept] = placed.lists["train"]
    assert (kept.id, kept.term_ids, kept.cluster, kept.voice) == ("calls/b", ("metformin",), "bob", "bob")
    assert (kept.source, kept.set, kept.patient) == ("calls", "calls", False)
    patients = place([OwnSet("calls", [own[1].model_copy(update={"patient": True})], 0, 0)], TERMS, [])
    assert patients.lists["train"][0].patient


def test_a_held_out_term_may_be_tested() -> None:
    own = [line(str(number), "The apixaban is new to her.", f"s{number}") for number in range(4)]
    placed = place([OwnSet("calls", own, 0, 0.25)], TERMS, [])
    assert [kept.term_ids for kept in placed.lists["test-calls"]] == [("apixaban",)]
    assert "train" not in placed.lists
    assert placed.left_out == {"says a held-out term": 3}


def test_sentences_of_tests_are_left_out_and_short_ones_are_everybodys() -> None:
    own = [
        line("a", "We stopped metformin before the operation.", "ann"),
        line("b", "Yes, I do.", "ann"),
        line("c", "Is the clinic open tomorrow morning?", "bob"),
    ]
    placed = place([OwnSet("calls", own, 0, 0)], TERMS, [*TESTS, "Yes, I do."])
    assert [kept.id for kept in placed.lists["train"]] == ["calls/b", "calls/c"]
    assert placed.left_out == {"is near a sentence of a test": 1}


def test_a_speaker_of_two_sets_stays_in_one_part() -> None:
    sets = [OwnSet("a", lines(5), 0.2, 0.2), OwnSet("b", lines(5), 0, 0.4), OwnSet("c", lines(4), 0.5, 0)]
    assert not leaks(place(sets, TERMS, []))


def test_speakers_and_sentences_on_both_sides_are_told() -> None:
    placed = place([OwnSet("calls", lines(4), 0, 0.25)], TERMS, [])
    [tested] = {kept.speaker for kept in placed.lists["test-calls"]}
    trained = placed.lists["train"][0].speaker
    assert f"speaker {trained} of own recordings is in test and train" in leaks(
        placed, tested_speakers=frozenset([trained])
    )
    assert f"speaker {tested} of own recordings is in rehearsal and test" in leaks(
        placed, rehearsed_speakers=frozenset([tested])
    )
    text = placed.lists["test-calls"][0].text
    assert any("is trained on" in leak for leak in leaks(placed, trained_texts=[text.upper()]))


@pytest.mark.parametrize(("speakers", "dev", "test"), [(1, 0.1, 0), (2, 0.1, 0.1), (1, 0, 0.5)])
def test_too_few_speakers_are_told(speakers: int, dev: float, test: float) -> None:
    with pytest.raises(ManifestError, match=f"calls: has {speakers} speakers, too few"):
        place([OwnSet("calls", lines(speakers), dev, test)], TERMS, [])


def test_a_set_of_which_nothing_is_left_is_told() -> None:
    own = [line("a", "She takes apixaban every day.", "ann")]
    with pytest.raises(ManifestError, match="nothing of it can be used .1 says a held-out term"):
        place([OwnSet("calls", own, 0, 0)], TERMS, [])
