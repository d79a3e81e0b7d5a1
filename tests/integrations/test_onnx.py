"""What is said where ONNX Runtime is not installed."""

import sys
from pathlib import Path

import pytest

from shoptalk.core.errors import MissingToolError
from shoptalk.integrations import onnx


def test_a_missing_runtime_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingToolError, match="pip install"):
        onnx.session(Path("any.onnx"), threads=1)
