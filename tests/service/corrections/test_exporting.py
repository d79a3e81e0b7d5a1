"""Corrections as training data: what is written, what is left out by name, where copies went, what was trained on."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.service.corrections.keeping import SPOKEN, Ward
from tests.tuning import speech

from shoptalk.cli import main
from shoptalk.core import audio, config, files
from shoptalk.core.bundle import read_trained_on
from shoptalk.core.errors import RegistryError
from shoptalk.core.examples import read_manifest
from shoptalk.core.recipe import PackageSection
from shoptalk.corpus import lexicon
from shoptalk.release import packaging
from shoptalk.release.card import Origin
from shoptalk.service.corrections import exporting, trained
from shoptalk.service.corrections.changes import Added, added, changed_words
from shoptalk.service.corrections.exporting import export
from shoptalk.stages import execution
from shoptalk.stages.run import Run
from shoptalk.stages.training import trained_on


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


# ---- what changed


@pytest.mark.parametrize(
    ("original", "text", "expected"),
    [
        ("Start met for men today.", "Start metformin today.", [Added("metformin", "met for men")]),
        ("Take it daily", "Take it, daily!", []),
        ("take it", "Take apixaban 5 mg daily", [Added("apixaban 5 mg daily", "it")]),
        ("the the", "the", []),
        ("", "No known allergies", [Added("No known allergies", "")]),
        ("a b c d e f g", "h i j k l m n", []),
        ("dose of 5", "dose of 10", []),
        ("give ventilin now", "give Ventolin (salbutamol) now", [Added("Ventolin salbutamol", "ventilin")]),
    ],
)
def test_added_terms(original: str, text: str, expected: list[Added]) -> None:
    assert added(original, text) == expected


def test_words_are_counted_as_word_errors_are() -> None:
    assert changed_words("Start met for men today.", "start metformin today") == 3
    assert changed_words("The same.", "the same") == 0


# ---- files


def test_a_folder_has_what_training_needs_and_nothing_of_who_it_was(ward: Ward, tmp_path: Path) -> None:
    ward.answer("visit-17")
    ward.answer("visit-18")
    whole = ward.correct(request_id="visit-17")
    part = ward.correct("metformin", "visit-18", start_s=0.5, end_s=2.0)
    done = export(ward.corrections, tmp_path / "out")
    lines = {example.id: example for example in read_manifest(tmp_path / "out" / exporting.MANIFEST)}
    assert set(lines) == {whole, part} and done.skipped == []
    assert lines[whole].text == "Start metformin today." and lines[whole].duration_s == 3.0
    assert lines[part].text == "Start metformin today." and lines[part].duration_s == 3.0
    assert all(line.source == "correction" and line.patient for line in lines.values())
    assert np.abs(audio.decode(lines[whole].audio) - SPOKEN).max() < 1e-4
    assert np.abs(audio.decode(lines[part].audio) - SPOKEN).max() < 1e-4
    changes = [json.loads(line) for line in (tmp_path / "out" / exporting.CHANGES).read_text().splitlines()]
    assert {(line["id"], line["added"], line["instead_of"]) for line in changes} == {
        (whole, "metformin", "met for men"),
        (part, "metformin", "met for men"),
    }
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"ward7" not in content and b"visit-1" not in content and "visit" not in path.name
    terms = lexicon.load([tmp_path / "out" / exporting.TERMS])
    assert [(term.text, term.category) for term in terms] == [("metformin", "corrected")]


def test_further_parts_change_the_passage_and_its_recording(ward: Ward, tmp_path: Path) -> None:
    ward.answer()
    first = ward.correct("metformin", start_s=0.5, end_s=2.0)
    export(ward.corrections, tmp_path / "out")
    second = ward.correct("Begin", start_s=0.0, end_s=0.45)
    done = export(ward.corrections, tmp_path / "out")
    [example] = done.examples
    assert example.text == "Begin metformin today." and example.id in (first, second)
    assert [path.name for path in (tmp_path / "out" / exporting.AUDIO).iterdir()] == [example.audio.name]


def test_what_is_no_example_is_named_with_its_reason(ward: Ward, tmp_path: Path) -> None:
    ward.answer("old")
    expired = ward.correct(request_id="old")
    ward.clock.pass_(days=91)
    for name in ("none", "gone", "empty", "mixed", "refused"):
        ward.answer(name, keep=name != "none")
    ward.answer("two", channels=2)
    ids = {
        "no recording was kept": ward.correct(request_id="none", original="Start met for men today."),
        "is not there any more": ward.correct(request_id="gone"),
        "several channels": ward.correct(request_id="two"),
        "no words": ward.correct(" ", "empty"),
        "has no consent": ward.correct("metformin", "mixed", start_s=0.5, end_s=2.0),
        "it has expired": expired,
    }
    ward.correct("Secret", "refused", consent=False)
    ward.correct("Hidden", "mixed", start_s=2.0, end_s=2.4, consent=False)
    ward.keeper.forget("gone", None)
    done = export(ward.corrections, tmp_path / "out")
    told = dict(done.skipped)
    assert done.examples == [] and done.without_consent == 2
    assert set(told) == set(ids.values())
    for reason, id_ in ids.items():
        assert reason in told[id_]
    assert done.terms["metformin"] == 2
    assert not (tmp_path / "out" / exporting.MANIFEST).exists()
    told_terms = (tmp_path / "out" / exporting.CHANGES).read_text()
    assert "Secret" not in told_terms and "Hidden" not in told_terms


def test_an_interrupted_export_goes_on_and_is_whole_or_absent(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        ward.answer(f"req_{number}")
        ward.correct(request_id=f"req_{number}")
    folder, written = tmp_path / "out", 0
    write = files.write_bytes

    def broken(path: Path, content: bytes) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(exporting.files, "write_bytes", broken)
        with pytest.raises(KeyboardInterrupt):
            export(ward.corrections, folder)
    assert not (folder / exporting.MANIFEST).exists()
    [first] = (folder / exporting.AUDIO).iterdir()
    made = first.stat().st_mtime_ns
    assert len(export(ward.corrections, folder).examples) == 3
    assert first.stat().st_mtime_ns == made
    assert len(read_manifest(folder / exporting.MANIFEST)) == 3


def test_a_later_export_loses_what_was_deleted(ward: Ward, tmp_path: Path) -> None:
    ward.answer("stays")
    ward.answer("goes")
    stays, goes = ward.correct(request_id="stays"), ward.correct(request_id="goes")
    folder = tmp_path / "out"
    export(ward.corrections, folder)
    ward.corrections.forget("goes", None)
    done = export(ward.corrections, folder)
    assert done.removed == [goes]
    assert [example.id for example in read_manifest(folder / exporting.MANIFEST)] == [stays]
    assert [path.stem for path in (folder / exporting.AUDIO).iterdir()] == [stays]


def test_copies_are_known_by_the_request_though_the_correction_is_gone(ward: Ward, tmp_path: Path) -> None:
    ward.answer("visit-17")
    id_ = ward.correct(request_id="visit-17")
    assert ward.corrections.exports([id_]) == []
    for folder in ("first", "second", "first"):
        export(ward.corrections, tmp_path / folder)
        ward.clock.pass_(seconds=1)
    ward.clock.pass_(days=100)
    ward.corrections.sweep()
    assert ward.corrections.ids_of("visit-17", "ward7") == (id_,) == ward.corrections.ids_of("visit-17", None)
    assert ward.corrections.ids_of("visit-17", "other") == () == ward.corrections.ids_of("visit-18", None)
    copies = ward.corrections.exports([id_])
    assert [copy.folder for copy in copies] == [str(tmp_path / "first"), str(tmp_path / "second")]
    ward.store.close()
    assert not [path for path in (tmp_path / "store").iterdir() if b"visit-17" in path.read_bytes()]


def test_the_command_writes_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.jsonl"
    file.touch()
    more = {"keys_file": file, "keep_audio_dir": tmp_path / "kept", "keep_audio_key": tmp_path / "key"}
    ward = Ward(tmp_path, **more)
    ward.clock.now = datetime.now(UTC)
    ward.answer()
    ward.correct()
    ward.answer("without", keep=False)
    ward.correct(request_id="without", consent=False)
    ward.store.close()
    options = [f"serve.{key}={value}" for key, value in more.items()]
    options += [f"serve.store_dir={tmp_path / 'store'}", f"serve.store_key={tmp_path / 'key'}"]
    arguments = [word for option in options for word in ("--set", option)]
    assert main(["corrections", "export", str(tmp_path / "out"), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "1 examples, 3.0 s, 1 terms; 1 corrections without consent were left out" in printed
    assert len(read_manifest(tmp_path / "out" / exporting.MANIFEST)) == 1
    assert main(["corrections", "export", str(tmp_path / "out")]) == 2
    assert "serve.store_dir" in capsys.readouterr().err


# ---- training


def test_a_training_notes_its_corrections_and_a_deletion_finds_the_model(
    ward: Ward, tmp_path: Path, tiny_nemo: Path, mlflow_database: Path
) -> None:
    """From two corrections to a training of two steps, a bundle, and the models that list one of them."""
    ward.answer("mine")
    ward.answer("other")
    mine, other = ward.correct(request_id="mine"), ward.correct(request_id="other")
    export(ward.corrections, tmp_path / "out")
    plain = speech.manifest(tmp_path)
    manifests = f"[{plain}, {tmp_path / 'out' / exporting.MANIFEST}]"
    changes = (
        "name=corrected", f"train.init={tiny_nemo}", f"train.manifests={manifests}", f"train.dev_manifests=[{plain}]",
        f"train.rehearsal_manifests=[{plain}]", "train.steps=2", "train.eval_every_steps=2", "train.batch_s=12",
        "train.warmup_steps=1", "train.dev_utterances=2", "train.threads=1", "train.precision=32-true",
    )  # fmt: skip
    run = Run(tmp_path / "run", config.changed(changes), Path.cwd())
    (run.folder / "60-train" / "logs").mkdir(parents=True)
    shutil.copy(mlflow_database, run.folder / "60-train" / "logs" / "mlflow.db")
    execution.make(run, "train")
    assert trained_on(run) == tuple(sorted([mine, other]))

    origin = Origin("tiny", licence="MIT", attributions=(), recipe="corrected", corrections=(mine, other))
    section = PackageSection(name="tuned", title="Tuned")
    bundles = tmp_path / "models"
    nemo = run.product("train") / "tuned.nemo"
    bundle = packaging.write(nemo, bundles / "tuned", config=section, origin=origin, scores=None)
    assert read_trained_on(bundle) == tuple(sorted([mine, other]))
    assert mine not in (bundle / "bundle.json").read_text()
    plainly = Origin("tiny", licence="MIT", attributions=(), recipe="plain")
    without = packaging.write(nemo, bundles / "plain", config=section, origin=plainly, scores=None)
    assert read_trained_on(without) == () == read_trained_on(nemo)
    (bundles / "broken").mkdir()
    (bundles / "broken" / "checksums.json").write_text('{"trained_on.json": "0"}')

    def registry() -> list[tuple[str, Path]]:
        return [("tuned version 3", bundle), ("gone version 1", tmp_path / "nowhere")]

    ids = ward.corrections.ids_of("mine", "ward7")
    found = trained.search(ids, served=lambda: [("served", bundle)], folder=bundles, registered=registry)
    assert [(model.name, model.place, model.corrections) for model in found.models] == [
        ("served", "served", (mine,)),
        ("tuned", "models_folder", (mine,)),
        ("tuned version 3", "registry", (mine,)),
    ]
    assert found.not_searched == ["models_folder: broken", "registry: gone version 1"]


def test_a_registry_that_does_not_answer_is_told() -> None:
    def unreachable() -> list[tuple[str, Path]]:
        raise RegistryError("no answer")

    found = trained.search(["corr_1"], served=lambda: [], folder=None, registered=unreachable)
    assert found.models == [] and found.not_searched == ["registry"]


def test_a_training_without_corrections_notes_none(tmp_path: Path) -> None:
    assert trained_on(Run(tmp_path / "run", config.changed(()), Path.cwd())) == ()
