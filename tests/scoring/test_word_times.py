"""Word times against known ones: rightly heard words alone, signed where it is said so."""

import pytest

from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Word
from shoptalk.scoring.word_times import matched, word_times

CONFIG = EvaluateSection(bootstrap=100)


def timed(*words: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(word=word, start_s=start_s, end_s=end_s) for word, start_s, end_s in words)


SAID = timed(("I'm", 0.1, 0.3), ("taking", 0.3, 0.7), ("metformin,", 0.7, 1.4), ("twice.", 1.6, 2.0))
HEARD = timed(("im", 0.1, 0.2), ("Taking", 0.34, 0.72), ("met", 0.7, 1.0), ("forming", 1.0, 1.4), ("twice", 1.5, 1.9))


def hypothesis(said: tuple[Word, ...], heard: tuple[Word, ...]) -> Hypothesis:
    return Hypothesis(id="a", reference="r", heard="h", set="taught", said=said, words=heard)


def test_rightly_heard_words_alone_are_compared() -> None:
    pairs = matched(SAID, HEARD)
    assert [(said.word, heard.word) for said, heard in pairs] == [("taking", "Taking"), ("twice.", "twice")]


def test_errors_are_in_milliseconds() -> None:
    found = word_times([hypothesis(SAID, HEARD), hypothesis((), HEARD), hypothesis(SAID, ())], CONFIG, seed=1)
    assert found is not None and found.words == 2
    assert found.start_median == pytest.approx((40 + 100) / 2)
    assert found.start_p90 == pytest.approx(40 + 0.9 * 60)
    assert found.end_median == pytest.approx((20 + 100) / 2)
    assert found.end_p90 == pytest.approx(20 + 0.9 * 80)
    assert found.start_late_median == pytest.approx((40 - 100) / 2)


def test_where_no_times_are_known_there_is_no_error() -> None:
    assert word_times([], CONFIG, seed=1) is None
    assert word_times([hypothesis((), HEARD), hypothesis(SAID, timed(("other", 0, 1)))], CONFIG, seed=1) is None
