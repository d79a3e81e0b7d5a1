"""Stages 70 and 80: what base and tuned model hear, the scores and their reports, and the bundle."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shoptalk import audio, manifest, terms
from shoptalk.cli.stages import once, progress
from shoptalk.corpus.dataset import TEST_LISTS, TESTS, digest
from shoptalk.errors import ScoringError
from shoptalk.manifest import read_lines
from shoptalk.records import Hypothesis, Term
from shoptalk.run import BY_NAME, Run, file_digest
from shoptalk.run import digest as digest_of
from shoptalk.scoring import bundle, publish, report
from shoptalk.scoring.card import Origin
from shoptalk.scoring.evaluate import evaluate as score
from shoptalk.scoring.scores import Scores

Line = dict[str, Any]
SCORES = "scores.json"
CHUNK = 64
"""Utterances decoded together; hypotheses are on disk after each."""


def evaluate(run: Run, *, base: str, tuned: Path, say: Callable[[str], None]) -> None:
    """Recognise the fixed test lists with both models, score, and write JSON, Markdown and HTML."""
    folder, lines = run.product("evaluate"), _test_lines(run.product("dataset"))
    before = _hear(run, folder / "before.jsonl", base, lines)
    after = _hear(run, folder / "after.jsonl", str(tuned), lines)
    taught = list(manifest.read(run.product("lexicon"), Term))
    scores = score(before, after, taught, run.recipe.evaluate, seed=run.recipe.seed, known=_known(run, taught))
    manifest.write_text(folder / "report.md", report.markdown(scores))
    facts = {"Recipe": run.recipe.name, "Base": _name(base), "Seed": str(run.recipe.seed)}
    manifest.write_text(folder / "report.html", report.html(scores, facts=facts))
    manifest.write_text(folder / SCORES, scores.model_dump_json(indent=1) + "\n")
    say(f"report: {folder / 'report.html'}")


def _test_lines(dataset: Path) -> list[Line]:
    """The lines of all test sets with their set's name; `ScoringError` if a list is not the one that was fixed."""
    if not (dataset / TEST_LISTS).is_file():
        raise ScoringError(f"{dataset}: has no {TEST_LISTS}; make the dataset with `shoptalk dataset`")
    fixed = json.loads((dataset / TEST_LISTS).read_text(encoding="utf-8"))
    found: list[Line] = []
    for name in TESTS:
        lines = read_lines(dataset / f"test-{name}.jsonl")
        if digest(lines) != fixed.get(name):
            raise ScoringError(
                f"{dataset}/test-{name}.jsonl was changed after it was fixed; remove {dataset}, run `shoptalk dataset`"
            )
        found += [{**line, "set": name, "path": dataset / line["audio_filepath"]} for line in lines]
    return found


def _hear(run: Run, path: Path, model: str, lines: Sequence[Line]) -> list[Hypothesis]:
    """What a model hears, resumed from what is on disk; what the base heard is kept from one tuning to the next."""
    batch = run.recipe.evaluate.batch

    def heard(done: frozenset[str]) -> Iterator[Hypothesis]:
        from shoptalk.doors import nemo

        recognizer = nemo.NemoRecognizer(nemo.restore(model), batch=batch)
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            if all(line["id"] in done for line in chunk):
                continue
            # The whole chunk again: in other batches the rounding differs, and so might a word.
            spoken = [audio.decode(line["path"]) for line in chunk]
            heard_now = zip(chunk, recognizer.recognize(spoken), strict=True)
            yield from (_hypothesis(line, one.text) for line, one in heard_now if line["id"] not in done)

    weights = file_digest(Path(model)) if Path(model).is_file() else model
    signature = digest_of([BY_NAME["evaluate"].code_version, batch, weights, digest(lines)])
    once(path, lambda done: progress(heard(done), f"hear {path.stem}", len(lines), len(done)), signature=signature)
    return list(manifest.read(path, Hypothesis))


def _hypothesis(line: Line, heard: str) -> Hypothesis:
    return Hypothesis(
        id=line["id"], reference=line["text"], heard=heard, set=line["set"],
        term_ids=tuple(line["term_ids"]), cluster=line["cluster"], voice=line["voice"],
    )  # fmt: skip


def _known(run: Run, taught: Sequence[Term]) -> frozenset[str] | None:
    """Ids of the terms that the base read in its training texts; None if the recipe names no such texts."""
    files = run.recipe.evaluate.transcripts_known_to_base
    if not files:
        return None
    texts = [line for file in files for line in run.resolve(file).read_text(encoding="utf-8").splitlines()]
    openings = {word[:4] for term in taught for form in (term.text, *term.variants) for word in form.lower().split()}
    near = [text for text in texts if any(word[:4] in openings for word in text.lower().split())]
    return terms.occurring(taught, near)


def package(run: Run, *, base: str, tuned: Path) -> Path:
    """Bundle the tuned model with its origin and scores."""
    scores = Scores.model_validate_json((run.product("evaluate") / SCORES).read_text(encoding="utf-8"))
    figures = {key: publish.figures(scores)[key] for key in ("term_error", "general_wer", "test_utterances")}
    section, dataset = run.recipe.package, run.product("dataset")
    synthetic, rehearsed = (len(read_lines(dataset / f"{name}.jsonl")) for name in ("train", "rehearsal"))
    data = (
        f"{synthetic} synthetic utterances (stages 10-50)",
        f"{rehearsed} utterances of general speech, rehearsed",
    )
    licence, attributions = section.licence, section.attributions
    origin = Origin(_name(base), licence=licence, attributions=attributions, recipe=run.recipe.name, data=data)
    return bundle.write(tuned, run.product("package"), config=section, origin=origin, scores=figures)


def _name(base: str) -> str:
    """Of a model: its file's without the ending; a hub name's last part, whose points are no ending."""
    return Path(base).name.removesuffix(".nemo")
