"""`shoptalk export` with the real base: both forms, checked against the engine."""

from pathlib import Path

import pytest

from shoptalk.cli import main
from shoptalk.core.errors import MissingToolError, ModelError
from shoptalk.engine import onnx_parity
from shoptalk.integrations import onnx
from shoptalk.stages import exporting

BASE = "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"


@pytest.mark.parametrize(("form", "graphs"), [("onnx-asr", 2), ("sherpa-onnx", 3)])
def test_graphs_are_written_and_checked(
    form: str, graphs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", BASE, "--to", str(tmp_path / "new"), "--form", form]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [Path(line.partition(":")[0]) for line in shown[:-1]] == sorted((tmp_path / "new").iterdir())
    assert len(list((tmp_path / "new").glob("*.onnx"))) == graphs
    assert "tokens as by the engine" in shown[-1]
    assert main(["export", BASE, "--to", str(tmp_path / "new"), "--form", form]) == 2
    assert "name a new folder" in capsys.readouterr().err


def test_graphs_of_another_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nemo = exporting.export(Path(BASE), tmp_path / "new", "onnx-asr")
    compare = onnx_parity.compare

    def tampered(*arguments: object) -> onnx_parity.Comparison:
        compared = compare(*arguments)  # type: ignore[arg-type]
        return compared._replace(by_graphs=compared.by_graphs[:-1])

    monkeypatch.setattr(onnx_parity, "compare", tampered)
    with pytest.raises(ModelError, match="do not give what the engine gives"):
        exporting.check(nemo, tmp_path / "new")


def test_without_onnx_runtime_the_graphs_are_written_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingToolError("ONNX Runtime is missing")

    monkeypatch.setattr(onnx, "session", missing)
    assert main(["export", BASE, "--to", str(tmp_path / "new")]) == 0
    assert "not checked: ONNX Runtime is missing" in capsys.readouterr().err


def test_no_such_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "none.nemo", "--to", str(tmp_path / "new")]) == 2
    assert "none.nemo: no such bundle or .nemo" in capsys.readouterr().err
