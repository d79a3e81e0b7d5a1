"""Stages 70 and 80: what base, tuned model and others hear, the scores and their reports, and the bundle."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from shoptalk import manifest, terms
from shoptalk.cli import hearing
from shoptalk.cli.hearing import Clip
from shoptalk.cli.recognizers import open_engine, open_recognizer, title
from shoptalk.corpus.dataset import TESTS
from shoptalk.manifest import read_lines
from shoptalk.protocols import Recognizer
from shoptalk.records import Hypothesis, Term
from shoptalk.run import BY_NAME, Run, file_digest
from shoptalk.scoring import packaging, page, publish, report
from shoptalk.scoring.card import Origin
from shoptalk.scoring.evaluate import compare
from shoptalk.scoring.evaluate import evaluate as score
from shoptalk.scoring.scores import Other, Scores

SCORES = "scores.json"
GATE = "gate.json"
"""Written by `shoptalk gate`; stale once the scores are made anew."""


def evaluate(run: Run, *, base: str, tuned: Path, say: Callable[[str], None]) -> None:
    """Recognise the test sets with base, tuned model and others, score, and write JSON, Markdown and HTML."""
    folder, lists = run.product("evaluate"), hearing.listed(run.product("dataset"))
    clips = [*lists, *hearing.further(run, lists)]
    before = _hear_model(run, folder / "before.jsonl", base, clips)
    after = _hear_model(run, folder / "after.jsonl", str(tuned), clips)
    dev = _hear_model(run, folder / "dev.jsonl", str(tuned), hearing.dev(run.product("dataset")))
    taught = list(manifest.read(run.product("lexicon"), Term))
    section, seed = run.recipe.evaluate, run.recipe.seed
    scores = score(before, after, taught, section, seed=seed, known=_known(run, taught), dev=dev)
    scores = scores.model_copy(
        update={
            "others": tuple(_others(run, clips, after, taught)),
            "speed_before": hearing.speed(folder / "before.jsonl"),
            "speed_after": hearing.speed(folder / "after.jsonl"),
        }
    )
    (folder / GATE).unlink(missing_ok=True)
    manifest.write_text(folder / "report.md", report.markdown(scores))
    _write_report(run, scores, clips, base=base)
    manifest.write_text(folder / SCORES, scores.model_dump_json(indent=1) + "\n")
    say(f"report: {folder / 'report.html'}")


def _write_report(run: Run, scores: Scores, clips: Sequence[Clip], *, base: str) -> None:
    """The page of the run, with the recordings of its sentences in it."""
    facts = {"Recipe": run.recipe.name, "Base": _name(base), "Seed": str(run.recipe.seed)}
    by_id = {clip.asked.id: clip for clip in clips if not clip.asked.patient or run.recipe.evaluate.report_private}
    sounds = {name: page.data_url(by_id[name].load()) for name in page.shown(scores) if name in by_id}
    manifest.write_text(run.product("evaluate") / "report.html", page.html(scores, sounds=sounds, facts=facts))


def _hear_model(run: Run, path: Path, model: str, clips: Sequence[Clip]) -> list[Hypothesis]:
    """What the engine hears with a `.nemo`; what the base heard is kept from one tuning to the next."""
    batch, section = run.recipe.evaluate.batch, run.recipe.engine

    def start() -> Recognizer:
        from shoptalk.doors import nemo

        return open_engine(nemo.locate(model), section, batch=batch)

    weights = file_digest(Path(model)) if Path(model).is_file() else model
    signature = [BY_NAME["evaluate"].code_version, section.model_dump(), batch, weights]
    return hearing.hear(path, clips, start, signature=signature)


def _others(run: Run, clips: Sequence[Clip], tuned: Sequence[Hypothesis], taught: Sequence[Term]) -> list[Other]:
    """The recipe's other recognisers on the fixed lists and the imported sets."""
    section, folder = run.recipe.evaluate, run.product("evaluate")
    sets = {*TESTS, *(path.stem for path in section.tests)}
    asked = [clip for clip in clips if clip.asked.set in sets]
    found = []
    for one in section.others:
        path = folder / f"other-{title(one)}.jsonl"
        start = partial(open_recognizer, one, batch=section.batch)
        heard = hearing.hear(path, asked, start, signature=[one.model_dump()])
        speed = None if one.kind == "openai" else hearing.speed(path)
        found.append(compare(title(one), heard, tuned, taught, section, seed=run.recipe.seed, speed=speed))
    return found


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
    measured = scores.calibration
    calibration = {"temperature": measured.temperature, "ece": measured.ece} if measured else None
    return packaging.write(
        tuned, run.product("package"), config=section, origin=origin, scores=figures, calibration=calibration
    )


def _name(base: str) -> str:
    """Of a model: its file's without the ending; a hub name's last part, whose points are no ending."""
    return Path(base).name.removesuffix(".nemo")
