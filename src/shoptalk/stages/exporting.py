"""`shoptalk export`: a model as ONNX graphs, and the graphs checked against the engine."""

from pathlib import Path
from typing import NamedTuple

from shoptalk.core import audio
from shoptalk.core.bundle import open_bundle
from shoptalk.core.errors import MissingToolError, ModelError
from shoptalk.core.examples import read_manifest
from shoptalk.core.resources import locate
from shoptalk.engine.onnx_export import Form

GENERAL = Path("assets/general")
"""Where the recording is from that graphs are checked with unless another is named."""
MAX_DIFFERENCE = 1e-2
"""Of encoder frames; float32 on two runtimes differs by some 1e-4."""


class Parity(NamedTuple):
    """How the graphs compare with the engine on one recording."""

    recording: Path
    tokens: int
    """So many tokens, the same by both."""
    difference: float
    """Largest difference of the encoder's frames."""


def export(model: Path, folder: Path, form: Form) -> Path:
    """Write a bundle or a `.nemo` as graphs into a new folder, and return the `.nemo`."""
    from shoptalk.engine import onnx_export

    model = locate(model)
    if not model.exists():
        raise ModelError(f"{model}: no such bundle or .nemo; make one with `shoptalk package`")
    nemo = open_bundle(model).nemo if model.is_dir() else model
    onnx_export.export(nemo, folder, form)
    return nemo


def check(nemo: Path, folder: Path, *, recording: Path | None = None) -> Parity | None:
    """Recognise a recording by the graphs and by the engine; None without ONNX Runtime, `ModelError` if they differ."""
    from shoptalk.engine.onnx_parity import compare
    from shoptalk.integrations.onnx import session

    recording = recording or _shipped_recording()
    samples_T = audio.decode(recording)
    try:
        sessions = {path.stem: session(path, threads=1) for path in folder.glob("*.onnx")}
    except MissingToolError:
        return None
    compared = compare(nemo, samples_T, {name: graph.run for name, graph in sessions.items()})
    if compared.by_graphs != compared.by_engine or compared.difference > MAX_DIFFERENCE:
        raise ModelError(
            f"{folder}: the graphs do not give what the engine gives for {recording} (encoder frames differ by "
            f"{compared.difference:.1e}); do not use them, and report it with the versions of torch and onnxruntime"
        )
    return Parity(recording, len(compared.by_engine), compared.difference)


def _shipped_recording() -> Path:
    return read_manifest(locate(GENERAL) / "test.jsonl")[0].audio
