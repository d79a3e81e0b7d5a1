"""Drug names by their stems: stress where speakers put it, and every form of a name gives IPA that can be spoken."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from shoptalk.core.records import Term
from shoptalk.corpus import stems
from shoptalk.corpus.pronunciation import check_ipa, ipa_of
from shoptalk.integrations import espeak
from shoptalk.integrations.kokoro_phonemes import from_ipa


def sounds(name: str) -> str:
    ipa = stems.pronounce(name, espeak.ipa)
    assert ipa is not None, name
    return from_ipa(ipa, "en-us")


@pytest.mark.parametrize(
    ("name", "kokoro"),
    [
        ("canagliflozin", "kˌænəɡlɪflˈOzɪn"),
        ("vildagliptin", "vˌɪldəɡlˈɪptɪn"),
        ("moxifloxacin", "mˌɑksɪflˈɑksəsɪn"),
        ("quinapril", "kwˈɪnəpɹɪl"),
        ("olmesartan", "ˌOlmɪsˈɑɹtæn"),
        ("nadolol", "nˈædəlˌɔl"),
        ("felodipine", "fɛlˈOdɪpˌin"),
        ("rabeprazole", "ɹəbˈɛpɹəzˌOl"),
        ("palonosetron", "pˌælənˈOsɪtɹˌɑn"),
        ("ibandronate", "IbˈændɹənˌAt"),
        ("lurasidone", "lʊɹˈæsɪdˌOn"),
        ("gefitinib", "ɡəfˈɪtɪnɪb"),
        ("edoxaban", "ɪdˈɑksəbˌæn"),
        ("infliximab", "ɪnflˈɪksɪmˌæb"),
    ],
)
def test_names_that_no_rule_was_written_for(name: str, kokoro: str) -> None:
    assert stress_of(sounds(name)) == stress_of(kokoro)
    assert ending_of(sounds(name)) == ending_of(kokoro)


def stress_of(kokoro: str) -> int:
    """Vowels behind the primary stress."""
    return sum(sound in "AIOQWYaeiouæɑəɔɛɜɪʊʌ" for sound in kokoro.partition("ˈ")[2])


def ending_of(kokoro: str) -> str:
    return kokoro[-3:]


LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=stems.MIN_BEFORE, max_size=12)


@settings(max_examples=60, deadline=None)
@given(LETTERS, st.sampled_from(["gliflozin", "opril", "olol", "dipine", "mab", "azole", "xaban", "avir", "caine"]))
def test_whatever_stands_before_a_stem_the_ipa_can_be_spoken_and_has_one_stress(before: str, stem: str) -> None:
    ipa = stems.pronounce(before + stem, espeak.ipa)
    if ipa is not None:
        check_ipa(ipa)
        assert ipa.count("ˈ") == 1
        assert from_ipa(ipa, "en-us") and from_ipa(ipa, "en-gb")


@pytest.mark.parametrize("stem", stems.STEMS, ids=lambda stem: stem.letters)
def test_the_sound_of_each_stem_can_be_spoken(stem: stems.Stem) -> None:
    check_ipa(stem.ipa)
    assert stem.ipa.count("ˈ") <= 1


@pytest.mark.parametrize("name", ["aspirin", "statin", "Tylenol #3", "mab", "", "ab", "naïvamab"])
def test_names_without_a_stem_are_left_to_the_rules_of_english(name: str) -> None:
    assert stems.stem_of(name) is None
    assert stems.pronounce(name, espeak.ipa) is None


def test_only_what_may_be_a_drug_has_a_stem_and_each_word_of_a_phrase_is_looked_at() -> None:
    drug = Term(id="a", text="Atorvastatin calcium", category="drug", pronounced_by="stem")
    assert stems.has_stem(drug)
    assert not stems.has_stem(drug.model_copy(update={"category": "role"}))
    first, second = ipa_of(drug, espeak.ipa)[0].split()
    assert first == stems.pronounce("atorvastatin", espeak.ipa)
    assert second == espeak.ipa("calcium")
