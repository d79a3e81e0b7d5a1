"""Stage 80: the tuned model bundled with its origin and scores."""

from collections.abc import Sequence

from shoptalk.core.examples import read_manifest
from shoptalk.core.files import read
from shoptalk.core.progress import say
from shoptalk.core.records import Example, Hypothesis, Term
from shoptalk.core.scores import SCORES, Scores
from shoptalk.core.sets import TAUGHT
from shoptalk.corpus.voices import accent
from shoptalk.release import packaging
from shoptalk.release.card import Origin
from shoptalk.scoring import publish
from shoptalk.scoring.wer import count_words
from shoptalk.stages.run import StageRun
from shoptalk.stages.training import base_of, model_name, trained_on, tuned_model
from shoptalk.tuning import selection


def package(run: StageRun) -> None:
    """Bundle the tuned model with its origin, scores and lexicon."""
    scores = Scores.model_validate_json((run.product("evaluate") / SCORES).read_text(encoding="utf-8"))
    figures = {key: publish.figures(scores)[key] for key in ("term_error", "general_wer", "test_utterances")}
    section, dataset = run.recipe.package, run.product("dataset")
    synthetic, rehearsed = (len(read_manifest(dataset / f"{name}.jsonl")) for name in ("train", "rehearsal"))
    data = (
        f"{synthetic} synthetic utterances (stages 10-50)",
        f"{rehearsed} utterances of general speech, rehearsed",
        *selection.summary(run.product("train")),
    )
    licence, attributions = section.licence, section.attributions
    corrections = trained_on(run)
    if corrections:
        data = (*data, f"{len(corrections)} corrections of users, with their consent")
    origin = Origin(
        model_name(base_of(run)),
        licence=licence,
        attributions=attributions,
        recipe=run.recipe.name,
        data=data,
        corrections=corrections,
    )
    measured = scores.calibration
    calibration = {"temperature": measured.temperature, "ece": measured.ece} if measured else None
    bundle = packaging.write(
        tuned_model(run),
        run.product("package"),
        config=section,
        origin=origin,
        scores=figures,
        calibration=calibration,
        terms=list(read(run.product("lexicon"), Term)),
        golden=golden_of(
            read_manifest(dataset / f"test-{TAUGHT}.jsonl"),
            before=list(read(run.product("evaluate") / "before.jsonl", Hypothesis)),
            after=list(read(run.product("evaluate") / "after.jsonl", Hypothesis)),
        ),
    )
    say(str(bundle))


def golden_of(
    examples: Sequence[Example], *, before: Sequence[Hypothesis], after: Sequence[Hypothesis]
) -> packaging.Golden | None:
    """The recording that tells the tuned model best from its base: their texts differ most, and the tuned one is right.

    Only speech of our synthetic voices is handed on with a model, nobody's own. None where the test has none.
    """
    base_text = {hypothesis.id: hypothesis.heard for hypothesis in before}
    tuned = {hypothesis.id: hypothesis for hypothesis in after}
    best: tuple[int, packaging.Golden] | None = None
    for example in examples:
        is_synthetic = bool(accent(example.voice)) and not example.patient
        is_whole = example.offset_s is None and example.audio.suffix != ".npy"
        if not (is_synthetic and is_whole) or example.id not in tuned:
            continue
        text = tuned[example.id].heard
        gain = count_words(text, base_text.get(example.id, "")).errors - count_words(example.text, text).errors
        if best is None or gain > best[0]:
            best = gain, packaging.Golden(example.audio, text)
    return best[1] if best else None
