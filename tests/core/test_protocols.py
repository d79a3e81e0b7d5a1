"""What is asked of a recogniser: options for each recording, and refusals by name."""

import numpy as np
import pytest

from shoptalk.core.errors import BoostError, RecognitionError
from shoptalk.core.protocols import MAX_CHARACTERS, MAX_WEIGHT, PLAIN, Options, Phrase, options_of_each, refuse_extras

AUDIO = [np.zeros(160, np.float32)] * 3


def test_no_options_are_the_defaults_of_each_recording() -> None:
    assert options_of_each((), AUDIO) == [PLAIN] * 3
    assert options_of_each((), []) == []
    assert Options(phrases=(), alternatives=0, timestamps=True) == PLAIN


def test_options_are_given_for_each_recording_or_for_none() -> None:
    own = [Options(alternatives=1), PLAIN, Options(timestamps=False)]
    assert options_of_each(own, AUDIO) == own
    with pytest.raises(RecognitionError, match="2 options for 3 recordings"):
        options_of_each(own[:2], AUDIO)


@pytest.mark.parametrize("asked", [Options(phrases=(Phrase("apixaban"),)), Options(alternatives=2)])
def test_what_a_recogniser_has_not_is_refused_by_its_name(asked: Options) -> None:
    refuse_extras([PLAIN, Options(timestamps=False)], "Moonshine")
    with pytest.raises(RecognitionError, match="Moonshine has neither phrases nor alternatives"):
        refuse_extras([PLAIN, asked], "Moonshine")


@pytest.mark.parametrize(
    ("text", "weight"),
    [(" ", 1.0), ("a" * (MAX_CHARACTERS + 1), 1.0), ("a", 0.0), ("a", MAX_WEIGHT + 0.1), ("a", float("nan"))],
)
def test_a_phrase_that_cannot_be_boosted_is_refused(text: str, weight: float) -> None:
    with pytest.raises(BoostError):
        Phrase(text, weight)
