"""Lexicons made of lists, transcripts and misses, through the command line."""

import json
from pathlib import Path

import pytest
from tests.cli.working import shoptalk
from tests.corpus.test_term_imports import CONSO, ORDER, REL

from shoptalk.core.records import Term
from shoptalk.corpus import lexicon, rxnorm

pytest.importorskip("spellchecker")

# real mishearings of Parakeet TDT 0.6B V2 in PriMock57 (CC BY 4.0), as published by medical-stt-eval (MIT)
REFERENCES = {
    "one": "I use the brown inhaler, Clenil. And the blue one is Ventolin.",
    "two": "So the Clenil inhaler, and some amoxicillin for the infection.",
    "three": "You have asthma and you take Clenil. Any hyperthyroidism in the family?",
}
HEARD = {
    "one": "I use the brown inhaler, clinol. And the blue one is ventilin.",
    "two": "So the clinol inhaler, and some moxicillin for the infection.",
    "three": "You have asthma and you take clenol. Any hypothyroidism in the family?",
}
TERMS = "asthma\nClenil\nVentolin\namoxicillin\nhyperthyroidism\nhypothyroidism\nmetformin\n"


def folder(path: Path, texts: dict[str, str]) -> Path:
    path.mkdir()
    for name, text in texts.items():
        (path / f"{name}.txt").write_text(text)
    return path


def by_text(path: Path) -> dict[str, Term]:
    return {term.text: term for term in lexicon.load([path])}


def test_from_misses_of_references_and_transcripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references, heard = folder(tmp_path / "references", REFERENCES), folder(tmp_path / "heard", HEARD)
    (tmp_path / "terms.txt").write_text(TERMS)
    to = tmp_path / "missed.yaml"
    arguments = ("lexicon", "from-misses", references, heard, "--lexicon", tmp_path / "terms.txt", "--to", to)
    assert shoptalk(*arguments) == 0
    terms = by_text(to)
    assert list(terms)[0] == "Clenil"
    assert list(terms)[-3:] == ["asthma", "hypothyroidism", "metformin"]
    assert terms["Clenil"].confused_with == ("clinol", "clenol")
    assert terms["hyperthyroidism"].confused_with == ("hypothyroidism",)
    assert terms["amoxicillin"].confused_with == ("moxicillin",)
    assert terms["Clenil"].weight > terms["asthma"].weight
    assert "# missed 3 of 3: clinol (2), clenol (1)" in to.read_text()
    assert "missed 3 of 3" in capsys.readouterr().out
    assert shoptalk(*arguments) == 2
    assert "is there already" in capsys.readouterr().err


def test_from_misses_without_a_lexicon_takes_the_terms_of_the_references(tmp_path: Path) -> None:
    texts = {f"{name}{turn}": text for turn in range(3) for name, text in REFERENCES.items()}
    heard = {f"{name}{turn}": text for turn in range(3) for name, text in HEARD.items()}
    to = tmp_path / "missed.jsonl"
    paths = (folder(tmp_path / "references", texts), folder(tmp_path / "heard", heard))
    assert shoptalk("lexicon", "from-misses", *paths, "--to", to) == 0
    terms = by_text(to)
    assert terms["Clenil"].confused_with == ("clinol", "clenol")
    assert terms["Ventolin"].weight > terms["asthma"].weight


def a_run(path: Path, *, patient: bool = False) -> Path:
    (path / "70-scores").mkdir(parents=True)
    terms = [
        Term(id="clenil", text="Clenil", category="drug"),
        Term(id="asthma", text="asthma", category="condition", taught=False),
    ]
    (path / "10-lexicon.jsonl").write_text("".join(term.model_dump_json() + "\n" for term in terms))
    for name, texts in (("after", HEARD), ("before", dict.fromkeys(REFERENCES, "nothing of it"))):
        lines = []
        for id_, reference in REFERENCES.items():
            line = {"id": id_, "reference": reference, "heard": texts[id_], "set": "taught", "patient": patient}
            lines += [json.dumps(line), json.dumps(line | {"id": f"{id_}@0dB", "heard": "", "set": "noisy"})]
        (path / "70-scores" / f"{name}.jsonl").write_text("\n".join(lines))
    return path


def test_from_misses_of_a_run(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    for model in ("tuned", "base"):
        assert shoptalk("lexicon", "from-misses", run, "--model", model, "--to", tmp_path / f"{model}.yaml") == 0
    tuned, base = by_text(tmp_path / "tuned.yaml"), by_text(tmp_path / "base.yaml")
    assert list(tuned) == ["Clenil", "asthma"]
    assert tuned["Clenil"].confused_with == ("clinol", "clenol")
    assert tuned["asthma"].weight < base["asthma"].weight
    assert not tuned["asthma"].taught, "what was held out stays so"
    assert "# recognised 1 of 1 times" in (tmp_path / "tuned.yaml").read_text(), "sentences under noise do not count"


def test_words_of_patients_are_not_written(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", patient=True)
    assert shoptalk("lexicon", "from-misses", run, "--to", tmp_path / "a.yaml") == 0
    written = (tmp_path / "a.yaml").read_text()
    assert "clinol" not in written
    assert "missed 3 of 3" in written


def test_mine_counts_and_leaves_out_what_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["A flat white and a cortado, please.", "Cortado for me.", "One cortado, one flat white.", "Flat white!"]
    (tmp_path / "orders.txt").write_text("\n".join(lines))
    (tmp_path / "known.txt").write_text("flat white\n")
    to = tmp_path / "mined.yaml"
    assert shoptalk("lexicon", "mine", tmp_path / "orders.txt", "--known", tmp_path / "known.txt", "--to", to) == 0
    assert list(by_text(to)) == ["cortado"]
    assert "# 3 times in 3 texts" in to.read_text()
    assert by_text(to)["cortado"].weight > 1
    assert shoptalk("lexicon", "mine", tmp_path / "orders.txt", "--at-least", "9", "--to", tmp_path / "b.yaml") == 2
    assert "lower --at-least" in capsys.readouterr().err


def test_import_of_several_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rrf").mkdir()
    (tmp_path / "rrf" / rxnorm.NAMES).write_text(CONSO)
    (tmp_path / "rrf" / rxnorm.RELATIONS).write_text(REL)
    (tmp_path / "icd.txt").write_text(ORDER)
    (tmp_path / "mine.txt").write_text("Zelvastatin\nkettlosis\n")
    to = tmp_path / "all.yaml"
    sources = [tmp_path / "mine.txt", tmp_path / "rrf", tmp_path / "icd.txt"]
    assert shoptalk("lexicon", "import", *sources, "--category", "condition", "--to", to) == 0
    terms = by_text(to)
    assert list(terms)[:2] == ["Zelvastatin", "kettlosis"]
    assert terms["kettlosis"].category == "condition"
    assert {"quorabine", "Duoquor", "drellitis"} <= set(terms)
    assert "zelvastatin" not in terms, "the user's own comes first"
    assert "'velamuran α-2'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt", "a.yaml"])
def test_every_form_can_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "terms.yaml").write_text("- flat white\n- cortado\n")
    assert shoptalk("lexicon", "import", tmp_path / "terms.yaml", "--to", tmp_path / name) == 0
    assert list(by_text(tmp_path / name)) == ["flat white", "cortado"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("lexicon", "needs --recipe and --run"),
        ("lexicon from-misses nowhere", "no such file; give the folder of a run whose evaluation is done"),
        ("lexicon from-misses a b c", "3 paths"),
        ("lexicon from-misses run --common", "leave out --lexicon and --common"),
        ("lexicon import nothing.csv", "no such file"),
        ("lexicon import rows.csv", "unknown columns name; known: id, text"),
        ("lexicon import rows.csv --column text=title", "has no column title; its columns are name"),
        ("lexicon import terms.txt --column text=title", "--column is for tables"),
        ("lexicon import terms.txt --tty IN", "--sab and --tty are for RxNorm"),
        ("lexicon import terms.txt --words 2", "--code and --words are for ICD-10-CM"),
        ("lexicon import terms.txt --category Über", "category 'Über': write it in lower-case letters"),
        ("lexicon mine nothing", "no such file"),
        ("lexicon mine empty.txt", "empty.txt: no texts; give transcripts"),
        ("lexicon mine nothing --to rows.csv", "rows.csv: is there already"),
        ("lexicon mine nothing --to mined.docx", "mined.docx: a lexicon is written as .txt, .csv"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    (tmp_path / "rows.csv").write_text("name\nflat white\n")
    (tmp_path / "terms.txt").write_text("flat white\ncortado\n")
    (tmp_path / "empty.txt").write_text("")
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    assert shoptalk(*line.split()) == 2
    assert sorted(tmp_path.iterdir()) == before
    assert told in capsys.readouterr().err
