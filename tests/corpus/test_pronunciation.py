import pytest

from shoptalk.core.errors import TermError
from shoptalk.core.records import Term
from shoptalk.corpus.pronunciation import check_ipa, pronunciations


@pytest.mark.parametrize(
    "ipa", ["mɛtˈfɔːrmɪn", "/əˈpɪksəbæn/", "t͡ʃɛɹ", "ɡəˈbæp.ən.tɪn", "ˌhiː.məˈɡloʊ.bɪn ˈeɪ wʌn ˈsiː"]
)
def test_english_ipa_is_accepted(ipa: str) -> None:
    check_ipa(ipa)


@pytest.mark.parametrize(
    ("ipa", "named"), [("mɛtʘɔn", "U\\+0298"), ("met-FOR-min", "'F'"), ("123", "'1'"), ("ptk", "no vowel")]
)
def test_what_cannot_be_spoken_is_named(ipa: str, named: str) -> None:
    with pytest.raises(TermError, match=named):
        check_ipa(ipa)


def test_table_uses_the_spoken_form_and_refuses_contradictions() -> None:
    a1c = Term(id="a1c", text="HbA1c", category="lab", spoken=("Hemoglobin A one C",), ipa="ˌeɪ wʌn ˈsiː")
    plain = Term(id="x", text="Aspirin", category="drug")
    assert pronunciations([a1c, plain]) == {"hemoglobin a one c": "ˌeɪ wʌn ˈsiː"}
    with pytest.raises(TermError, match="two pronunciations"):
        pronunciations([a1c, a1c.model_copy(update={"id": "again", "ipa": "ˈeɪ"})])
