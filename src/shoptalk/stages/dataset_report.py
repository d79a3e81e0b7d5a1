"""`50-report.html`: the page that shows a dataset, written by stage 50 beside its product.

The page is no product: no signature covers it, and it reads more of the run than stage 50 declares.
"""

from collections.abc import Mapping
from pathlib import Path

from shoptalk.core import files, pages, recordings
from shoptalk.core.examples import read_manifest
from shoptalk.core.records import Example, Term, Transcript, Utterance
from shoptalk.corpus import coverage, proposals
from shoptalk.corpus.proposals import Proposal
from shoptalk.corpus.report import page, sample, summary
from shoptalk.corpus.report.summary import Covered
from shoptalk.corpus.screening import Screening
from shoptalk.stages import refusals, screening
from shoptalk.stages.run import Run

PAGE = "50-report.html"


def there(run: Run) -> Path | None:
    """The page of a dataset that is made, written now if it was made without one; None where a user's own stands in."""
    if "dataset" in run.recipe.products:
        return None
    page_path = run.folder / PAGE
    return page_path if page_path.is_file() else write(run)


def write(run: Run) -> Path:
    """Write the page of the dataset in a run folder, whose products are there, and return its path."""
    terms = list(files.read(run.product("lexicon"), Term))
    utterances = list(files.read(run.product("augment"), Utterance))
    lists = _lists(run.product("dataset"))
    transcripts = _transcripts(run)
    covered = _covered(run, terms, transcripts, utterances, lists) if transcripts else None
    clips = sample.drawn(lists, utterances, seed=run.recipe.seed)
    text = page.html(
        summary.summarise(terms, lists, utterances, transcripts, covered),
        title=f"The dataset of {run.recipe.name}",
        clips=clips,
        sounds={clip.example.id: pages.data_url(recordings.load(clip.example)) for clip in clips},
        refused=refusals.read(run),
        screening=_screening(run),
        facts=_facts(run),
    )
    files.write_text(run.folder / PAGE, text)
    return run.folder / PAGE


def _lists(folder: Path) -> dict[str, list[Example]]:
    """The manifests of a dataset by name, in the order in which the page shows them."""
    names = [path.stem for path in folder.glob("*.jsonl")]
    known = list(page.LISTS)
    names.sort(key=lambda name: (known.index(name) if name in known else len(known), name))
    return {name: read_manifest(folder / f"{name}.jsonl") for name in names}


def _transcripts(run: Run) -> list[Transcript]:
    """What stage 20 made; nothing where another product stands in for it, or for what is made of it."""
    if run.recipe.products.keys() & {"transcripts", "speech", "augment", "dataset"}:
        return []
    return list(files.read(run.product("transcripts"), Transcript))


def _covered(
    run: Run,
    terms: list[Term],
    transcripts: list[Transcript],
    utterances: list[Utterance],
    lists: Mapping[str, list[Example]],
) -> Covered:
    section = run.recipe.transcripts
    proposed = run.folder / "20-proposals.jsonl"
    if proposed.is_file():
        terms = proposals.placed(terms, proposals.proposed(tuple(files.read(proposed, Proposal))).categories)
    levels = coverage.levels_of(section.coverage, run.recipe.speech)
    return summary.cover(transcripts, utterances, lists.get("train", []), terms, section.coverage, levels)


def _screening(run: Run) -> Screening | None:
    """What screening came to; None where the recordings are a user's own, or were not screened."""
    if "speech" in run.recipe.products or not run.recipe.speech.screen.enabled:
        return None
    return Screening.model_validate_json((run.folder / screening.SUMMARY).read_text(encoding="utf-8"))


def _facts(run: Run) -> dict[str, str]:
    facts = {"Recipe": run.recipe.name, "Seed": str(run.recipe.seed), "Synthesiser": run.recipe.speech.tts}
    if run.recipe.transcripts.trade:
        facts["Trade"] = run.recipe.transcripts.trade
    facts["Signature"] = run.signature("dataset")
    return facts
