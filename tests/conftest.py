"""What several tests share."""

import os
import shutil
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from tests import tiny_model

from shoptalk.core import device

device.narrow()  # as SHOPTALK_CPU says, before any test loads NumPy or PyTorch

import torch  # noqa: E402

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported, and when a kernel is made

# how long an example takes is the machine's affair
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def tiny_nemo_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A NeMo `EncDecRNNTBPEModel` of ten thousand random weights, in eval mode."""
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_nemo(tiny_nemo_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a `.nemo` that NeMo wrote."""
    path = tmp_path_factory.mktemp("nemo") / "tiny.nemo"
    tiny_nemo_model.save_to(str(path))
    return path


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with one model; MLflow takes many seconds to make one, so tests copy it."""
    from shoptalk.integrations.registry import Registry

    path = tmp_path_factory.mktemp("registry") / "empty.db"
    Registry(f"sqlite:///{path}", create=True).register("other", path.parent, {"checksums_sha256": "-"})
    return path


@pytest.fixture
def registry_uri(mlflow_database: Path, tmp_path: Path) -> str:
    """URI of a registry of the test's own."""
    shutil.copy(mlflow_database, tmp_path / "registry.db")
    return f"sqlite:///{tmp_path}/registry.db"
