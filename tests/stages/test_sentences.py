"""Stage 20 on all shipped terms, stopped and resumed, covers exactly what the design says."""

from collections import Counter
from collections.abc import Iterator
from math import ceil, floor
from pathlib import Path

import pytest

from shoptalk.core import config, files
from shoptalk.core.errors import CoverageError
from shoptalk.core.records import Term, Transcript
from shoptalk.corpus import coverage
from shoptalk.stages import corpus, execution
from shoptalk.stages.run import Run, StageRun

ROOT = Path(__file__).parents[2]
PLANNED = "transcripts.coverage.conditions=[clean,room,noise,telephone]"
MINIMUM = (
    "transcripts.coverage.minimum=[{of: [term, voice], at_least: 2}, {of: [term, condition], at_least: 3}, "
    "{of: [voice, condition], at_least: 150}]"
)


def opened(folder: Path, *changes: str) -> Run:
    recipe = folder / "all.yaml"
    recipe.write_text("name: all\n")
    return Run(folder, config.load(recipe, changes), ROOT / "recipes")


def test_all_shipped_terms_are_covered_exactly_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(tmp_path, PLANNED, MINIMUM)
    execution.make(run, "lexicon")

    def stopped(stage: StageRun, make: object) -> None:
        def cut_off(done: frozenset[str]) -> Iterator[Transcript]:
            for number, transcript in enumerate(make(done)):  # type: ignore[operator]
                if number == 1_000:
                    raise KeyboardInterrupt
                yield transcript

        write(stage, cut_off)

    write = corpus.write
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(corpus, "write", stopped)
        execution.make(run, "transcripts")
    assert not run.is_current("transcripts")
    execution.make(run, "transcripts")
    terms = list(files.read(run.product("lexicon"), Term))
    made = list(files.read(run.product("transcripts"), Transcript))
    assert len(terms) == 196
    assert len({each.id for each in made}) == len(made)
    told = coverage.Coverage.model_validate_json((tmp_path / coverage.PRODUCT).read_text())
    levels = coverage.levels_of(run.recipe.transcripts.coverage, run.recipe.speech)
    assert told == coverage.counted(made, terms, run.recipe.transcripts.coverage, levels)
    assert [minimum.least >= minimum.at_least for minimum in told.minima] == [True, True, True]
    assert told.minima[0].cells == sum(term.taught for term in terms) * 5
    for term in terms:
        own = [each for each in made if each.split == "train" and each.term_ids[:1] == (term.id,)]
        assert bool(own) == term.taught
        for planned, count in (("voice_group", 5), ("condition", 4)):
            counts = Counter(getattr(each, planned) for each in own)
            assert len(counts) == (count if own else 0)
            assert all(floor(len(own) / count) <= n <= ceil(len(own) / count) for n in counts.values())
    assert all(not each.voice_group and not each.condition for each in made if each.split != "train")


def test_a_minimum_that_cannot_be_met_stops_the_stage(tmp_path: Path) -> None:
    minimum = "transcripts.coverage.minimum=[{of: [term, context, voice]}]"
    run = opened(tmp_path, minimum, "lexicon.only=[metformin, apixaban]")
    execution.make(run, "lexicon")
    with pytest.raises(CoverageError, match=r"term '[a-z]+', context 'allergies', voice '[a-z-]+': 0 of 1\n"):
        execution.make(run, "transcripts")
    assert not run.product("transcripts").exists()
