"""A real training of a tiny model on real speech; killed and resumed, it ends as if it had not been."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import pytest
import torch
from tests.tuning import speech

from shoptalk.core import audio, config, text
from shoptalk.core.errors import ModelError, TrainingError
from shoptalk.core.examples import read_manifest
from shoptalk.core.noise import NoiseSet
from shoptalk.integrations import nemo
from shoptalk.tuning.trainer import ASRTrainer, TrainingData, sum_over_processes

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "name=tiny", "seed=3", "train.steps=6", "train.eval_every_steps=2", "train.batch_s=6", "train.warmup_steps=1",
    "train.learning_rate=0.003", "train.dev_utterances=2", "train.feature_noise=0.5", "train.ctc_weight=0.3",
    "train.feature_speeds=[0.9, 1.0]", "train.rehearsal=0.5", "train.ema=0.9", "train.threads=1",
)  # fmt: skip

KILLED = """
import json, os, signal, sys
from pathlib import Path
from shoptalk.core import audio, config, text
from shoptalk.tuning import trainer
from shoptalk.core.examples import read_manifest
from shoptalk.tuning.trainer import ASRTrainer, TrainingData
folder, init, manifest, noise = map(Path, sys.argv[1:5])
def say(line):
    if line.startswith("step 4"):
        os.kill(os.getpid(), signal.SIGKILL)
data = TrainingData([manifest], [manifest], [manifest], [noise])
trainer = ASRTrainer(config.changed(tuple(sys.argv[5:])), data, folder, init=str(init), say=say)
trainer.prepare()
trainer.fit()
"""


@dataclass(frozen=True)
class Setting:
    """What every training of this file starts from."""

    init: Path
    manifest: Path
    noise: Path
    mlflow: Path
    """A database to copy: MLflow takes many seconds to make one."""

    def folder(self, name: str, factory: pytest.TempPathFactory) -> Path:
        """An empty run folder with a database for its figures where the trainer would make one."""
        folder = factory.mktemp(name)
        (folder / "logs").mkdir()
        shutil.copy(self.mlflow, folder / "logs" / "mlflow.db")
        return folder

    def fit(
        self, folder: Path, *changes: str, say: Callable[[str], None] = lambda line: None, signature: str = ""
    ) -> Path:
        recipe = config.changed((*SETTINGS, *changes))
        data = TrainingData([self.manifest], [self.manifest], [self.manifest], [self.noise])
        trainer = ASRTrainer(recipe, data, folder, init=str(self.init), signature=signature, say=say)
        trainer.prepare()
        return trainer.fit()


@pytest.fixture(scope="module")
def setting(tiny_nemo: Path, mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("lists")
    return Setting(tiny_nemo, speech.manifest(folder), speech.entries()[0].audio, mlflow_database)


@pytest.fixture(scope="module", params=["32-true", "bf16-mixed"])
def precision(request: pytest.FixtureRequest) -> str:
    """Each precision is trained in on every CPU, not only the one that this machine would choose."""
    return str(request.param)


@pytest.fixture(scope="module")
def whole(setting: Setting, precision: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training in one go."""
    folder = setting.folder("whole", tmp_path_factory)
    assert setting.fit(folder, f"train.precision={precision}") == folder / "tuned.nemo"
    return folder


def history(folder: Path) -> Any:
    return json.loads((folder / "history.json").read_text())


def assert_equal_trainings(one: Path, other: Path) -> None:
    assert history(one) == history(other)
    states = [torch.load(folder / "last.ckpt", weights_only=True) for folder in (one, other)]
    for part in ("state_dict", "mean"):
        assert states[0][part].keys() == states[1][part].keys()
        for key, value in states[0][part].items():
            assert torch.allclose(value, states[1][part][key], atol=1e-6), key
    models = [nemo.restore(folder / "tuned.nemo").state_dict() for folder in (one, other)]
    assert all(torch.allclose(value, models[1][key], atol=1e-6) for key, value in models[0].items())


def test_a_training_ends_with_a_model_that_restores(whole: Path, setting: Setting) -> None:
    assert [row["step"] for row in history(whole)] == [2, 4, 6]
    tuned, base = nemo.restore(whole / "tuned.nemo").state_dict(), nemo.restore(setting.init).state_dict()
    best = torch.load(whole / "best.pt", weights_only=True)
    assert tuned.keys() == base.keys() == best.keys()
    assert all(torch.equal(tuned[key], best[key]) for key in best)
    assert not torch.equal(tuned["joint.enc.weight"], base["joint.enc.weight"])
    statistics = [key for key in base if "running_" in key]
    assert statistics and all(torch.equal(tuned[key], base[key]) for key in statistics)
    assert not list(whole.rglob("*.partial"))


def test_it_is_tracked(whole: Path) -> None:
    from mlflow.tracking import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    client = MlflowClient(f"sqlite:///{whole}/logs/mlflow.db")
    (experiment,) = [one for one in client.search_experiments() if one.name == "tiny"]
    (*_, run) = client.search_runs([experiment.experiment_id])  # the first that was begun
    assert run.data.params["learning_rate"] == "0.003" and run.data.params["seed"] == "3"
    wers = {one.step: one.value for one in client.get_metric_history(run.info.run_id, "dev_wer")}
    assert len(wers) == 3 and run.info.status == "FINISHED"
    events = EventAccumulator(str(whole / "logs" / "tensorboard")).Reload()
    assert [one.value for one in events.Scalars("dev_wer")] == pytest.approx([row["dev_wer"] for row in history(whole)])


def test_stopped_and_resumed_it_equals_one_in_one_go(
    whole: Path, setting: Setting, precision: str, tmp_path: Path
) -> None:
    def stop(line: str) -> None:
        if line.startswith("step 4"):
            raise KeyboardInterrupt

    shared = (f"train.mlflow=sqlite:///{whole}/logs/mlflow.db", f"train.precision={precision}")
    with pytest.raises(BaseException):  # noqa: B017  Lightning makes a SystemExit of it
        setting.fit(tmp_path, *shared, say=stop)
    assert not (tmp_path / "tuned.nemo").exists()
    said: list[str] = []
    setting.fit(tmp_path, *shared, say=said.append)
    assert [line.split(":")[0] for line in said if line.startswith("step")] == ["step 6"]
    assert_equal_trainings(whole, tmp_path)


@pytest.mark.parametrize("first", ["bf16-mixed", "32-true"])
def test_a_training_goes_on_in_another_precision(first: str, setting: Setting, tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("step 4"):
            raise KeyboardInterrupt

    (second,) = {"bf16-mixed", "32-true"} - {first}
    with pytest.raises(BaseException):  # noqa: B017  Lightning makes a SystemExit of it
        setting.fit(tmp_path, f"train.precision={first}", say=stop)
    before = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert {value.dtype for value in before["state_dict"].values() if value.is_floating_point()} == {torch.float32}
    setting.fit(tmp_path, f"train.precision={second}")
    after = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert (before["global_step"], after["global_step"]) == (4, 6)
    assert [row["step"] for row in history(tmp_path)] == [2, 4, 6]
    for key, value in before["mean"].items():
        if value.is_floating_point():
            assert torch.isfinite(after["mean"][key]).all() and (after["mean"][key] - value).abs().max() < 0.1, key


@pytest.mark.slow
def test_killed_and_resumed_it_equals_one_in_one_go(
    whole: Path, setting: Setting, precision: str, tmp_path: Path
) -> None:
    paths = [str(path) for path in (tmp_path, setting.init, setting.manifest, setting.noise)]
    command = [sys.executable, "-c", KILLED, *paths, *SETTINGS, f"train.precision={precision}"]
    assert subprocess.run(command, check=False, cwd=ROOT / "src", capture_output=True).returncode == -9
    assert (tmp_path / "last.ckpt").exists()
    setting.fit(tmp_path, f"train.precision={precision}")
    assert_equal_trainings(whole, tmp_path)


@pytest.fixture(scope="module")
def by_two(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training by two processes, in one go."""
    folder = setting.folder("two", tmp_path_factory)
    setting.fit(folder, "train.devices=2")
    return folder


def test_two_processes_score_all_of_dev(by_two: Path, setting: Setting) -> None:
    assert [row["step"] for row in history(by_two)] == [2, 4, 6]
    assert not list(by_two.rglob("*.partial"))
    dev = [read_manifest(setting.manifest)[place] for place in (0, -1)]
    heard = nemo.NemoRecognizer(nemo.restore(by_two / "tuned.nemo"), batch=2).recognize(
        [audio.decode(entry.audio) for entry in dev]
    )
    references = [" ".join(text.words(entry.text)) for entry in dev]
    wer = jiwer.wer(references, [" ".join(text.words(one.text)) for one in heard])
    assert min(row["dev_wer"] for row in history(by_two)) == pytest.approx(wer, abs=1e-4)


@pytest.mark.slow
def test_two_processes_killed_and_resumed_equal_one_go(by_two: Path, setting: Setting, tmp_path: Path) -> None:
    paths = [str(path) for path in (tmp_path, setting.init, setting.manifest, setting.noise)]
    command = [sys.executable, "-c", KILLED, *paths, *SETTINGS, "train.devices=2"]
    assert subprocess.run(command, check=False, cwd=ROOT / "src", capture_output=True).returncode != 0
    assert (tmp_path / "last.ckpt").exists() and not (tmp_path / "tuned.nemo").exists()
    setting.fit(tmp_path, "train.devices=2")
    assert_equal_trainings(by_two, tmp_path)


def test_a_finished_training_is_not_done_again(whole: Path, setting: Setting, precision: str) -> None:
    before = history(whole), (whole / "last.ckpt").read_bytes()
    (whole / "tuned.nemo").unlink()  # killed before the model was written
    said: list[str] = []
    assert setting.fit(whole, f"train.precision={precision}", say=said.append).is_file()
    assert not [line for line in said if line.startswith("step")]
    assert (history(whole), (whole / "last.ckpt").read_bytes()) == before


def test_work_of_another_signature_is_removed(setting: Setting, tmp_path: Path) -> None:
    recipe = config.changed(SETTINGS)
    data = TrainingData([setting.manifest], [], [setting.manifest])
    (tmp_path / "last.ckpt").write_text("of a training without a note")
    said: list[str] = []

    def prepare(signature: str) -> None:
        ASRTrainer(recipe, data, tmp_path, init="", signature=signature, say=said.append).forget_other_work()

    for signature in ("", "one", "one"):
        prepare(signature)
    assert (tmp_path / "last.ckpt").exists() and not said
    prepare("other")
    assert [path.name for path in tmp_path.iterdir()] == ["signature"] and "starting anew" in said[0]


def test_what_cannot_be_trained_on_is_named(setting: Setting, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    recipe, model = config.changed(SETTINGS), nemo.restore(setting.init)
    with pytest.raises(TrainingError, match="nothing to train on"):
        ASRTrainer(recipe, TrainingData([empty], [], [empty]), tmp_path, init="").rounds(model)
    with pytest.raises(TrainingError, match="no dev recordings"):
        ASRTrainer(recipe, TrainingData([empty], [], [empty]), tmp_path, init="").dev()
    with pytest.raises(ModelError):
        ASRTrainer(recipe, TrainingData([empty], [], [empty]), tmp_path, init="none.nemo").restore()


def files_below(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


def test_what_was_prepared_is_shared_and_only_read(setting: Setting, tmp_path: Path) -> None:
    data = TrainingData([setting.manifest], [setting.manifest], [setting.manifest], [setting.noise])
    trainers = [
        ASRTrainer(
            config.changed(SETTINGS), data, tmp_path, init=str(setting.init), signature="one", say=lambda _: None
        )
        for _ in range(2)
    ]
    model = nemo.restore(setting.init)
    with pytest.raises(TrainingError, match="prepare it first, in one process"):
        trainers[0].fit()
    with pytest.raises(TrainingError, match="prepare them first"):
        trainers[0].rounds(model)
    assert not list(tmp_path.iterdir()), "a process that trains writes nothing of what it shares"
    trainers[0].prepare()
    prepared = files_below(tmp_path)
    trainers[1].prepare()
    batches = [list(trainer.rounds(model)) for trainer in trainers]
    assert all(torch.equal(ours.features, theirs.features) for ours, theirs in zip(*batches, strict=True))
    assert files_below(tmp_path) == prepared
    (tmp_path / "signature").write_text("other")
    with pytest.raises(TrainingError, match="prepare it first, in one process"):
        trainers[1].fit()


@dataclass
class Doubling:
    """A strategy of two processes that count the same, on a device that holds no numbers of the CPU's."""

    root_device: torch.device
    devices: list[str]

    def reduce(self, counts: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "sum"
        self.devices.append(counts.device.type)
        return torch.tensor([6, 20])


def test_counts_are_added_on_the_device_of_the_strategy() -> None:
    strategy = Doubling(torch.device("meta"), [])
    assert sum_over_processes([3, 10], strategy) == [6, 20]
    assert strategy.devices == ["meta"]


def test_dev_is_a_fixed_spread_subset(setting: Setting, tmp_path: Path) -> None:
    data = TrainingData([], [], [setting.manifest, setting.manifest])
    recipe = config.changed(("train.dev_utterances=3",))
    names = [entry.id for entry in speech.entries()] * 2
    chosen = [entry.id for entry in ASRTrainer(recipe, data, tmp_path, init="").dev()]
    assert chosen == [names[0], names[4], names[7]]


def test_dev_is_scored_for_each_source_and_the_hours_are_counted(setting: Setting, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in setting.manifest.read_text().splitlines()]
    sourced = tmp_path / "sourced.jsonl"
    sources = ("book", "game", "book", "game")
    lines = [json.dumps({**row, "source": source}) for row, source in zip(rows, sources, strict=True)]
    sourced.write_text("".join(line + "\n" for line in lines))
    recipe = config.changed((
        *SETTINGS, "train.steps=2", "train.dev_utterances=4", "train.joined=0.3", "train.wordless=0.2",
        "train.feature_babble=0.5", "train.feature_ends=0.5", "train.feature_tempo=[0.9, 1.1]",
    ))  # fmt: skip
    said: list[str] = []
    data = TrainingData([setting.manifest], [sourced], [sourced], [setting.noise])
    trainer = ASRTrainer(recipe, data, tmp_path / "run", init=str(setting.init), say=said.append)
    trainer.prepare()
    trainer.fit()
    (row,) = history(tmp_path / "run")
    words = {source: 0 for source in sources}
    for line, source in zip(rows, sources, strict=True):
        words[source] += len(text.words(line["text"]))
    total = sum(row[f"dev_wer_{source}"] * count for source, count in words.items())
    assert row["dev_wer"] == pytest.approx(total / sum(words.values()), abs=1e-4)
    assert 0 < row["hours"] <= 2 * 6 * 1.3 / 3600  # two steps of at most six seconds, with quiet added
    assert any("book" in line and "game" in line for line in said)


def test_a_model_from_scratch_has_the_shape_of_the_recipe(setting: Setting, tmp_path: Path) -> None:
    widths = "{d_model: 16, layers: 1, heads: 2, subsampling_channels: 8, predictor: 16, joint: 16, vocabulary: 100}"
    recipe = config.changed((f"train.model={widths}", "train.sigma=0.03", "train.omega=0.2"))
    trainer = ASRTrainer(recipe, TrainingData([setting.manifest], [], [setting.manifest]), tmp_path, init="")
    with pytest.raises(TrainingError, match="prepare the training first"):
        trainer.restore()
    trainer.prepare()
    model = trainer.restore()
    nemo.check_is_tdt(model)
    assert model.tokenizer.vocab_size == 100 and model.cfg.loss.tdt_kwargs.omega == 0.2
    assert nemo.durations(model) == (0, 1, 2, 3, 4) and model.cfg.encoder.d_model == 16


def test_a_recording_made_anew_without_effects_has_the_features_that_are_kept(setting: Setting, tmp_path: Path) -> None:
    none = ("noise=0", "room=0", "telephone=0", "codec=0", "gain_db=[0, 0]")
    settings = (*SETTINGS, *(f"augment.{effect}" for effect in none), "train.feature_noise=0")
    data = TrainingData([setting.manifest], [], [setting.manifest], [], NoiseSet((), tmp_path))
    batches = []
    for part in (0, 1):
        recipe = config.changed((*settings, f"train.rerecorded={part}"))
        trainer = ASRTrainer(recipe, data, tmp_path, init=str(setting.init), say=lambda line: None)
        trainer.prepare()
        batches.append(next(iter(trainer.rounds(trainer.restore()))))
    kept, anew = batches
    assert torch.equal(kept.tokens, anew.tokens) and torch.equal(kept.frames, anew.frames)
    assert not torch.equal(kept.features, anew.features), "kept features are rounded to 16 bits"
    torch.testing.assert_close(anew.features, kept.features, atol=0.03, rtol=0)
