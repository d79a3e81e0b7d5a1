"""What several tests share."""

from pathlib import Path
from typing import Any

import pytest
from tests import tiny_model


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
