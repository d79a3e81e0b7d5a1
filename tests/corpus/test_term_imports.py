"""RxNorm, ICD-10-CM and tables of others made terms. The rows are invented; only the formats are real."""

from pathlib import Path

import pytest

from shoptalk.core.errors import ImportFormatError
from shoptalk.corpus import icd10, lexicon, rxnorm, term_files, term_imports


def conso(concept: int, kind: str, text: str, *, sab: str = "RXNORM", suppress: str = "N", lat: str = "ENG") -> str:
    """A line of RXNCONSO.RRF: 18 fields, each with a bar behind it."""
    fields = [str(concept), lat, "", "", "", "", "", f"{concept}9", "", str(concept), "", sab, kind, str(concept)]
    return "|".join([*fields, text, "", suppress, "4096", ""]) + "\n"


def relation(first: int, second: int, name: str, *, suppress: str = "") -> str:
    """A line of RXNREL.RRF: 16 fields; the second concept has the named relation to the first."""
    fields = [str(first), "", "CUI", "RO", str(second), "", "CUI", name, "77", "", "RXNORM", "RXNORM", "", ""]
    return "|".join([*fields, suppress, "4096", ""]) + "\n"


CONSO = (
    conso(1, "IN", "zelvastatin")
    + conso(1, "SY", "Zelvastatin substance")
    + conso(1, "IN", "ZELVASTATIN", sab="OTHER")
    + conso(2, "IN", "quorabine")
    + conso(3, "BN", "Zelvor")
    + conso(4, "BN", "Duoquor")
    + conso(5, "BN", "Oldquor", suppress="O")
    + conso(6, "IN", "velamuran α-2")
    + conso(7, "PIN", "quorabine hydrochloride")
    + conso(8, "IN", "kvorabin", lat="GER")
    + conso(9, "BN", "Freequor")
)
REL = (
    relation(1, 3, "tradename_of")
    + relation(3, 1, "has_tradename")
    + relation(2, 4, "tradename_of")
    + relation(1, 4, "tradename_of")
    + relation(2, 5, "tradename_of")
    + relation(2, 9, "tradename_of", suppress="O")
)


def texts(rows: object) -> dict[str, tuple[str, ...]]:
    return {term.text: term.variants for term in term_imports.usable(rows).terms}  # type: ignore[arg-type]


def test_ingredients_of_rxnorm_with_their_brands(tmp_path: Path) -> None:
    (tmp_path / rxnorm.NAMES).write_text(CONSO)
    expected = {"zelvastatin": (), "quorabine": (), "Zelvor": (), "Duoquor": (), "Freequor": ()}
    assert texts(rxnorm.read(tmp_path)) == expected, "without relations, brands are terms of their own"
    (tmp_path / rxnorm.RELATIONS).write_text(REL)
    expected = {"zelvastatin": ("Zelvor",), "quorabine": (), "Duoquor": (), "Freequor": ()}
    assert texts(rxnorm.read(tmp_path)) == expected
    assert texts(rxnorm.read(tmp_path / rxnorm.NAMES)) == expected
    assert texts(rxnorm.read(tmp_path, kinds=("PIN",))) == {"quorabine hydrochloride": ()}
    imported = term_imports.usable(rxnorm.read(tmp_path))
    assert {term.category for term in imported.terms} == {"drug"}
    [refused] = imported.refused
    assert f"{rxnorm.NAMES}:8: text 'velamuran α-2' has the symbols 'α'" in refused


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("1|ENG|zelvastatin\n", r"RXNCONSO\.RRF:1: 3 fields between bars, where RXNCONSO\.RRF of RxNorm has 18"),
        (conso(1, "IN", "zelvastatin") + "\nhello\n", r"RXNCONSO\.RRF:3: 1 fields"),
        (conso(1, "IN", "zelvastatin", sab="MINE"), r"no name of the source RXNORM .* the sources there are MINE"),
        ("", "the sources there are none"),
    ],
)
def test_what_is_no_rxnorm_is_named(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / rxnorm.NAMES).write_text(content)
    with pytest.raises(ImportFormatError, match=told):
        list(rxnorm.read(tmp_path))
    with pytest.raises(ImportFormatError, match="no such file"):
        list(rxnorm.read(tmp_path / "elsewhere"))


def order_line(number: int, code: str, long: str, *, billable: bool = True) -> str:
    return f"{number:05} {code:<7} {int(billable)} {long[:60]:<60} {long}\n"


ORDER = (
    order_line(1, "Q90", "Brackwater fever", billable=False)
    + order_line(2, "Q900", "Brackwater fever due to Palunia major, biovar minor")
    + order_line(3, "Q909", "Brackwater fever, unspecified")
    + order_line(4, "K501", "Kettering's disease of small intestine without complications")
    + order_line(5, "K509", "Other specified drellitis")
    + order_line(6, "K512", "Unspecified drellitis")
    + order_line(7, "M100", "Acute crystal arthropathy of unspecified shoulder and upper arm, initial encounter")
    + order_line(8, "C830", "Nodular Hobarth lymphoma [nodal]")
    + order_line(9, "C831", "Hobarth lymphoma, extranodal")
    + order_line(10, "W999", "Struck by falling kite")
    + order_line(11, "Z999", "Encounter for kite adjustment")
)
TABULAR = """Chapter 11 Diseases of the Digestive System (K00-K95)
K50 Drellitis
   Includes: granular drellitis
   Excludes1: ulcerative kettlosis (K51.-)
              ventral kettlosis
K50.0 Drellitis of small intestine
      Drellitis of duodenum
      Regional ileal drellitis
   Use additional code to identify manifestations
K50.9 Drellitis, unspecified
      Drellitis NOS
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_conditions_of_the_order_file(tmp_path: Path, newline: str) -> None:
    path = tmp_path / "icd10cm-order.txt"
    path.write_bytes(ORDER.replace("\n", newline).encode())
    assert icd10.is_icd10(path.read_text())
    said = set(texts(icd10.read(path, most_words=5)))
    assert said == {
        "brackwater fever",
        "Kettering's disease of small intestine",
        "drellitis",
        "nodular Hobarth lymphoma",
        "Hobarth lymphoma",
    }
    assert "Kettering's disease of small intestine" not in texts(icd10.read(path))
    assert set(texts(icd10.read(path, codes=("C83", "W")))) == {
        "nodular Hobarth lymphoma",
        "Hobarth lymphoma",
        "struck by falling kite",
    }
    assert not any(code in text for text in said for code in ("Q90", "K50", "C83"))


def test_conditions_of_the_tabular_list_and_the_code_file(tmp_path: Path) -> None:
    path = tmp_path / "tabular.txt"
    path.write_text(TABULAR)
    assert icd10.is_icd10(TABULAR)
    assert list(texts(icd10.read(path, most_words=5))) == [
        "drellitis",
        "granular drellitis",
        "drellitis of small intestine",
        "drellitis of duodenum",
        "regional ileal drellitis",
    ]
    path.write_text("K500    Drellitis of small intestine\nK509    Drellitis, unspecified\n")
    assert icd10.is_icd10(path.read_text())
    assert list(texts(icd10.read(path))) == ["drellitis of small intestine", "drellitis"]


@pytest.mark.parametrize(
    "text", ["flat white\ncortado\n", "V60\nB12\nA1c\n", "T20 brew\nflat white\ncortado\nmocha\n", ""]
)
def test_a_plain_list_is_no_icd10(tmp_path: Path, text: str) -> None:
    assert not icd10.is_icd10(text)
    (tmp_path / "terms.txt").write_text("flat white\n")
    with pytest.raises(ImportFormatError, match=r"terms\.txt: no line begins with a code"):
        list(icd10.read(tmp_path / "terms.txt"))


def test_a_table_with_columns_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "menu.csv"
    path.write_bytes(
        "\ufeffArtikel;Preis;Gruppe;Auch\nCafé crème;3,20;coffee;\nFlat White;3,80;;flattie|FW\n;1;;\n".encode()
    )
    rows = term_imports.table_rows(path, {"text": "artikel", "category": "Gruppe", "variants": "Auch"})
    terms = term_imports.usable(rows).terms
    assert [(term.text, term.category, term.variants) for term in terms] == [
        ("Café crème", "coffee", ()),
        ("Flat White", "term", ("flattie", "FW")),
    ]
    with pytest.raises(ImportFormatError, match=r"menu\.csv:1: has no column name; its columns are artikel, preis"):
        list(term_imports.table_rows(path, {"text": "Name"}))
    with pytest.raises(ImportFormatError, match="colour=…: a lexicon has no such column"):
        list(term_imports.table_rows(path, {"colour": "Preis"}))


def test_what_is_imported_stands_in_a_lexicon(tmp_path: Path) -> None:
    rows = [
        ("a:1", {"text": "zelvastatin", "variants": ["Zelvor", "Zel★"]}),
        ("a:2", {"text": "Zelvor"}),
        ("a:3", {"text": "quorabine", "variants": ["zelvor", "Quor"]}),
        ("a:4", {"text": "ZELVASTATIN"}),
        ("a:5", {"text": "★"}),
    ]
    done = term_imports.usable(rows)
    assert {term.text: term.variants for term in done.terms} == {"zelvastatin": ("Zelvor",), "quorabine": ("Quor",)}
    assert (done.repeated, len(done.refused)) == (3, 2)
    told = " ".join(term_imports.told(done))
    assert "3 names that occur twice" in told
    assert "2 rows cannot be terms" in told
    assert "a:5" in told
    term_files.write(tmp_path / "a.yaml", done.terms)
    assert lexicon.load([tmp_path / "a.yaml"]) == done.terms
