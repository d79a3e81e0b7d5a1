"""The models that `cpu.py` measures, each as `.nemo`, for onnx-asr and for sherpa-onnx, in float32 and int8.

int8 is ONNX Runtime's dynamic quantisation of the matrix products by output channel: weights signed for onnx-asr, and
unsigned in the encoder for sherpa-onnx, as its own script makes them. Convolutions stay in float32, for in 8 bits they
are slower. What is there already stays.
"""

import tempfile
from pathlib import Path

import random_parakeet

from shoptalk.engine.onnx_export import Form, export

BASE = Path("models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo")
MADE = Path(".local/engine-cpu")
FORMS: tuple[Form, ...] = ("onnx-asr", "sherpa-onnx")


def place(model: str, form: str) -> Path:
    """Where a model lies in the form that a recogniser opens."""
    if form != "nemo":
        return MADE / model / form
    return BASE if model == "base" else MADE / "parakeet.nemo"


def ready(model: str) -> None:
    """Make what is missing."""
    source = place(model, "nemo")
    if model == "parakeet":
        random_parakeet.make(source)
    for form in FORMS:
        folder = place(model, form)
        if not folder.is_dir():
            print(f"exporting {model} for {form}", flush=True)
            export(source, folder, form)
        for graph in sorted(folder.glob("*.onnx")):
            if not graph.stem.endswith(".int8"):
                quantize(graph, unsigned=form == "sherpa-onnx" and graph.stem == "encoder")


def quantize(graph: Path, *, unsigned: bool) -> None:
    """Write the int8 graph beside its original, whole or not at all."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = graph.with_name(f"{graph.stem}.int8.onnx")
    if target.is_file():
        return
    print(f"quantising {graph}", flush=True)
    with tempfile.TemporaryDirectory(dir=graph.parent) as folder:
        quantize_dynamic(
            graph, Path(folder) / target.name, per_channel=True, op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
        )  # fmt: skip
        (Path(folder) / target.name).replace(target)
