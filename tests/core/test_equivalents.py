"""What stands for characters that a model cannot write."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.equivalents import fold


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("don’t “stop”", 'don\'t "stop"'),
        ("café Sjögren Øst ß", "cafe Sjogren Ost ss"),
        ("cafe\u0301", "cafe"),
        ("½ tablet, 2½ tablets, 1 ¾ cups", "half tablet, 2 and a half tablets, 1 and three quarters cups"),
        ("5 µg at 37 °C", "5 microg at 37 degrees C"),
        ("beta–blocker m² ﬁne …", "beta-blocker m2 fine ..."),
        ("Tylenol #3", "Tylenol #3"),
        ("日本", "日本"),
    ],
)
def test_equivalents(text: str, plain: str) -> None:
    assert fold(text) == plain


@given(st.text())
def test_what_is_plain_stays(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert not any(unicodedata.category(character) in ("Mn", "Cf") for character in folded)
