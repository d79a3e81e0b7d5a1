"""Stage 10: terms from files, checked all at once, and the draw of those that are held out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shoptalk.core import terms as term_forms
from shoptalk.core.errors import LexiconError, TermError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.protocols import MAX_CHARACTERS
from shoptalk.core.records import UNSORTED, Term
from shoptalk.corpus import term_files
from shoptalk.corpus.pronunciation import check_ipa
from shoptalk.corpus.splits import draw_key

_SPEAKABLE = re.compile(r"[A-Za-zÀ-ɏ0-9 .,'’()/%+-]+")
_SPEAKABLE_ELSEWHERE = re.compile(r"[\w\u0300-\u036f\u0900-\u0dff .,'’()/%+-]+")
"""Letters of any script, and the vowel signs of India's, which are none to `re`."""
_SLOT_NAME = re.compile(r"[a-z_]+")


def load(files: Sequence[Path], *, only: Sequence[str] = (), language: str = ENGLISH) -> list[Term]:
    """The terms of all files in order; `only` selects by id. `language` is that of terms which tell none.

    `LexiconError` lists every problem with file and row.
    """
    problems: list[str] = []
    terms: list[tuple[str, Term]] = []
    for file in files:
        for where, columns in term_files.rows(file, problems):
            term = read_term(where, {"language": language, **columns}, problems)
            if term:
                terms.append((where, term))
    problems += _clashes(terms)
    ids = {term.id for _, term in terms}
    problems += [f"{name!r} in `lexicon.only` is the id of no term" for name in only if name not in ids]
    if not terms and not problems:
        problems.append(f"{', '.join(map(str, files)) or 'no files'}: no terms")
    named = frozenset(only) or ids
    chosen = [(where, term) for where, term in terms if term.id in named]
    if not problems:
        problems += _contradictions(chosen)
    if any(".txt:" in problem and "`spoken`" in problem for problem in problems):
        problems.append("a plain list has no `spoken`; move such terms to a .csv with that column, beside the list")
    if problems:
        raise LexiconError("the lexicon cannot be used; mend these rows:\n  " + "\n  ".join(problems))
    return [term for _, term in chosen]


def hold_out(terms: Sequence[Term], *, part: float, seed: int) -> list[Term]:
    """The same terms, with `part` of each category marked ``taught=False``; at least one of each is trained.

    Where the lexicon says `taught` of a term, that counts. Terms that stand in one another (``insulin``, ``insulin
    glargine``) are held out together or not at all, because a sentence with the one trains the other. The rest is
    ranked by a draw from (seed, id).
    """
    sizes = Counter(term.category for term in terms)
    wanted = {category: min(round(part * size), size - 1) for category, size in sizes.items()}
    held_out: set[str] = set()
    counts: Counter[str] = Counter()
    undecided = []
    for family in _families(terms):
        words = {term.taught for term in family if _is_decided(term)}
        if words == {False}:
            held_out.update(term.id for term in family)
            counts.update(term.category for term in family)
        elif not words:
            undecided.append(family)
    undecided.sort(key=lambda family: draw_key(seed, "hold-out", min(term.id for term in family)))
    for family in undecided:
        added = Counter(term.category for term in family)
        if all(counts[category] + count <= wanted[category] for category, count in added.items()):
            held_out.update(term.id for term in family)
            counts += added
    return [term.model_copy(update={"taught": term.id not in held_out}) for term in terms]


def held_out_remarks(terms: Sequence[Term], *, part: float) -> list[str]:
    """A remark for each category of which less than `part` is held out, with the reason."""
    remarks = []
    sizes = Counter(term.category for term in terms)
    held_out = Counter(term.category for term in terms if not term.taught)
    for category, size in sizes.items():
        count = held_out[category]
        if part and count < max(1, round(part * size)):
            remarks.append(
                f"category {category!r}: {count} of {size} terms are held out, not {part:.0%}; nested terms stay "
                "together, one term is trained, and `taught` in the lexicon counts"
            )
    return remarks


def _is_decided(term: Term) -> bool:
    """Whether the lexicon itself says if the term is to be trained."""
    return "taught" in term.model_fields_set


def _families(terms: Sequence[Term]) -> list[list[Term]]:
    """The terms in groups: those that stand in each other's names or facts, directly or by way of others."""
    known = term_forms.index_of(terms)
    parent = list(range(len(terms)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for place, term in enumerate(terms):
        texts = [term.text, *term.variants, *term.spoken]
        for values in term.facts.values():
            texts += values
        for text in texts:
            for inner in term_forms.occurrences_of_all(known, text):
                low, high = sorted((root(place), root(inner)))
                parent[high] = low
    families: dict[int, list[Term]] = defaultdict(list)
    for place, term in enumerate(terms):
        families[root(place)].append(term)
    return list(families.values())


def read_term(where: str, columns: dict[str, Any], problems: list[str]) -> Term | None:
    """The term of one row, or None after adding what is wrong with it to `problems`."""
    if not str(columns.get("text") or "").strip():
        problems.append(f"{where}: empty term; fill in `text`")
        return None
    unknown = sorted(set(map(str, columns)) - set(term_files.COLUMNS))
    if unknown:
        problems.append(f"{where}: unknown columns {', '.join(unknown)}; known: {', '.join(term_files.COLUMNS)}")
        return None
    named = {"id": term_files.slug(str(columns["text"])) or where} | columns
    named["category"] = columns.get("category") or UNSORTED
    named["language"] = columns.get("language") or ENGLISH
    try:
        term = Term.model_validate(named)
    except ValidationError as error:
        for detail in error.errors():
            column = ".".join(map(str, detail["loc"]))
            problems.append(f"{where}: {column}: {detail['msg']}")
        return None
    wrong = [f"{where}: {problem}" for problem in (*_unspeakable(term), *_unmatchable(term))]
    problems += wrong
    return None if wrong else term


def _unspeakable(term: Term) -> Iterator[str]:
    text = () if term.spoken else (term.text,)
    by_column = {"text": text, "spoken": term.spoken, "variants": term.variants}
    for name, texts in by_column.items():
        for written in texts:
            speakable = _SPEAKABLE if term.language.startswith(ENGLISH) else _SPEAKABLE_ELSEWHERE
            odd = "".join(sorted(set(speakable.sub("", written))))
            if odd or not any(map(str.isalpha, written)):
                shown = f"the symbols {odd!r}, which cannot be spoken" if odd else "no letter"
                yield f"{name} {written!r} has {shown}; give `spoken` in words"
            if len(written) > MAX_CHARACTERS:
                cure = f"a term has at most {MAX_CHARACTERS}, and no more words than a sentence"
                yield f"{name} {written[:20]!r}… has {len(written)} characters; {cure}"
    yield from category_problems(term.category)


def category_problems(category: str) -> Iterator[str]:
    """What is wrong with the name of a category."""
    if not _SLOT_NAME.fullmatch(category):
        yield f"category {category!r}: write it in lower-case letters, because it names a slot of the sentences"


def _unmatchable(term: Term) -> Iterator[str]:
    try:
        term_forms.index_of([term])
        for ipa in term.ipa:
            check_ipa(ipa, term.language)
    except TermError as error:
        yield str(error)


def _clashes(terms: Sequence[tuple[str, Term]]) -> Iterator[str]:
    """Ids, texts and variants that occur in two terms, whatever their case."""
    first: dict[tuple[str, str], str] = {}
    for where, term in terms:
        names = {("id", term.id.casefold())}
        names.update(("text", form.casefold()) for form in (term.text, *term.variants))
        for kind, name in sorted(names):
            if (kind, name) in first:
                yield f"{where}: {kind} {name!r} occurs already in {first[kind, name]}"
            first.setdefault((kind, name), where)


def _contradictions(terms: Sequence[tuple[str, Term]]) -> Iterator[str]:
    """Terms that the lexicon wants trained, beside others of their family that it wants held out."""
    where_of = {term.id: where for where, term in terms}
    chosen = [term for _, term in terms]
    for family in _families(chosen):
        trained = [term for term in family if _is_decided(term) and term.taught]
        held_out = [term for term in family if _is_decided(term) and not term.taught]
        if trained and held_out:
            kept = ", ".join(f"{term.text!r} ({where_of[term.id]})" for term in held_out)
            yield (
                f"{where_of[trained[0].id]}: {trained[0].text!r} is `taught: true`, but {kept} `taught: false`, and "
                "sentences with the one train the other; give terms that stand in one another the same"
            )
    if chosen and all(_is_decided(term) and not term.taught for term in chosen):
        yield "every term is `taught: false`; nothing is left to train"
