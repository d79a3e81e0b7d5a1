"""The integration of ONNX Runtime: a session on the CPU with a given number of threads; or a graph's weights alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core.errors import MissingToolError


def session(graph: Path | bytes, *, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` of a file or its bytes; with one thread, run one process per core instead."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingToolError("ONNX Runtime is missing; install the extra: pip install 'shoptalk[corpus]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    source = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


# Numbers of fields in onnx.proto, as https://github.com/onnx/onnx/blob/main/onnx/onnx.proto has them.
GRAPH_OF_MODEL = 7
NODE_OF_GRAPH = 1
OUTPUT_OF_NODE, OPERATOR_OF_NODE, ATTRIBUTE_OF_NODE = 2, 4, 5
TENSOR_OF_ATTRIBUTE, GRAPH_OF_ATTRIBUTE = 5, 6
DIMENSION_OF_TENSOR, TYPE_OF_TENSOR, BYTES_OF_TENSOR = 1, 2, 9
FLOAT32 = 1


def float_constants(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The float32 tensors of all `Constant` nodes, those of subgraphs too, by the name of what they give.

    Needs neither ONNX Runtime nor the package `onnx`. The file is trusted: the model store has checked it.
    """
    constants: dict[str, npt.NDArray[np.float32]] = {}
    for number, graph in _fields(memoryview(path.read_bytes())):
        if number == GRAPH_OF_MODEL:
            constants |= _constants_of_graph(graph)
    return constants


def _constants_of_graph(graph: Any) -> dict[str, npt.NDArray[np.float32]]:
    constants: dict[str, npt.NDArray[np.float32]] = {}
    nodes = [node for number, node in _fields(graph) if number == NODE_OF_GRAPH]
    for node in nodes:
        parts = list(_fields(node))
        is_constant = (OPERATOR_OF_NODE, b"Constant") in parts
        output = next((bytes(value).decode() for number, value in parts if number == OUTPUT_OF_NODE), "")
        for attribute in [value for number, value in parts if number == ATTRIBUTE_OF_NODE]:
            for number, value in _fields(attribute):
                if number == GRAPH_OF_ATTRIBUTE:
                    constants |= _constants_of_graph(value)
                elif number == TENSOR_OF_ATTRIBUTE and is_constant:
                    constants |= _float_tensor(output, value)
    return constants


def _float_tensor(name: str, tensor: Any) -> dict[str, npt.NDArray[np.float32]]:
    """A tensor under its name; nothing if it is none of float32."""
    parts = list(_fields(tensor))
    if (TYPE_OF_TENSOR, FLOAT32) not in parts:
        return {}
    dimensions = [value for number, value in parts if number == DIMENSION_OF_TENSOR]
    data = next((value for number, value in parts if number == BYTES_OF_TENSOR), b"")
    return {name: np.frombuffer(data, "<f4").reshape(dimensions)}


def _fields(message: Any) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message: an integer, or bytes."""
    place = 0
    while place < len(message):
        key, place = _integer(message, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _integer(message, place)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            length, place = _integer(message, place)
        yield number, message[place : place + length]
        place += length


def _integer(message: Any, place: int) -> tuple[int, int]:
    """A protobuf integer (7 bits a byte, the lowest first), and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
