"""The integration of ONNX Runtime: a session on the CPU with a given number of threads."""

from pathlib import Path
from typing import Any

from shoptalk.core.errors import MissingToolError


def session(path: Path, *, threads: int) -> Any:
    """An `onnxruntime.InferenceSession`; with one thread, run one process per core instead."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingToolError("ONNX Runtime is missing; install the extra: pip install 'shoptalk[corpus]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
