"""`shoptalk init`: a recipe, a lexicon and a policy to edit, in the user's folder, with the user's terms if given."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from shoptalk.core import resources
from shoptalk.core.errors import LexiconError, RecipeError
from shoptalk.core.files import write_text
from shoptalk.core.recipe import DatasetSection
from shoptalk.core.records import Term
from shoptalk.core.terms import index_of, occurrences_of_all
from shoptalk.corpus import dataset, term_files
from shoptalk.stages import term_sources

RECIPE, LEXICON = "recipe.yaml", "terms.yaml"
FILES = {
    RECIPE: "one experiment",
    LEXICON: "the lexicon: replace its terms by yours",
    "gate.yaml": "what a tuned model must show before it is used",
}
"""What is written, and what each file is for."""
FEWEST = 2
"""Terms of a lexicon that can be trained; fewer would leave no control."""
_TRANSCRIPTS = "transcripts:\n"
_TRAINED = "trained, not held out as a control"
_HEAD = """Your terms, from {sources}. This file counts from now on: edit it here. docs/lexicon.md has all columns.

  category   terms without one get it from a language model. For drug, procedure, condition, lab, anatomy and role,
             sentences ship.
  spoken     how people say it, where that differs from the text; the first is what is read aloud
  variants   other written forms that count as the same term
  facts      what may stand beside it in a sentence: dose, route, frequency, value
"""


def start(folder: Path, sources: Sequence[Path] = (), *, trade: str = "") -> list[Path]:
    """Write the files into a folder, made if need be, with the terms of `sources` and their `trade` if given.

    A lexicon that lies at its place in the folder already stays as it is. `RecipeError`, and nothing written: a file
    is in the way. `LexiconError`: the sources cannot be read, or have fewer than two terms.
    """
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder}: a file, not a folder; name another")
    is_kept = len(sources) == 1 and sources[0].resolve() == (folder / LEXICON).resolve()
    there = [name for name in FILES if (folder / name).exists() and not (is_kept and name == LEXICON)]
    if there:
        raise RecipeError(f"{folder}: has {', '.join(there)} already; move it away, or name another folder")
    terms = read_terms(sources) if sources else []
    for name in FILES:
        if name == LEXICON and is_kept:
            continue
        if name == LEXICON and terms:
            write_terms(folder / name, terms, sources)
        else:
            text = _template(name)
            write_text(folder / name, _recipe_for(text, trade=trade, weighs=bool(terms)) if name == RECIPE else text)
    return [folder / name for name in FILES]


def read_terms(sources: Sequence[Path]) -> Sequence[Term]:
    """The terms of the sources. `LexiconError`: they cannot be read, or have fewer than two terms.

    Terms that the rehearsed general speech says (``small``) are marked as trained, unless a source says otherwise: they
    can be no control.
    """
    terms = term_sources.read_sources(sources, term_sources.Wishes()).terms
    if len(terms) < FEWEST:
        raise LexiconError(f"{', '.join(map(str, sources))}: {len(terms)} term; give at least {FEWEST}")
    rehearsed = _rehearsed(terms)
    marked = []
    for term in terms:
        is_open = term.id in rehearsed and "taught" not in term.model_fields_set
        marked.append(term.model_copy(update={"taught": True}) if is_open else term)
    return marked


def _rehearsed(terms: Sequence[Term]) -> frozenset[str]:
    """Ids of the terms that the general speech which ships says."""
    folder = DatasetSection().general
    general = dataset.read_general(resources.locate(folder) if folder else None)
    index = index_of(terms)
    places = {place for line in general.rehearsal for place in occurrences_of_all(index, line.text)}
    return frozenset(terms[place].id for place in places)


def write_terms(path: Path, terms: Sequence[Term], sources: Sequence[Path]) -> None:
    """Write the lexicon of the terms, with a head that says where they are from and what may be edited."""
    decided = {term.id: _TRAINED for term in terms if term.taught and "taught" in term.model_fields_set}
    term_files.write(
        path, terms, remarks=decided, head=_HEAD.format(sources=", ".join(source.name for source in sources))
    )


def _template(name: str) -> str:
    return files("shoptalk.stages").joinpath("start").joinpath(name).read_text(encoding="utf-8")


def _recipe_for(text: str, *, trade: str, weighs: bool) -> str:
    """The recipe with the trade, and with sentences by rarity and risk where the terms are the user's own."""
    if trade.strip():
        line = f"  trade: {json.dumps(trade, ensure_ascii=False)}  # where the terms are said\n"
        text = text.replace(_TRANSCRIPTS, _TRANSCRIPTS + line)
    if weighs:
        line = "  weigh: true                # more sentences for rare terms and for those of high risk\n"
        text = text.replace(_TRANSCRIPTS, line + _TRANSCRIPTS)
    return text
