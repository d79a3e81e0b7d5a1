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
        ("a.txt", "metformin\n" + "very " * 50 + "long\n", r"a\.txt:2: .* has 254 characters; a term has at most 200"),
        ("a.jsonl", json.dumps({"text": "metformin", "category": "My Drug"}), "names a slot"),
        ("a.docx", "metformin", r"\.txt, \.csv, \.tsv, \.yaml or \.jsonl"),
        ("a.txt", "metformin\nCO₂\n", r"a\.txt:2: text 'CO₂' .* cannot be spoken.*\n.*move such terms to a \.csv"),
        ("a.txt", "metformin\tdrug\n", r"a\.txt:1: a tab"),
        ("a.txt", "# nothing\n\n", "no terms"),
        ("a.txt", "flat white\ncortado\nFlat White\n", r"a\.txt:3: text 'flat white' occurs already in .*a\.txt:1"),
        ("a.yaml", "- flat white\n- 5\n", r"a\.yaml:2: a term is a text or a mapping"),
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


CASES = ROOT / "tests" / "cases"


def held_out(terms: list[Term], *, part: float, seed: int) -> set[str]:
    return {term.id for term in lexicon.hold_out(terms, part=part, seed=seed) if not term.taught}


def test_nested_terms_are_held_out_together_or_not_at_all() -> None:
    nested = lexicon.load([CASES / "lex-nested.csv"])
    assert held_out(nested, part=0.34, seed=1) == set(), "one term of the three would train or leak the others"
    more = [*nested, *(Term(id=f"t{number}", text=f"drugname{number}", category="drug") for number in range(9))]
    drawn = [held_out(more, part=0.5, seed=seed) for seed in range(30)]
    family = {term.id for term in nested}
    assert {len(names) for names in drawn} == {6}
    assert {len(names & family) for names in drawn} == {0, 3}


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (Term(id="a", text="antibiotic", category="drug"), Term(id="b", text="antibiotics", category="drug")),
        (Term(id="a", text="beta blocker", category="drug"), Term(id="b", text="betablocker-X", category="drug",
                                                               variants=("beta-blocker twenty",))),
        (Term(id="a", text="bedtime", category="time"), Term(id="b", text="melatonin", category="drug",
                                                             facts={"frequency": ("at bedtime",)})),
        (Term(id="a", text="insulin", category="drug"), Term(id="b", text="insulin level", category="lab")),
    ],
)  # fmt: skip
def test_whatever_names_another_term_is_of_its_family(inner: Term, outer: Term) -> None:
    others = [Term(id=f"{kind}{n}", text=f"{kind}name{n}", category=kind) for kind in ("drug", "lab", "time")
              for n in range(5)]  # fmt: skip
    for seed in range(20):
        assert len(held_out([*others, inner, outer], part=0.5, seed=seed) & {inner.id, outer.id}) in (0, 2)


def test_the_users_word_counts() -> None:
    assert held_out(lexicon.load([CASES / "lex-force.csv"]), part=0.67, seed=1) == set()
    terms = [Term(id=name, text=name, category="drug") for name in ("one", "two", "three", "four")]
    taught = [term.model_copy(update={"taught": term.id == "four"}) for term in terms]
    assert held_out(taught, part=0.0, seed=1) == {"one", "two", "three"}
    forced = [*terms[:2], terms[2].model_copy(update={"taught": True}), terms[3].model_copy(update={"taught": False})]
    for seed in range(20):
        assert held_out(forced, part=0.5, seed=seed) in ({"four", "one"}, {"four", "two"})


def test_contradictions_are_named_with_their_lines(tmp_path: Path) -> None:
    rows = "insulin,drug,true\nmetformin,drug,\ninsulin lispro,drug,\ninsulin glargine,drug,false\n"
    (tmp_path / "a.csv").write_text("text,category,taught\n" + rows)
    with pytest.raises(LexiconError, match=r"a\.csv:2: 'insulin' is `taught: true`, but 'insulin glargine' .*csv:5\)"):
        lexicon.load([tmp_path / "a.csv"])
    assert lexicon.load([tmp_path / "a.csv"], only=["insulin", "metformin"])
    (tmp_path / "b.csv").write_text("text,category,taught\ninsulin,drug,false\n")
    with pytest.raises(LexiconError, match="nothing is left to train"):
        lexicon.load([tmp_path / "b.csv"])


def test_a_category_of_which_less_is_held_out_is_told() -> None:
    nested = lexicon.hold_out(lexicon.load([CASES / "lex-nested.csv"]), part=0.34, seed=1)
    [remark] = lexicon.held_out_remarks(nested, part=0.34)
    assert "category 'drug': 0 of 3 terms are held out, not 34%" in remark
    assert lexicon.held_out_remarks(nested, part=0.0) == []


@pytest.mark.parametrize("name", ["cp1252", "semicolon-bom", "trailing", "blankrows", "caps", "tylenol", "iv"])
def test_lexicons_that_were_refused_are_read(name: str) -> None:
    terms = lexicon.load([CASES / f"lex-{name}.csv"])
    assert terms[0].text == {"cp1252": "naïvamab", "tylenol": "Tylenol #3", "iv": "docetaxel"}.get(name, "finerenone")


def test_every_form_of_lexicon_takes_one_pronunciation_or_several(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,category,ipa\none,lab,ˈeɪ\ntwo,lab,ˈeɪ | ˈaɪ\nnone,lab,\n")
    (tmp_path / "b.yaml").write_text(
        "- {text: three, category: lab, ipa: ˈeɪ}\n- {text: four, category: lab, ipa: [ˈeɪ, ˈaɪ]}"
    )
    (tmp_path / "c.jsonl").write_text('{"text": "five", "category": "lab", "ipa": "ˈeɪ"}\n')
    terms = lexicon.load([tmp_path / name for name in ("a.csv", "b.yaml", "c.jsonl")])
    single, both = ("ˈeɪ",), ("ˈeɪ", "ˈaɪ")
    assert [term.ipa for term in terms] == [single, both, (), single, both, single]


def test_a_pronunciation_that_cannot_be_spoken_is_told_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,category,ipa,spoken\nmetformin,drug,mɛtfɔʁmin,\n++,drug,,plus\n")
    with pytest.raises(LexiconError, match=r"a\.csv:2: pronunciation .*\n.*a\.csv:3: term '.*' has no words"):
        lexicon.load([tmp_path / "a.csv"])
