"""Stage 80: the tuned model bundled with its origin and scores."""

from shoptalk.core.examples import read_manifest
from shoptalk.core.files import read
from shoptalk.core.progress import say
from shoptalk.core.records import Term
from shoptalk.core.scores import SCORES, Scores
from shoptalk.release import packaging
from shoptalk.release.card import Origin
from shoptalk.scoring import publish
from shoptalk.stages.run import StageRun
from shoptalk.stages.training import base_of, model_name, tuned_model
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
    origin = Origin(
        model_name(base_of(run)), licence=licence, attributions=attributions, recipe=run.recipe.name, data=data
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
    )
    say(str(bundle))
