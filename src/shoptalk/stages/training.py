"""Stage 60: the recipe's base, data and noise given to the trainer."""

import json
from collections.abc import Sequence
from pathlib import Path

from shoptalk.core import config, files, runtime
from shoptalk.core.bundle import TRAINED_ON, corrections_of
from shoptalk.core.examples import read_manifest
from shoptalk.core.noise import Noise, NoiseSet, path_of
from shoptalk.core.progress import say
from shoptalk.core.records import CORRECTION
from shoptalk.stages.run import AnyRun, StageRun

SET_BY_TRAINING = (
    *("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS"),  # by Lightning
    "MLFLOW_TRACKING_URI",  # by MLflow
)
"""Environment variables by which a training's processes meet, and where its figures go."""


def train(run: StageRun) -> None:
    """60: the base, tuned; or a base from scratch."""
    runtime.start()
    from shoptalk.testsets.imported import require_trainable
    from shoptalk.tuning.trainer import ASRTrainer, TrainingData

    section = run.recipe.train
    if section.manifests:
        training = [run.resolve(path) for path in section.manifests]
        rehearsal = [run.resolve(path) for path in section.rehearsal_manifests]
        dev = [run.resolve(path) for path in section.dev_manifests]
        for pattern in section.growing_manifests:
            training += run.matching(pattern)
        for path in (*training, *rehearsal, *dev):
            require_trainable(path)
    else:
        dataset = run.product("dataset")
        training = [dataset / "train.jsonl"]
        rehearsal = [dataset / "rehearsal.jsonl"]
        dev = [dataset / "dev.jsonl"]
    noise = _noise(run)
    rerecording = noise if section.rerecorded else None
    data = TrainingData(training, rehearsal, dev, _files_of(noise), rerecording)
    signature = run.signature()
    trainer = ASRTrainer(run.recipe, data, run.product("train"), init=base_of(run), signature=signature, say=say)
    # The stages after this one, and the processes that they start, find the process as it was.
    with runtime.using_threads(section.threads), config.put_back(SET_BY_TRAINING):
        if is_first_process():
            trainer.prepare()
        trainer.fit()
    if is_first_process():
        _note_corrections([*training, *rehearsal], run.product("train") / TRAINED_ON)


def _note_corrections(manifests: Sequence[Path], path: Path) -> None:
    """Write which corrections the manifests have, by their ids; no file where they have none."""
    ids = {example.id for manifest in manifests for example in read_manifest(manifest) if example.source == CORRECTION}
    if ids:
        files.write_text(path, json.dumps({"corrections": sorted(ids)}, indent=1) + "\n")
    else:
        path.unlink(missing_ok=True)


def trained_on(run: AnyRun) -> tuple[str, ...]:
    """Ids of the corrections that the training of a run had."""
    path = run.product("train") / TRAINED_ON
    return corrections_of(path.read_text(encoding="utf-8"), path) if path.is_file() else ()


def is_first_process() -> bool:
    """Whether this is the first of the processes that Lightning or torchrun started, or the only one."""
    return all(config.environment(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def _noise(run: StageRun) -> NoiseSet:
    path = run.resolve(run.recipe.augment.noise_manifest)
    return NoiseSet(tuple(files.read(path, Noise)), path.parent)


def _files_of(noise: NoiseSet) -> list[Path]:
    """The recordings of noise for training."""
    records = [record for record in noise.recordings if record.kind == "noise" and record.split == "train"]
    return [path_of(record, noise.folder) for record in records]


def base_of(run: AnyRun) -> str:
    """The base: a path of the recipe where there is such a file, else a hub name as it stands."""
    init = run.recipe.train.init
    if init.endswith(".nemo") and not run.recipe.train.model:
        return str(run.resolve(Path(init)))
    return init


def tuned_model(run: AnyRun) -> Path:
    """The checkpoint that stage 60 leaves."""
    return run.product("train") / "tuned.nemo"


def model_name(base: str) -> str:
    """Of a model: its file's without the ending; a hub name's last part, whose points are no ending."""
    return Path(base).name.removesuffix(".nemo")
