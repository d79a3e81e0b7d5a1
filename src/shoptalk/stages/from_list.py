"""`shoptalk corpus --terms`: a recipe and a lexicon in the run folder, written for a list or taken up again."""

from collections.abc import Sequence
from pathlib import Path

from shoptalk.core import config
from shoptalk.core.errors import RecipeError
from shoptalk.core.files import digest, write_text
from shoptalk.core.progress import say
from shoptalk.core.records import Term
from shoptalk.corpus import lexicon
from shoptalk.stages import starting

NOTE = "terms.signature"
"""In the run folder: which terms its lexicon was written with."""


def recipe_in(folder: Path, sources: Sequence[Path], *, trade: str = "") -> Path:
    """The recipe in a run folder for the terms of `sources`: written now, or as an earlier command left it.

    A list that was changed since then is taken up, unless the lexicon in the folder was edited. `RecipeError`: both
    were changed, another trade is asked for, or a file is in the way. `LexiconError`: the sources cannot be read.
    """
    recipe, terms_path, note = folder / starting.RECIPE, folder / starting.LEXICON, folder / NOTE
    terms = starting.read_terms(sources)
    if not note.is_file():
        starting.start(folder, sources, trade=trade)
        write_text(note, _signature(terms))
        say(f"{recipe}: written for {len(terms)} terms of {_names(sources)}; edit it, or {terms_path}, as you like")
        return recipe
    for path in (recipe, terms_path):
        if not path.is_file():
            raise RecipeError(f"{path}: is no longer there; name another folder with --run to begin anew")
    _require_trade(recipe, trade)
    if _signature(terms) != note.read_text(encoding="utf-8"):
        _take_up(terms_path, note, terms, sources)
    return recipe


def _take_up(path: Path, note: Path, terms: Sequence[Term], sources: Sequence[Path]) -> None:
    """Write the lexicon anew for a list that was changed. `RecipeError`: what was edited in it would be lost."""
    there = lexicon.load([path])
    wanted, present = _signature(terms), _signature(there)
    if present not in (wanted, note.read_text(encoding="utf-8")):
        raise RecipeError(
            f"{_names(sources)} was changed since {path} was written for it ({_difference(there, terms)}), and so was "
            f"{path}. Edit {path.name} until it has all that you want, then go on with `shoptalk corpus --recipe "
            f"{path.with_name(starting.RECIPE)} --run {path.parent}`; or name another folder with --run"
        )
    if present != wanted:
        starting.write_terms(path, terms, sources)
        say(f"{_names(sources)} was changed ({_difference(there, terms)}): {path} is written anew")
    write_text(note, wanted)


def _difference(before: Sequence[Term], after: Sequence[Term]) -> str:
    """``new: cortado; gone: espresso``."""
    old = {term.text for term in before}
    new = {term.text for term in after}
    parts = []
    for name, texts in (("new", new - old), ("gone", old - new)):
        if texts:
            shown = sorted(texts)[:5]
            more = f" and {len(texts) - 5} more" if len(texts) > 5 else ""
            parts.append(f"{name}: {', '.join(shown)}{more}")
    return "; ".join(parts) or "other columns of the same terms"


def _require_trade(recipe: Path, trade: str) -> None:
    there = config.load(recipe).transcripts.trade
    if trade and " ".join(trade.split()) != there:
        raise RecipeError(
            f"{recipe} is for the trade {there!r}, not {trade!r}; change transcripts.trade in that file, or name "
            "another folder with --run"
        )


def _signature(terms: Sequence[Term]) -> str:
    return digest([term.model_dump(mode="json") for term in terms])


def _names(sources: Sequence[Path]) -> str:
    return ", ".join(str(source) for source in sources)
