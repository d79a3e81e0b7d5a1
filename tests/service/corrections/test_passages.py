"""Passages around corrected parts: what they have, and where they are cut."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shoptalk.core.records import Word
from shoptalk.service.corrections.passages import AROUND_S, LONGEST_S, Part, passages


def words(count: int) -> list[Word]:
    """A word each second, half a second long."""
    return [Word(word=f"w{place}", start_s=float(place), end_s=place + 0.5) for place in range(count)]


def test_a_short_recording_is_one_passage_with_all_its_words() -> None:
    parts = [Part("a", 1.0, 1.5, "one"), Part("b", 3.0, 4.5, "three four")]
    [passage] = passages(words(6), parts, 6.0)
    assert passage == (0.0, 6.0, "w0 one w2 three four w5", ("a", "b"))


def test_a_long_recording_is_cut_between_words_around_its_parts() -> None:
    parts = [Part("a", 20.0, 20.5, "here"), Part("b", 70.0, 70.5, "there")]
    first, second = passages(words(100), parts, 100.0)
    assert first.ids == ("a",) and second.ids == ("b",)
    assert first.text.split()[0] == "w14" and "here" in first.text and first.text.split()[-1] == "w26"
    assert (first.start_s, first.end_s) == (13.75, 26.75)


def test_a_part_without_words_adds_them_and_one_without_text_removes_them() -> None:
    [passage] = passages(words(3), [Part("a", 0.6, 0.9, "new"), Part("b", 1.0, 1.5, "")], 3.0)
    assert passage.text == "w0 new w2"
    [passage] = passages([], [Part("a", 0.0, 1.0, "all")], 3.0)
    assert passage == (0.0, 3.0, "all", ("a",))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 120), st.sets(st.integers(0, 119), min_size=1, max_size=8))
def test_every_part_is_in_one_passage_and_no_word_is_cut(count: int, places: set[int]) -> None:
    parts = [Part(f"c{place}", float(place), place + 0.5, f"p{place}") for place in sorted(places) if place < count]
    found = list(passages(words(count), parts, float(count)))
    assert [id_ for passage in found for id_ in passage.ids] == [part.id for part in parts]
    for passage in found:
        said = [place for place in range(count) if passage.start_s <= place and place + 0.5 <= passage.end_s]
        expected = " ".join(f"p{place}" if place in places else f"w{place}" for place in said)
        assert passage.text == expected
        if len(passage.ids) == 1 and count > LONGEST_S:
            assert passage.end_s - passage.start_s <= 2 * AROUND_S + 3
