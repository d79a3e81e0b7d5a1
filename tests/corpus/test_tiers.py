"""Overrides, the lexicon, the dictionary, stems, rules: the first that has a pronunciation counts, and says so."""

from pathlib import Path

import pytest

from shoptalk.core.errors import LexiconError
from shoptalk.core.records import Term
from shoptalk.corpus import overrides, tiers
from shoptalk.corpus.overrides import Override

DICTIONARY = [Term(id="d", text="metformin", category="drug", ipa=("mɛtfˈɔːɹmɪn",))]


def drug(text: str, **columns: object) -> Term:
    return Term.model_validate({"id": text, "text": text, "category": "drug", **columns})


def decided(term: Term, *said: Override) -> Term:
    return tiers.decide([term], overrides=said, dictionary=DICTIONARY)[0]


def test_the_first_tier_that_has_a_pronunciation_counts() -> None:
    said = Override(text="Metformin", respelling="met-FOR-min", verified_by="A. Nurse")
    with_ipa = decided(drug("metformin", ipa="mˈɛtfəmɪn"))
    assert (with_ipa.pronounced_by, with_ipa.ipa) == ("lexicon", ("mˈɛtfəmɪn",))
    heard = decided(with_ipa, said)
    assert (heard.pronounced_by, heard.ipa, heard.verified_by) == ("override", ("mɛtˈfɔːɹmɪn",), "A. Nurse")
    known = decided(drug("Metformin"))
    assert (known.pronounced_by, known.ipa, known.verified_by) == ("dictionary", DICTIONARY[0].ipa, "")
    assert decided(drug("vildagliptin")).pronounced_by == "stem"
    assert decided(drug("aspirin")).pronounced_by == "g2p"
    assert decided(drug("aspirin", ipa="ˈeɪ", verified_by="A. Nurse")).verified_by == "A. Nurse"
    assert decided(drug("metformin", pronounced_by="override", verified_by="A. Nurse")).verified_by == ""
    assert decided(drug("vildagliptin", category="role")).pronounced_by == "g2p"


def test_several_right_entries_are_all_accepted_in_order_and_verified_only_if_each_was() -> None:
    first = Override(text="metformin", ipa="ˈeɪ", verified_by="A. Nurse")
    second = Override(text="metformin", ipa="ˈaɪ", verified_by="B. Doctor")
    term = decided(drug("metformin"), first, second)
    assert term.ipa == ("ˈeɪ", "ˈaɪ") and term.verified_by == "A. Nurse, B. Doctor"
    assert decided(drug("metformin"), first, Override(text="metformin", ipa="ˈɪ")).verified_by == ""


def test_what_somebody_found_wrong_is_not_used_while_another_tier_has_one() -> None:
    wrong = Override(text="metformin", ipa="ˈeɪ", verdict="wrong", verified_by="A. Nurse")
    assert decided(drug("metformin", ipa=["ˈeɪ", "ˈaɪ"]), wrong).ipa == ("ˈaɪ",)
    assert decided(drug("metformin", ipa="ˈeɪ"), wrong).pronounced_by == "dictionary"
    by_stem = Override(text="vildagliptin", ipa="ˈeɪ", verdict="wrong")
    assert decided(drug("vildagliptin"), by_stem).pronounced_by == "g2p"
    notes = tiers.remarks([drug("metformin")], [wrong, by_stem])
    assert len(notes) == 2 and "vildagliptin" in notes[0] and "nobody found anything right" in notes[1]


def test_the_console_is_told_how_many_terms_each_tier_speaks() -> None:
    terms = [decided(drug(text)) for text in ("metformin", "vildagliptin", "aspirin", "heparin")]
    assert tiers.told(terms) == (
        "pronounced 1 by the dictionary, 1 by the stems of drug names, 2 by letter-to-sound rules; "
        "nobody has listened to 4 of 4 (`shoptalk audition`)"
    )


WRITTEN = """\
# ours
- text: metformin
  respelling: met-FOR-min  # as in the ward
  verified_by: A. Nurse
  verified_on: 2026-11-27

# of the pharmacy
- {text: apixaban, ipa: əpˈɪksəbˌæn}
"""


def test_an_entry_is_put_in_place_of_its_own_and_all_else_stays_as_people_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "pronunciations.yaml"
    path.write_text(WRITTEN)
    overrides.put(path, Override(text="insulin", ipa="ˈɪnsəlɪn", verdict="wrong"))
    overrides.put(path, Override(text="METFORMIN", ipa="mɛtˈfɔːɹmɪn", verified_by="B. Doctor"))
    content = path.read_text()
    assert "# ours" in content and "\n\n# of the pharmacy\n- {text: apixaban, ipa: əpˈɪksəbˌæn}\n" in content
    read = overrides.read(path)
    assert [entry.text for entry in read] == ["METFORMIN", "apixaban", "insulin"]
    assert [entry.verified_by for entry in read] == ["B. Doctor", "", ""]
    overrides.remove(path, "insulin", "ˈɪnsəlɪn")
    overrides.remove(path, "metformin", "mɛtˈfɔːɹmɪn")
    assert path.read_text() == "# ours\n\n# of the pharmacy\n- {text: apixaban, ipa: əpˈɪksəbˌæn}\n"


def test_a_first_entry_makes_the_file_and_an_indented_list_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    entry = Override(text="no: #3", ipa="ˈnoʊ")
    overrides.put(path, entry)
    assert overrides.read(path) == [entry] and path.read_text().startswith("# Pronunciations")
    path.write_text("  - text: a\n    ipa: ˈeɪ\n")
    overrides.put(path, entry)
    assert [read.text for read in overrides.read(path)] == ["a", "no: #3"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("- text: a\n  ipa: ˈeɪ\n  respelling: AY\n", r":1: .*either ipa or respelling"),
        ("- text: a\n- text: b\n  ipa: ˈeɪ\n", r":1: .*either ipa or respelling"),
        ("- text: a\n  respelling: met-for\n", r":1: .*capitals"),
        ("- text: a\n  ipa: ʘ\n", r":1: .*cannot speak"),
        ("- text: a\n  ipa: ˈeɪ\n  verdict: perhaps\n", r":1: verdict"),
        ("- text: a\n  ipa: ˈeɪ\n  verified: yes\n", r":1: verified"),
        ("- text: a\n  ipa: ˈeɪ\n  verified_on: soon\n", r":1: verified_on"),
        ("a: b\n", "is a list of entries"),
        ("- [\n", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_names_its_lines(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "pronunciations.yaml"
    path.write_text(content)
    with pytest.raises(LexiconError, match=named):
        overrides.read(path)


def test_entries_that_share_a_line_are_read_but_not_edited(tmp_path: Path) -> None:
    path = tmp_path / "pronunciations.yaml"
    path.write_text("[{text: a, ipa: ˈeɪ}, {text: b, ipa: ˈaɪ}]\n")
    assert len(overrides.read(path)) == 2
    with pytest.raises(LexiconError, match="a line of its own"):
        overrides.put(path, Override(text="c", ipa="ˈeɪ"))
