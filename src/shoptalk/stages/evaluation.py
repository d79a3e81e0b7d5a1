"""Stage 70: the test sets recognised by base, tuned model and others, the scores and their reports."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from shoptalk.core import files, terms
from shoptalk.core.files import file_digest
from shoptalk.core.protocols import Recognizer
from shoptalk.core.recipe import effective
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import GATE, SCORES, Other, Scores
from shoptalk.core.sets import GENERAL, TAUGHT, TESTS
from shoptalk.core.tables import read_text
from shoptalk.corpus.voices import accent
from shoptalk.scoring.evaluate import compare
from shoptalk.scoring.evaluate import evaluate as score
from shoptalk.scoring.report import page, tables
from shoptalk.stages.progress import say
from shoptalk.stages.recognition import measured_speed, recognize
from shoptalk.stages.recognizers import open_engine, open_recognizer, title
from shoptalk.stages.run import AnyRun, StageRun
from shoptalk.stages.training import base_of, model_name, tuned_model
from shoptalk.testsets import clips as test_clips
from shoptalk.testsets import conditions
from shoptalk.testsets.clips import Clip


def evaluate(run: StageRun) -> None:
    """Recognise the test sets with base, tuned model and others, score, and write JSON, Markdown and HTML."""
    base, tuned = base_of(run), tuned_model(run)
    folder, clips = run.product("evaluate"), clips_of(run)
    before = _hear_model(run, folder / "before.jsonl", base, clips)
    after = _hear_model(run, folder / "after.jsonl", str(tuned), clips)
    dev = _hear_model(run, folder / "dev.jsonl", str(tuned), test_clips.dev(run.product("dataset"), accent))
    taught = list(files.read(run.product("lexicon"), Term))
    section, seed = run.recipe.evaluate, run.recipe.seed
    scores = score(before, after, taught, section, seed=seed, known=_known(run, taught), dev=dev)
    scores = scores.model_copy(
        update={
            "others": tuple(_others(run, clips, after, taught)),
            "speed_before": measured_speed(folder / "before.jsonl"),
            "speed_after": measured_speed(folder / "after.jsonl"),
        }
    )
    (folder / GATE).unlink(missing_ok=True)
    files.write_text(folder / "report.md", tables.markdown(scores))
    _write_report(run, scores, clips, base=base)
    files.write_text(folder / SCORES, scores.model_dump_json(indent=1) + "\n")
    say(f"report: {folder / 'report.html'}")


def clips_of(run: AnyRun) -> list[Clip]:
    """Everything that a recogniser is tested with: the fixed lists of stage 50, and the sets that the recipe adds."""
    fixed = test_clips.listed(run.product("dataset"), accent)
    return [*fixed, *_further(run, fixed)]


def _further(run: AnyRun, clips: Sequence[Clip]) -> list[Clip]:
    """The sets that the recipe asks for beside the fixed lists: imported, noisy, long, silence."""
    section, seed = run.recipe.evaluate, run.recipe.seed
    asked = [clip for path in section.tests for clip in test_clips.read(run.resolve(path), path.stem, accent)]
    taught = [clip for clip in clips if clip.asked.set == TAUGHT]
    general = [clip for clip in clips if clip.asked.set == GENERAL]
    if section.snr_db or section.silence_s:
        noise = conditions.noise_recordings(run.resolve(run.recipe.augment.noise_manifest))
    if section.snr_db:
        chosen = sorted(taught, key=lambda clip: sha256(clip.asked.id.encode()).digest())[: section.noisy_utterances]
        for snr_db in section.snr_db:
            asked += [test_clips.under_noise(clip, noise, snr_db, seed) for clip in chosen]
    if section.silence_s:
        for name, samples_T in conditions.silence(noise, section.silence_s, seed):
            asked.append(test_clips.silent(name, samples_T))
    if section.long_form_s:
        asked += test_clips.long(taught + general, section.long_form_s, seed)
    return asked


def _write_report(run: StageRun, scores: Scores, clips: Sequence[Clip], *, base: str) -> None:
    """The page of the run, with the recordings of its sentences in it."""
    facts = {"Recipe": run.recipe.name, "Base": model_name(base), "Seed": str(run.recipe.seed)}
    by_id = {clip.asked.id: clip for clip in clips if not clip.asked.patient or run.recipe.evaluate.report_private}
    sounds = {name: page.data_url(by_id[name].load()) for name in page.shown(scores) if name in by_id}
    files.write_text(run.product("evaluate") / "report.html", page.html(scores, sounds=sounds, facts=facts))


def _hear_model(run: StageRun, path: Path, model: str, clips: Sequence[Clip]) -> list[Hypothesis]:
    """What the engine hears with a `.nemo`; what the base heard is kept from one tuning to the next."""
    batch, section = run.recipe.evaluate.batch, run.recipe.engine

    def start() -> Recognizer:
        from shoptalk.integrations import nemo

        return open_engine(nemo.locate(model), section, batch=batch)

    weights = file_digest(Path(model)) if Path(model).is_file() else model
    signature = [run.stage.code_version, effective(section), weights]
    return recognize(path, clips, start, signature=signature)


def _others(run: StageRun, clips: Sequence[Clip], tuned: Sequence[Hypothesis], taught: Sequence[Term]) -> list[Other]:
    """The recipe's other recognisers on the fixed lists and the imported sets."""
    section, folder = run.recipe.evaluate, run.product("evaluate")
    sets = {*TESTS, *(path.stem for path in section.tests)}
    asked = [clip for clip in clips if clip.asked.set in sets]
    found = []
    for one in section.others:
        path = folder / f"other-{title(one)}.jsonl"
        start = partial(open_recognizer, one, batch=section.batch)
        heard = recognize(path, asked, start, signature=[effective(one)])
        speed = None if one.kind == "openai" else measured_speed(path)
        found.append(compare(title(one), heard, tuned, taught, section, seed=run.recipe.seed, speed=speed))
    return found


def _known(run: StageRun, taught: Sequence[Term]) -> frozenset[str] | None:
    """Ids of the terms that the base read in its training texts; None if the recipe names no such texts."""
    files = run.recipe.evaluate.transcripts_known_to_base
    if not files:
        return None
    texts = [line for file in files for line in read_text(run.resolve(file)).splitlines()]
    openings = {word[:4] for term in taught for form in (term.text, *term.variants) for word in form.lower().split()}
    near = [text for text in texts if any(word[:4] in openings for word in text.lower().split())]
    return terms.occurring(taught, near)
