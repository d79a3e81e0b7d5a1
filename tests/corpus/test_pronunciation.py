import pytest

from shoptalk.core.errors import TermError
from shoptalk.core.records import Term
from shoptalk.corpus import verbalise
from shoptalk.corpus.pronunciation import check_ipa, drawn, pronunciations


def no_rules(text: str) -> str:
    raise AssertionError(f"{text!r}: asked of the letter-to-sound rules")


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
    a1c = Term(id="a1c", text="HbA1c", category="lab", spoken=("Hemoglobin A one C",), ipa=("ˌeɪ wʌn ˈsiː",))
    plain = Term(id="x", text="Aspirin", category="drug")
    assert pronunciations([a1c, plain], no_rules) == {"hemoglobin a one c": ("ˌeɪ wʌn ˈsiː",)}
    covid = Term(id="covid", text="COVID-19", category="condition", ipa=("ˈeɪ",))
    in_sentences = verbalise.spoken("COVID-19").casefold()
    assert in_sentences != "covid-19" and pronunciations([covid], no_rules) == {in_sentences: ("ˈeɪ",)}
    with pytest.raises(TermError, match="in another term"):
        pronunciations([a1c, a1c.model_copy(update={"id": "again", "ipa": ("ˈeɪ",)})], no_rules)


@pytest.mark.parametrize(
    ("written", "read"), [("ˈeɪ", ("ˈeɪ",)), (["ˈeɪ", "ˈaɪ"], ("ˈeɪ", "ˈaɪ")), (None, ()), ("", ()), ([], ())]
)
def test_a_pronunciation_may_be_written_as_one_text_as_several_or_not_at_all(
    written: object, read: tuple[str, ...]
) -> None:
    term = Term.model_validate({"id": "x", "text": "x", "category": "drug", "ipa": written})
    assert term.ipa == read
    assert Term.model_validate_json(term.model_dump_json()) == term


def test_each_accepted_pronunciation_has_its_share_of_training_and_the_first_all_the_rest() -> None:
    accepted = ("ˈeɪ", "ˈaɪ", "ˈoʊ")
    spoken = [drawn(accepted, f"t-{number}", "train", seed=7) for number in range(300)]
    assert min(spoken.count(ipa) for ipa in accepted) >= 75  # 100 expected; five standard deviations below are 59
    assert spoken == [drawn(accepted, f"t-{number}", "train", seed=7) for number in range(300)]
    assert {drawn(accepted, f"t-{number}", split, seed=7) for number in range(99) for split in ("dev", "test")} == {
        accepted[0]
    }
