"""Every form of a lexicon: what people save is read, and what is written is read back."""

import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoptalk.core.errors import LexiconError
from shoptalk.core.records import UNSORTED, Term
from shoptalk.corpus import lexicon, term_files

ROOT = Path(__file__).parents[2]
LIST = """# What our bar sells
flat white
  café au lait\x20\x20

- cold brew
2. Gibraltar,
V60
"""
TEXTS = ["flat white", "café au lait", "cold brew", "Gibraltar", "V60"]


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        codecs.BOM_UTF8 + LIST.encode(),
        LIST.encode("utf-16"),
        LIST.encode("utf-16-le"),
        LIST.encode("cp1252"),
        LIST.replace("\n", "\r\n").encode(),
        LIST.replace("\n", "\r").encode(),
    ],
)
def test_a_plain_list_as_people_save_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "terms.txt").write_bytes(content)
    terms = lexicon.load([tmp_path / "terms.txt"])
    assert [term.text for term in terms] == TEXTS
    assert {term.category for term in terms} == {UNSORTED}


def test_all_wrong_lines_of_a_list_at_once(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("flat white\n\nFlat White\nmocha\tdrink\n☃\ncortado\n")
    with pytest.raises(LexiconError) as caught:
        lexicon.load([tmp_path / "terms.txt"])
    told = [line for line in str(caught.value).splitlines() if "terms.txt:" in line]
    places = [line.partition("terms.txt:")[2][:1] for line in told]
    assert sorted(set(places)) == ["3", "4", "5"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.yaml", "a.jsonl"])
def test_terms_without_a_category(tmp_path: Path, name: str) -> None:
    contents = {
        "a.csv": "text,category\nflat white,\ncortado,drink\n",
        "a.tsv": "text\tcategory\nflat white\t\ncortado\tdrink\n",
        "a.yaml": "- flat white\n- {text: cortado, category: drink}\n",
        "a.jsonl": '{"text": "flat white"}\n{"text": "cortado", "category": "drink"}\n',
    }
    (tmp_path / name).write_text(contents[name])
    categories = {term.text: term.category for term in lexicon.load([tmp_path / name])}
    assert categories == {"flat white": UNSORTED, "cortado": "drink"}


words = st.text("abcdefghijklmnopqrstuvwxyzABCZéü", min_size=1, max_size=9)
phrases = st.lists(words, min_size=1, max_size=3).map(" ".join)
several = st.lists(phrases, max_size=2, unique_by=str.casefold).map(tuple)
filled = st.lists(phrases, min_size=1, max_size=2).map(tuple)
facts = st.dictionaries(st.sampled_from(term_files.FACTS), filled, max_size=2)


@st.composite
def lexicons(draw: st.DrawFn) -> list[Term]:
    """Terms that can stand in one lexicon, each row with as much as a row may say."""
    terms = []
    for number, text in enumerate(draw(st.lists(phrases, min_size=1, max_size=4))):
        content: dict[str, object] = {
            "category": draw(st.sampled_from([UNSORTED, "drug", "my_own"])),
            "spoken": draw(several),
            "ipa": draw(st.sampled_from([(), ("kɔːtˈɑːdəʊ",)])),
            "confused_with": draw(several),
            "facts": draw(facts),
            "weight": draw(st.floats(0.01, 100)),
            "risk": draw(st.sampled_from(["low", "medium", "high"])),
        }
        own = f"{text} {'abcd'[number]}x"  # no text twice
        id_ = draw(st.sampled_from([term_files.slug(own), f"own-{number}"]))
        terms.append(Term(id=id_, text=own, **content))
    if draw(st.booleans()):
        terms[0] = Term(**(terms[0].model_dump() | {"taught": True}))
    return terms


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.yaml", "a.jsonl"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(terms=lexicons())
def test_what_is_written_is_read_back(tmp_path: Path, name: str, terms: list[Term]) -> None:
    remarks = {terms[0].id: "3 of 4 missed # here: {there}"}
    term_files.write(tmp_path / name, terms, remarks=remarks, head="Made by hand\nfor a test")
    again = lexicon.load([tmp_path / name])
    assert again == terms
    assert ["taught" in term.model_fields_set for term in again] == [
        "taught" in term.model_fields_set for term in terms
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.yaml", "a.jsonl"])
def test_the_shipped_lexicon_is_read_back(tmp_path: Path, name: str) -> None:
    terms = lexicon.load([ROOT / "lexicons/clinical.yaml"])
    term_files.write(tmp_path / name, terms)
    assert lexicon.load([tmp_path / name]) == terms


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(phrases, min_size=1, max_size=5, unique_by=term_files.slug).filter(
        lambda t: all(map(term_files.slug, t))
    )
)
def test_a_plain_list_is_read_back(tmp_path: Path, texts: list[str]) -> None:
    terms = [Term(id=term_files.slug(text), text=text, category=UNSORTED) for text in texts]
    term_files.write(tmp_path / "a.txt", terms, head="a list")
    assert lexicon.load([tmp_path / "a.txt"]) == terms


@pytest.mark.parametrize(
    ("name", "term", "told"),
    [
        ("a.txt", Term(id="a", text="a", category="drug"), "cannot hold the category of 'a'"),
        ("a.txt", Term(id="3-beans", text="#3 beans", category=UNSORTED), "would not be read as it is"),
        ("a.csv", Term(id="a", text="a", category="drug", variants=("b|c",)), "cannot stand in a cell"),
        ("a.csv", Term(id="a", text="a", category="drug", facts={"colour": ("red",)}), "no column for the colour"),
        ("a.docx", Term(id="a", text="a", category="drug"), "end its name with one of these"),
    ],
)
def test_what_a_form_cannot_hold_is_named(tmp_path: Path, name: str, term: Term, told: str) -> None:
    with pytest.raises(LexiconError, match=told):
        term_files.write(tmp_path / name, [term])
    assert not list(tmp_path.iterdir())
