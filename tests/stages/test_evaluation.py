"""Stage 70 without a model: what was heard is kept, an edited test list is refused; and stage 80's origin."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from shoptalk.core import config, files
from shoptalk.core.audio import write_flac
from shoptalk.core.errors import AudioError, ManifestError, ScoringError
from shoptalk.core.examples import read_manifest
from shoptalk.core.protocols import Options
from shoptalk.core.records import Recognition, Samples, Term
from shoptalk.core.scores import SCORES, Scores
from shoptalk.core.sets import TEST_LISTS, TESTS, digest
from shoptalk.stages import evaluation, packaging
from shoptalk.stages.run import Run

TERMS = [
    Term(id="metformin", text="metformin", category="drug"),
    Term(id="apixaban", text="apixaban", category="drug", taught=False),
]
SAID = {"taught": "Take metformin now.", "untaught": "Take apixaban now.", "general": "The sky is blue."}


class Recognizer:
    """Hears the tuned model's sentences right, and nothing of them with the base; counts what it was asked."""

    asked: list[str] = []

    def __init__(self, model: Path, *, batch: int):
        self.model = model.stem

    def recognize(self, audio: Sequence[Samples], options: Sequence[Options] = ()) -> list[Recognition]:
        self.asked += [self.model] * len(audio)
        return [Recognition(text="Take metformin now." if self.model == "tuned" else "mumble") for _ in audio]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run folder up to stage 60, with three test recordings."""
    monkeypatch.setattr(evaluation, "open_engine", lambda path, section, *, batch: Recognizer(path, batch=batch))
    monkeypatch.setattr(Recognizer, "asked", [])
    (tmp_path / "training-text.txt").write_text("I take metformins\nnothing else\n")
    (tmp_path / "base.nemo").write_text("base")
    content = {"name": "three", "train": {"init": "base.nemo"}, "evaluate": {"bootstrap": 100}}
    content["evaluate"] |= {"transcripts_known_to_base": ["training-text.txt"]}
    (tmp_path / "three.yaml").write_text(json.dumps(content))
    made = Run(tmp_path / "run", config.load(tmp_path / "three.yaml"), tmp_path)
    dataset = made.product("dataset")
    dataset.mkdir(parents=True)
    write_flac(dataset / "one.flac", (0.1 * np.sin(np.arange(1600) / 5)).astype(np.float32))
    lines = {name: [_line(name, text)] for name, text in SAID.items()}
    for name in TESTS:
        _write(dataset / f"test-{name}.jsonl", lines[name])
    for name in ("train", "rehearsal", "dev"):
        _write(dataset / f"{name}.jsonl", lines["general"] * 2)
    fixed = {name: digest(read_manifest(dataset / f"test-{name}.jsonl")) for name in TESTS}
    (dataset / TEST_LISTS).write_text(json.dumps(fixed))
    files.write_records(made.product("lexicon"), lambda done: TERMS, signature="x")
    made.product("train").mkdir()
    (made.product("train") / "tuned.nemo").write_text("tuned")
    return made


def _line(name: str, text: str) -> dict[str, object]:
    terms = [term.id for term in TERMS if term.text in text]
    place = {"audio_filepath": "one.flac", "duration": 0.1}
    return {"id": name, **place, "text": text, "term_ids": terms, "cluster": name, "voice": "ann"}


def _write(path: Path, lines: Sequence[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def evaluate(run: Run) -> Scores:
    evaluation.evaluate(run.of_stage("evaluate"))
    return Scores.model_validate_json((run.product("evaluate") / SCORES).read_text())


def figures(scores: Scores) -> dict[str, object]:
    """All but what the clock says."""
    return scores.model_dump(exclude={"speed_before", "speed_after"})


def test_both_models_are_asked_and_scored(run: Run) -> None:
    scores = evaluate(run)
    taught, untaught = scores.sets["taught"].terms, scores.sets["untaught"].terms
    assert taught and (taught.error.before.value, taught.error.after.value) == (1.0, 0.0)
    assert untaught and untaught.error.after.value == 1.0
    assert {row.id: row.known for row in scores.terms} == {"metformin": True, "apixaban": False}
    page = (run.product("evaluate") / "report.html").read_text()
    assert "<html" in page and "data:audio/ogg;base64," in page
    assert Recognizer.asked == ["base"] * 3 + ["tuned"] * 3 + ["tuned"] * 2, "the tests, and for the tuned model dev"
    assert scores.speed_before and scores.speed_after


def test_only_a_model_that_changed_is_asked_again(run: Run) -> None:
    first = evaluate(run)
    (run.product("train") / "tuned.nemo").write_text("tuned otherwise")
    assert figures(evaluate(run)) == figures(first)
    assert Recognizer.asked == ["base"] * 3 + ["tuned"] * 10
    (run.product("evaluate") / "after.jsonl").unlink()
    evaluate(run)
    assert Recognizer.asked[13:] == ["tuned"] * 3


def replace_audio(path: Path) -> None:
    """Another sound of the same length, under the same name, size and time of change."""
    stat = path.stat()
    write_flac(path, np.full(1600, 0.1, np.float32))
    path.write_bytes(path.read_bytes()[: stat.st_size].ljust(stat.st_size, b"\0"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_audio_that_was_replaced_is_recognised_again(run: Run) -> None:
    evaluate(run)
    replace_audio(run.product("dataset") / "one.flac")
    evaluate(run)
    assert Recognizer.asked == (["base"] * 3 + ["tuned"] * 5) * 2


def test_sets_that_are_made_depend_on_noise_seed_and_the_recordings_in_them(run: Run) -> None:
    noise = str(Path(__file__).parents[2] / "assets" / "noise" / "manifest.jsonl")
    more = ["evaluate.snr_db=[10]", "evaluate.silence_s=5", "evaluate.long_form_s=2", f"augment.noise_manifest={noise}"]

    def content(*changes: str) -> dict[str, object]:
        recipe = config.load(run.recipe_folder / "three.yaml", (*more, *changes))
        made = Run(run.folder, recipe, run.recipe_folder)
        return {clip.asked.set: clip.content for clip in evaluation.clips_of(made)}

    before, other_seed = content(), content("seed=8")
    assert before == content()
    assert {name for name in before if before[name] != other_seed[name]} == {"noisy", "silence", "long"}
    replace_audio(run.product("dataset") / "one.flac")
    after = content()
    assert {name for name in before if before[name] == after[name]} == {"silence"}


def test_silence_under_noise_is_named(run: Run) -> None:
    noise = str(Path(__file__).parents[2] / "assets" / "noise" / "manifest.jsonl")
    recipe = config.load(run.recipe_folder / "three.yaml", ("evaluate.snr_db=[10]", f"augment.noise_manifest={noise}"))
    write_flac(run.product("dataset") / "one.flac", np.zeros(1600, np.float32))
    with pytest.raises(AudioError, match="taught@10dB: the speech is silent"):
        evaluate(Run(run.folder, recipe, run.recipe_folder))


def test_conditions_are_sets_of_their_own(run: Run) -> None:
    noise = str(Path(__file__).parents[2] / "assets" / "noise" / "manifest.jsonl")
    changes = ("evaluate.conditions=[telephone, noisy-room]", f"augment.noise_manifest={noise}")
    recipe = config.load(run.recipe_folder / "three.yaml", changes)
    scores = evaluate(Run(run.folder, recipe, run.recipe_folder))
    assert list(scores.sets) == ["taught", "untaught", "general", "taught-noisy-room", "taught-telephone"]


def test_lines_of_a_test_set_that_cannot_be_scored_are_told_at_the_start(run: Run) -> None:
    visits = run.recipe_folder / "visits.jsonl"
    write_flac(run.recipe_folder / "short.flac", np.zeros(200, np.float32))
    shutil.copy(run.product("dataset") / "one.flac", run.recipe_folder / "one.flac")
    short = {**_line("b", "Oh."), "audio_filepath": "short.flac", "duration": 0.0125}
    longer = {**_line("c", "Hello."), "duration": 9}
    absent = {**_line("d", "Hello."), "audio_filepath": "none.flac"}
    _write(visits, [_line("a", "Hello."), short, longer, absent])
    recipe = config.load(run.recipe_folder / "three.yaml", ("evaluate.tests=[visits.jsonl]",))
    with pytest.raises(ManifestError) as told:
        evaluate(Run(run.folder, recipe, run.recipe_folder))
    lines = str(told.value).splitlines()
    assert "visits.jsonl: 3 lines cannot be scored" in lines[0]
    for line, expected in zip(lines[1:], ("line 2: 0.0125 s", "line 3: 9 s are named", "line 4: "), strict=True):
        assert line.strip().startswith(expected)
    assert Recognizer.asked == []


def test_further_sets_are_heard_by_both(run: Run) -> None:
    visits = run.recipe_folder / "visits.jsonl"
    (run.recipe_folder / "two.flac").write_bytes((run.product("dataset") / "one.flac").read_bytes())
    _write(visits, [{**_line("v", "Hello there."), "audio_filepath": "two.flac", "patient": True}])
    noise = str(Path(__file__).parents[2] / "assets" / "noise" / "manifest.jsonl")
    more = ("evaluate.snr_db=[10]", "evaluate.silence_s=20", "evaluate.long_form_s=2", "evaluate.tests=[visits.jsonl]")
    recipe = config.load(run.recipe_folder / "three.yaml", (*more, f"augment.noise_manifest={noise}"))
    scores = evaluate(Run(run.folder, recipe, run.recipe_folder))
    assert list(scores.sets) == ["taught", "untaught", "general", "long", "visits"]
    assert scores.silence and scores.silence.minutes == pytest.approx(20 / 60, abs=0.15)
    assert [row.name for row in scores.slices if row.by == "snr"] == ["10 dB", "clean"]
    assert not [one for one in scores.examples if one.set == "visits"], "a patient's words are in the report"


@pytest.mark.parametrize("edit", [("metformin", "apixaban"), ('"id": "taught"', '"id": "other"')])
def test_an_edited_test_list_is_refused(run: Run, edit: tuple[str, str]) -> None:
    path = run.product("dataset") / "test-taught.jsonl"
    path.write_text(path.read_text().replace(*edit))
    with pytest.raises(ScoringError, match=r"test-taught\.jsonl was changed after it was fixed"):
        evaluate(run)
    (run.product("dataset") / TEST_LISTS).unlink()
    with pytest.raises(ScoringError, match=f"has no {TEST_LISTS}"):
        evaluate(run)
    assert Recognizer.asked == []


def test_the_bundle_says_what_it_was_made_of(run: Run, tiny_nemo: Path) -> None:
    evaluate(run)
    shutil.copy(tiny_nemo, run.product("train") / "tuned.nemo")
    packaging.package(run.of_stage("package"))
    folder = run.product("package")
    origin = json.loads((folder / "bundle.json").read_text())["origin"]
    assert (origin["base"], origin["recipe"]) == ("base", "three")
    assert [line.split()[0] for line in origin["data"]] == ["2", "2"]
    assert json.loads((folder / "scores.json").read_text())["test_utterances"] == 3
