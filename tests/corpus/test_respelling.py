"""Respellings as IPA, and what is wrong with one, named."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from shoptalk.core.errors import TermError
from shoptalk.corpus.pronunciation import check_ipa
from shoptalk.corpus.respelling import is_respelling, to_ipa


@pytest.mark.parametrize(
    ("respelling", "ipa"),
    [
        ("met-FOR-min", "mɛtˈfɔːɹmɪn"),
        ("a-PIX-a-ban", "əˈpɪksəbæn"),
        ("eye-byoo-PROE-fen", "aɪbjuːˈpɹoʊfɛn"),
        ("oh-MEP-ruh-zole", "oʊˈmɛpɹəzoʊl"),
        ("sem-uh-GLOO-tide", "sɛməˈɡluːtaɪd"),
        ("lye-SIN-oh-pril", "laɪˈsɪnoʊpɹɪl"),
        ("KAT", "ˈkæt"),
        ("ku-RAY-zee", "kuːˈɹeɪziː"),
        ("IN-suh-lin GLAR-jeen", "ˈɪnsəlɪn ˈɡlɑːɹdʒiːn"),
        ("SER-tra-leen", "ˈsɜːɹtɹəliːn"),
        ("KWIN-uh-pril", "ˈkwɪnəpɹɪl"),
        ("YEL-oh", "ˈjɛloʊ"),
    ],
)
def test_a_respelling_is_read(respelling: str, ipa: str) -> None:
    assert to_ipa(respelling) == ipa
    check_ipa(ipa)


@pytest.mark.parametrize(
    ("respelling", "named"),
    [
        ("met-for-min", "no syllable is in capitals"),
        ("MET-FOR-min", "MET, FOR are in capitals"),
        ("met-FR-min", "'FR' has no vowel"),
        ("metiform", "second vowel"),
        ("met-FOR-mín", "'í'"),
        ("", "empty"),
        ("- -", "no letters"),
    ],
)
def test_what_is_wrong_with_a_respelling_is_named(respelling: str, named: str) -> None:
    with pytest.raises(TermError, match=named):
        to_ipa(respelling)


def test_ipa_is_no_respelling() -> None:
    assert is_respelling("met-FOR-min") and is_respelling("kat") and is_respelling("IN-suh-lin GLAR-jeen")
    assert not is_respelling("mɛtˈfɔːɹmɪn") and not is_respelling("/kat/") and not is_respelling("")


@settings(max_examples=150, deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyzABEFORMINTU-' é1", max_size=16))
def test_any_text_is_ipa_that_can_be_spoken_or_a_named_error(text: str) -> None:
    try:
        ipa = to_ipa(text)
    except TermError as error:
        assert "respelling" in str(error)
    else:
        check_ipa(ipa)
