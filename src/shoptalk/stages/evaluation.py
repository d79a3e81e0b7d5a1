"""Stage 70: the test sets recognised by base, tuned model and others, the scores and their reports."""

from collections.abc import Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from shoptalk.core import files, pages
from shoptalk.core import terms as term_forms
from shoptalk.core.files import file_digest
from shoptalk.core.noise import Noise, NoiseSet
from shoptalk.core.progress import say
from shoptalk.core.protocols import Recognizer
from shoptalk.core.recipe import effective
from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import GATE, SCORES, Other, Scores
from shoptalk.core.sets import GENERAL, TAUGHT
from shoptalk.core.tables import read_text
from shoptalk.corpus.voices import accent
from shoptalk.scoring.evaluate import compare
from shoptalk.scoring.evaluate import evaluate as score
from shoptalk.scoring.report import page, tables
from shoptalk.stages.recognition import measured_speed, recognize
from shoptalk.stages.recognizers import open_engine, open_recognizer, title
from shoptalk.stages.run import AnyRun, StageRun
from shoptalk.stages.training import base_of, model_name, tuned_model
from shoptalk.testsets import clips as test_clips
from shoptalk.testsets import conditions
from shoptalk.testsets.clips import Clip
from shoptalk.tuning import selection


def evaluate(run: StageRun) -> None:
    """Recognise the test sets with base, tuned model and others, score, and write JSON, Markdown and HTML."""
    base, tuned = base_of(run), tuned_model(run)
    folder, clips = run.product("evaluate"), clips_of(run)
    before = _recognize_by_engine(run, folder / "before.jsonl", base, clips)
    after = _recognize_by_engine(run, folder / "after.jsonl", str(tuned), clips)
    dev_clips = test_clips.dev(run.product("dataset"), accent)
    dev = _recognize_by_engine(run, folder / "dev.jsonl", str(tuned), dev_clips)
    terms = list(files.read(run.product("lexicon"), Term))
    section, seed = run.recipe.evaluate, run.recipe.seed
    scores = score(before, after, terms, section, seed=seed, known=_known(run, terms), dev=dev)
    more = {
        "others": tuple(_others(run, clips, after, terms)),
        "speed_before": measured_speed(folder / "before.jsonl"),
        "speed_after": measured_speed(folder / "after.jsonl"),
    }
    scores = scores.model_copy(update=more)
    (folder / GATE).unlink(missing_ok=True)
    files.write_text(folder / "report.md", tables.markdown(scores))
    _write_report(run, scores, clips, base=base)
    files.write_text(folder / SCORES, scores.model_dump_json(indent=1) + "\n")
    say(f"report: {folder / 'report.html'}")


def clips_of(run: AnyRun) -> list[Clip]:
    """Everything that a recogniser is tested with: the fixed lists of stage 50, and the sets that the recipe adds."""
    fixed = test_clips.listed(run.product("dataset"), accent)
    clips = [*fixed, *_further(run, fixed)]
    test_clips.require_distinct(clips)
    return clips


def _further(run: AnyRun, clips: Sequence[Clip]) -> list[Clip]:
    """The sets that the recipe asks for beside the fixed lists: imported, noisy, long, silence."""
    section, seed = run.recipe.evaluate, run.recipe.seed
    further: list[Clip] = []
    for path in section.tests:
        further += test_clips.read(run.resolve(path), path.stem, accent)
    trained = [clip for clip in clips if clip.asked.set == TAUGHT]
    general = [clip for clip in clips if clip.asked.set == GENERAL]
    if section.snr_db or section.silence_s:
        noise_manifest = run.resolve(run.recipe.augment.noise_manifest)
        noise = conditions.noise_recordings(noise_manifest)
    ranked = sorted(trained, key=lambda clip: sha256(clip.asked.id.encode()).digest())
    chosen = ranked[: section.noisy_utterances]
    for snr_db in section.snr_db:
        for clip in chosen:
            further.append(test_clips.under_noise(clip, noise, snr_db, seed, noise_content=file_digest(noise_manifest)))
    further += _under_conditions(run, chosen)
    if section.silence_s:
        for name, samples_T in conditions.silence(noise, section.silence_s, seed):
            further.append(test_clips.silent(name, samples_T))
    if section.long_form_s:
        further += test_clips.long(trained + general, section.long_form_s, seed)
    return further


def _under_conditions(run: AnyRun, clips: Sequence[Clip]) -> Iterator[Clip]:
    """A set of these sentences for each condition that the recipe tests under."""
    if not run.recipe.evaluate.conditions:
        return
    manifest = run.resolve(run.recipe.augment.noise_manifest)
    noise = NoiseSet(tuple(files.read(manifest, Noise)), manifest.parent)
    content = file_digest(manifest)
    for condition in dict.fromkeys(run.recipe.evaluate.conditions):
        for clip in clips:
            yield test_clips.under_condition(clip, condition, noise, run.recipe.seed, noise_content=content)


def _write_report(run: StageRun, scores: Scores, clips: Sequence[Clip], *, base: str) -> None:
    """The page of the run, with the recordings of its sentences in it."""
    facts = {"Recipe": run.recipe.name, "Base": model_name(base), "Seed": str(run.recipe.seed)}
    if trained := selection.summary(run.product("train")):
        facts["Training data"] = "; ".join(trained)
    private = run.recipe.evaluate.report_private
    by_id = {clip.asked.id: clip for clip in clips if private or not clip.asked.patient}
    sounds = {name: pages.data_url(by_id[name].load()) for name in page.shown(scores) if name in by_id}
    files.write_text(run.product("evaluate") / "report.html", page.html(scores, sounds=sounds, facts=facts))


def _recognize_by_engine(run: StageRun, path: Path, model: str, clips: Sequence[Clip]) -> list[Hypothesis]:
    """The engine's hypotheses with a `.nemo`; those of the base are kept from one tuning to the next."""
    batch, section = run.recipe.evaluate.batch, run.recipe.engine

    def start() -> Recognizer:
        from shoptalk.integrations import nemo

        return open_engine(nemo.locate(model), section, batch=batch)

    weights = file_digest(Path(model)) if Path(model).is_file() else model
    signature = [run.stage.code_version, effective(section), weights]
    return recognize(path, clips, start, signature=signature)


def _others(run: StageRun, clips: Sequence[Clip], tuned: Sequence[Hypothesis], terms: Sequence[Term]) -> list[Other]:
    """The recipe's other recognisers on the fixed lists and the imported sets."""
    section, folder = run.recipe.evaluate, run.product("evaluate")
    sets = {*test_clips.fixed_lists(run.product("dataset")), *(path.stem for path in section.tests)}
    asked = [clip for clip in clips if clip.asked.set in sets]
    compared = []
    for other in section.others:
        name = title(other)
        path = folder / f"other-{name}.jsonl"
        start = partial(open_recognizer, other, batch=section.batch)
        hypotheses = recognize(path, asked, start, signature=[effective(other)])
        speed = None if other.kind == "openai" else measured_speed(path)
        compared.append(compare(name, hypotheses, tuned, terms, section, seed=run.recipe.seed, speed=speed))
    return compared


def _known(run: StageRun, terms: Sequence[Term]) -> frozenset[str] | None:
    """Ids of the terms that the base read in its training texts; None if the recipe names no such texts."""
    paths = run.recipe.evaluate.transcripts_known_to_base
    if not paths:
        return None
    openings: set[str] = set()
    for term in terms:
        for form in (term.text, *term.variants):
            openings.update(word[:4] for word in form.lower().split())
    near = []
    for path in paths:
        for text in read_text(run.resolve(path)).splitlines():
            if any(word[:4] in openings for word in text.lower().split()):
                near.append(text)
    return term_forms.occurring(terms, near)
