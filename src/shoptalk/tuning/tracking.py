"""Lightning's own MLflow and TensorBoard loggers; NeMo's exp_manager raises on a second run of a name."""

from pathlib import Path
from typing import Any

from shoptalk.core import config
from shoptalk.core.files import write_text
from shoptalk.core.recipe import Recipe


def loggers(recipe: Recipe, folder: Path) -> list[Any]:
    """One logger each for TensorBoard and MLflow, both below `folder` unless the recipe names a tracking server."""
    config.no_telemetry()
    from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger

    folder.mkdir(parents=True, exist_ok=True)
    mlflow = MLFlowLogger(
        experiment_name=recipe.name,
        run_id=_known_run(folder),
        tracking_uri=recipe.train.mlflow or f"sqlite:///{folder.resolve()}/mlflow.db",
        artifact_location=f"file://{folder.resolve()}/mlflow-artifacts",
    )
    if not _known_run(folder) and mlflow.run_id:
        # Once only: a resumed run may have more steps, and MLflow refuses to change a parameter.
        mlflow.log_hyperparams({"seed": recipe.seed, **recipe.train.model_dump(mode="json")})
        write_text(folder / "mlflow-run", mlflow.run_id)
    return [mlflow, TensorBoardLogger(save_dir=folder, name="tensorboard", version="")]


def _known_run(folder: Path) -> str | None:
    """The MLflow run of an interrupted training, so that it goes on in the same one."""
    note = folder / "mlflow-run"
    return note.read_text() if note.is_file() else None
