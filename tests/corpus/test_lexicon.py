"""Stage 10: every wrong row is named, and the draw of held-out terms depends on (seed, id) only."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoptalk.core.errors import LexiconError
from shoptalk.core.records import Term
from shoptalk.corpus import lexicon

ROOT = Path(__file__).parents[2]


def test_the_same_term_from_csv_yaml_and_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "id,text,category,spoken,variants,dose,route,weight\n"
        "a1c,HbA1c,lab,hemoglobin A one C|A one C,hemoglobin A1c,5 mg|10 mg,by mouth,2\n"
    )
    (tmp_path / "a.yaml").write_text(
        "- {id: a1c, text: HbA1c, category: lab, spoken: [hemoglobin A one C, A one C], variants: [hemoglobin A1c],\n"
        '   facts: {dose: ["5 mg", "10 mg"], route: [by mouth]}, weight: 2}\n'
    )
    [term] = lexicon.load([tmp_path / "a.csv"])
    (tmp_path / "a.jsonl").write_text(term.model_dump_json() + "\n\n")
    assert term.facts == {"dose": ("5 mg", "10 mg"), "route": ("by mouth",)}
    assert lexicon.load([tmp_path / "a.yaml"]) == lexicon.load([tmp_path / "a.jsonl"]) == [term]


def test_all_problems_of_a_file_at_once_with_rows(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(
        "text,category,variants,weight\n"
        "metformin,drug,,1\n"
        ",drug,,1\n"
        "☃,drug,,1\n"
        "glipizide,drug,METFORMIN,1\n"
        "apixaban,drug,,heavy\n"
        "Metformin,drug,,1\n"
        "too,few\n"
    )
    with pytest.raises(LexiconError) as caught:
        lexicon.load([tmp_path / "bad.csv"])
    message = str(caught.value)
    for row, words in (
        (3, "empty term"),
        (4, "'☃'"),
        (5, "occurs already in"),
        (6, "weight"),
        (7, "id 'metformin'"),
        (8, "cells"),
    ):
        assert any(f"bad.csv:{row}:" in line and words in line for line in message.splitlines()), (row, words, message)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "text,category,colour\nx,drug,red\n", "unknown columns colour"),
        ("a.yaml", "- {text: metformin, category: drug, colour: red}\n", "unknown columns colour"),
        ("a.yaml", "- {text: metformin, category: drug\n", "not YAML"),
        ("a.yaml", "text: metformin\n", "list of terms"),
        ("a.yaml", "[]\n", "no terms"),
        ("a.jsonl", '{"text": "metformin", "category": "drug"}\n{"text":\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", json.dumps({"text": "B₁₂", "category": "lab"}), "cannot be spoken"),
        ("a.jsonl", json.dumps({"text": "metformin", "category": "My Drug"}), "names a slot"),
        ("a.txt", "metformin", ".csv, .yaml or .jsonl"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(LexiconError, match=words):
        lexicon.load([tmp_path / name])


def test_rows_of_yaml_are_lines(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# terms\n- text: metformin\n  category: drug\n\n- text: ''\n  category: drug\n")
    with pytest.raises(LexiconError, match=r"a\.yaml:5: empty term"):
        lexicon.load([tmp_path / "a.yaml"])


def test_only_selects_and_knows_its_ids(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,category\nmetformin,drug\napixaban,drug\n")
    assert [term.id for term in lexicon.load([tmp_path / "a.csv"], only=["apixaban"])] == ["apixaban"]
    with pytest.raises(LexiconError, match="'asprin'"):
        lexicon.load([tmp_path / "a.csv"], only=["asprin"])


def test_the_shipped_lexicon() -> None:
    terms = lexicon.load([ROOT / "lexicons/clinical.yaml"])
    counts = Counter(term.category for term in terms)
    assert len(terms) >= 160
    assert counts["drug"] >= 80
    assert set(counts) == {"drug", "procedure", "anatomy", "condition", "lab", "role"}
    assert all(term.ipa and term.facts for term in terms if term.category == "drug")
    demo = (ROOT / "lexicons/demo-terms.txt").read_text().split()
    assert len(lexicon.load([ROOT / "lexicons/clinical.yaml"], only=demo)) == len(demo) == 24


terms_of_two_kinds = st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["drug", "lab"])), min_size=1, unique=True)


@given(terms_of_two_kinds, st.floats(0, 0.99), st.integers(0, 9))
def test_hold_out_keeps_one_of_each_category_and_ignores_order(
    named: list[tuple[int, str]], part: float, seed: int
) -> None:
    terms = [Term(id=f"{kind}-{number}", text=f"{kind} {number}", category=kind) for number, kind in named]
    drawn = lexicon.hold_out(terms, part=part, seed=seed)
    assert [term.id for term in drawn] == [term.id for term in terms]
    assert {term.category for term in drawn if term.taught} == {term.category for term in terms}
    backwards = lexicon.hold_out(terms[::-1], part=part, seed=seed)
    assert {t.id for t in drawn if t.taught} == {t.id for t in backwards if t.taught}
    for kind in ("drug", "lab"):
        group = [term for term in drawn if term.category == kind]
        assert not group or sum(not term.taught for term in group) == min(round(part * len(group)), len(group) - 1)
