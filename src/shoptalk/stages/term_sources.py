"""Terms from sources for `shoptalk init` and `shoptalk lexicon import`, `mine` and `from-misses`; a lexicon written."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from shoptalk.core import files, resources, tables
from shoptalk.core.errors import LexiconError, ManifestError
from shoptalk.core.records import UNSORTED, Hypothesis, Term
from shoptalk.core.sets import NOISY
from shoptalk.corpus import general_english, icd10, lexicon, mining, misses, rxnorm, term_files, term_imports
from shoptalk.corpus.general_english import Frequencies
from shoptalk.corpus.misses import Evidence
from shoptalk.corpus.weights import weight
from shoptalk.scoring.term_scores import TermTable, tabulate
from shoptalk.stages import text_scores
from shoptalk.stages.table import BY_NAME

SENTENCES = Path("models/shoptalk-base-en-tiny/training-text.txt")
"""What ships of general English in sentences; it fills gaps of the list of counts."""
SIDES = {"tuned": "after.jsonl", "base": "before.jsonl"}
"""The models whose misses a run has, and their hypotheses in its product 70."""


@dataclass(frozen=True)
class Gathered:
    """Terms to be written."""

    terms: Sequence[Term]
    remarks: Mapping[str, str] = field(default_factory=dict)
    """By id what is said beside a term."""
    told: Sequence[str] = ()
    """What the user should know, a sentence each."""


@dataclass(frozen=True)
class Wishes:
    """How `read_sources` reads."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """For a column of a lexicon the table's own name for it."""
    category: str = ""
    """Of terms whose source gives none."""
    rxnorm_source: str = rxnorm.SOURCE
    rxnorm_kinds: tuple[str, ...] = rxnorm.KINDS
    icd10_codes: tuple[str, ...] = ()
    most_words: int = icd10.MOST_WORDS


@cache
def general() -> Frequencies:
    """Frequencies in general English. `MissingToolError`: the extra `corpus` is not installed."""
    from shoptalk.integrations import word_frequencies

    for name in (SENTENCES, SENTENCES.with_name(SENTENCES.name + tables.COMPRESSED)):
        path = resources.locate(name)
        if path.is_file():
            return general_english.frequencies(word_frequencies.load(), tables.read_text(path).splitlines())
    return general_english.frequencies(word_frequencies.load())


def require_free(path: Path) -> None:
    """`LexiconError`: something lies where a lexicon is to be written, or its name tells no form."""
    if path.exists():
        raise LexiconError(f"{path}: is there already; move it away, or name another file with --to")
    term_files.require_form(path)


def read_sources(paths: Sequence[Path], wishes: Wishes) -> Gathered:
    """The terms of lexicons, RxNorm and ICD-10-CM, told apart by their names and content.

    What a user wrote for Shoptalk must be right (`LexiconError` names each wrong row). Rows of other people's lists
    that cannot be terms are left out, and told.
    """
    _require_use(paths, wishes)
    own = [path for path in paths if not _is_foreign(path, wishes)]
    terms = lexicon.load(own) if own else []
    foreign = term_imports.usable(row for path in paths if path not in own for row in _foreign_rows(path, wishes))
    known = {name.casefold() for term in terms for name in (term.id, term.text, *term.variants)}
    new = [term for term in foreign.terms if not known & {name.casefold() for name in (term.id, term.text)}]
    new = [_without_variants(term, known) for term in new]
    told = term_imports.told(foreign)
    if foreign.terms and not new:
        told.append("all imported terms are in the lexicon already")
    result = [_sorted_into(term, wishes.category) for term in (*terms, *new)]
    if not result:
        raise LexiconError("\n  ".join([f"{', '.join(map(str, paths))}: no terms", *told]))
    return Gathered(result, told=told)


def _require_use(paths: Sequence[Path], wishes: Wishes) -> None:
    """`LexiconError`: an option that is for no source that is given, or a category that is no name."""
    problems = list(lexicon.category_problems(wishes.category)) if wishes.category else []
    if wishes.columns and not any(_is_own_table(path, wishes) for path in paths):
        problems.append("--column is for tables; give a .csv or .tsv, or leave it out")
    of_rxnorm = (wishes.rxnorm_source, wishes.rxnorm_kinds) != (rxnorm.SOURCE, rxnorm.KINDS)
    if of_rxnorm and not any(map(_is_rxnorm, paths)):
        problems.append("--sab and --tty are for RxNorm; give RXNCONSO.RRF or its folder, or leave them out")
    of_icd10 = wishes.icd10_codes or wishes.most_words != icd10.MOST_WORDS
    if of_icd10 and not any(map(_is_icd10, paths)):
        problems.append("--code and --words are for ICD-10-CM; give a file of it, or leave them out")
    if problems:
        raise LexiconError("; ".join(problems))


def _is_foreign(path: Path, wishes: Wishes) -> bool:
    """Whether rows are not written for Shoptalk."""
    return _is_rxnorm(path) or _is_own_table(path, wishes) or _is_icd10(path)


def _is_rxnorm(path: Path) -> bool:
    return path.is_dir() or path.suffix.upper() == ".RRF"


def _is_own_table(path: Path, wishes: Wishes) -> bool:
    return bool(wishes.columns) and path.suffix.lower() in (".csv", ".tsv")


def _is_icd10(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and path.is_file() and icd10.is_icd10(tables.read_text(path))


def _foreign_rows(path: Path, wishes: Wishes) -> Iterator[term_files.Row]:
    if _is_rxnorm(path):
        yield from rxnorm.read(path, kinds=wishes.rxnorm_kinds, source=wishes.rxnorm_source)
    elif _is_own_table(path, wishes):
        yield from term_imports.table_rows(path, wishes.columns)
    else:
        yield from icd10.read(path, codes=wishes.icd10_codes, most_words=wishes.most_words)


def _sorted_into(term: Term, category: str) -> Term:
    return term.model_copy(update={"category": category}) if category and term.category == UNSORTED else term


def _without_variants(term: Term, known: set[str]) -> Term:
    return term.model_copy(update={"variants": tuple(text for text in term.variants if text.casefold() not in known)})


def mine(paths: Sequence[Path], *, known: Sequence[Path] = (), at_least: int, in_texts: int, most: int) -> Gathered:
    """The terms of transcripts, the best first; `known` are lexicons whose terms are not told again."""
    texts = [text for path in paths for text in _texts(path)]
    if not texts:
        raise LexiconError(f"{', '.join(map(str, paths))}: no texts; give transcripts")
    in_texts = min(in_texts, len(texts))
    frequencies = general()
    gathered = mining.mine(
        texts,
        frequencies,
        known=lexicon.load(known) if known else (),
        at_least=at_least,
        in_texts=in_texts,
        most=most,
    )
    rows = [("", {"text": mined.text, "weight": weight(zipf=frequencies.zipf(mined.text))}) for mined in gathered]
    usable = term_imports.usable(rows)
    if not usable.terms:
        raise LexiconError(
            f"{', '.join(map(str, paths))}: {len(texts)} texts have no term {at_least} times in {in_texts} texts; give "
            "more texts, or lower --at-least or --in-texts"
        )
    by_text = {mined.text: mining.remark(mined) for mined in gathered}
    return Gathered(usable.terms, {term.id: by_text[term.text] for term in usable.terms})


def _texts(path: Path) -> list[str]:
    """The texts of a source: the lines of a .txt file, else what `shoptalk score` reads."""
    if path.is_file() and path.suffix.lower() == ".txt":
        return [line for line in tables.read_text(path).splitlines() if line.strip()]
    return [entry.text for entry in text_scores.read(path).values()]


def missed_in_run(run: Path, *, model: str) -> Gathered:
    """The terms of a run, low recall first; `model` is a key of `SIDES`. Test sets under noise do not count."""
    terms_path = run / BY_NAME["lexicon"].product
    hypotheses_path = run / BY_NAME["evaluate"].product / SIDES[model]
    for path in (terms_path, hypotheses_path):
        if not path.is_file():
            raise ManifestError(f"{path}: no such file; give the folder of a run whose evaluation is done")
    terms = list(files.read(terms_path, Term))
    hypotheses = [own for own in files.read(hypotheses_path, Hypothesis) if own.set != NOISY]
    pairs = [(hypothesis.reference, hypothesis.heard) for hypothesis in hypotheses]
    hidden = frozenset(row for row, hypothesis in enumerate(hypotheses) if hypothesis.patient)
    return _missed(terms, tabulate(terms, pairs, hidden=hidden))


def missed_in_texts(references: Path, transcripts: Path, *, lexicons: Sequence[Path], common: bool = False) -> Gathered:
    """Likewise of references and transcripts, read as `shoptalk score` does; without a lexicon its terms are mined."""
    pairs, left_out = text_scores.pair(text_scores.read(references), [text_scores.read(transcripts)], common=common)
    texts = [(pair.reference, pair.recognised[0]) for pair in pairs]
    terms = lexicon.load(lexicons) if lexicons else list(mine([references], at_least=3, in_texts=2, most=500).terms)
    gathered = _missed(terms, tabulate(terms, texts))
    return Gathered(gathered.terms, gathered.remarks, (*left_out, *gathered.told))


def _missed(terms: Sequence[Term], table: TermTable) -> Gathered:
    evidence = _evidence(terms, table)
    ordered = misses.with_misses(terms, evidence, general())
    remarks = {name: remark for name, own in evidence.items() if (remark := misses.remark(own))}
    missed = sum(own.missed > 0 for own in evidence.values())
    occurred = sum(own.of > 0 for own in evidence.values())
    told = [f"{missed} of {occurred} terms that occur were missed at least once"]
    if held_out := sum(not term.taught for term in terms):
        told.append(f"{held_out} terms are held out (`taught: false`); remove that to train them")
    return Gathered(ordered, remarks, told)


def _evidence(terms: Sequence[Term], table: TermTable) -> dict[str, Evidence]:
    of: Counter[int] = Counter()
    found: Counter[int] = Counter()
    for place, reference, right in zip(
        table.term_K.tolist(), table.reference_K.tolist(), table.found_K.tolist(), strict=True
    ):
        of[place] += reference
        found[place] += right
    evidence = {}
    for place, term in enumerate(terms):
        evidence[term.id] = Evidence(of[place], of[place] - found[place], table.instead[place])
    return evidence
