"""Kokoro's int8 graph with its convolutions as integer matrix products, which ONNX Runtime computes twice as fast.

The published graph holds `ConvInteger` nodes with unsigned weights, for which ONNX Runtime has no fast kernel. The
same sums (exact, in int32) come from gathering the taps of each output step into a row and multiplying it with signed
weights. Only the bias differs: it is added in float instead of being rounded to the product's scale. Signed 8-bit
products need VNNI or ARM's dot product; on older x86 they would saturate, so the published graph is used there.

With VNNI it is faster still to leave the vocoder to `kokoro_vocoder`: `split` writes the graph up to it, unchanged, and
the vocoder's weights (`core.device.kokoro_graph` chooses).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from shoptalk.core.files import write_file
from shoptalk.integrations import onnx as onnxruntime

GRAPH_VERSION = 3
"""Part of the cached file's name; raise it when the rewriting changes."""
DURATIONS = "/encoder/Clip_output_0"
"""How long each phoneme lasts, in steps of 25 ms."""
HIDDEN = "/decoder/decoder/decode.3/Div_4_output_0"
PITCH = "/decoder/decoder/Unsqueeze_output_0"
"""What the vocoder reads beside the voice, for each 12.5 ms: hidden state (1, 512, K) and pitch in Hz (1, 1, K)."""
SOURCE = "/decoder/decoder/generator/Reshape_3_output_0"
"""The source that the vocoder shapes into speech, samples at 24 kHz, padded for its short-time Fourier transform."""
_LAST = 2**63 - 1
_VOCODER = "/decoder/decoder/generator"
_VOCODER_WEIGHTS = "decoder.decoder.generator."
_HARMONICS = f"{_VOCODER}/m_source/l_sin_gen/Mul_6_output_0"
"""Sines of the pitch and its multiples, (1, T, 9); zeros where nothing is voiced."""
_SPECTRUM = f"{_VOCODER}/Concat_3_output_0"
"""Magnitudes and phases of the source's frames, (1, 22, N)."""


def rewrite(source: Path, target: Path) -> int:
    """Write the rewritten graph, whole or not at all; returns how many convolutions were replaced.

    `DURATIONS` becomes its second output.
    """
    import onnx

    model = onnx.load(source)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    users: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    replaced: dict[int, list[Any]] = {}
    for node in graph.node:
        if node.op_type == "ConvInteger" and _is_plain(node):
            last, nodes, tensors = _as_product(node, weights, makers, users)
            replaced[id(last)] = nodes
            graph.initializer.extend(tensors)
    graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
    _keep_what_is_used(graph, [new for old in graph.node for new in replaced.get(id(old), [old])])
    _save(model, target)
    return len(replaced)


def tell_durations(source: Path, target: Path) -> None:
    """Write the graph as it is, `DURATIONS` becoming its second output."""
    import onnx

    model = onnx.load(source)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
    _save(model, target)


def split(source: Path, graph: Path, weights: Path) -> None:
    """Write the graph up to its vocoder (outputs `HIDDEN`, `SOURCE`, `DURATIONS`) and what `kokoro_vocoder` reads."""
    import onnx
    from safetensors.numpy import save_file

    model = onnx.load(source)
    tensors = _vocoder_weights(model.graph)
    tensors["unvoiced"] = _unvoiced(model)
    with write_file(weights) as partial:
        save_file(tensors, partial)
    del model.graph.output[:]
    model.graph.output.extend(map(onnx.helper.make_empty_tensor_value_info, (HIDDEN, SOURCE, DURATIONS)))
    _keep_what_is_used(model.graph, list(model.graph.node))
    _save(model, graph)


def _vocoder_weights(graph: Any) -> dict[str, Any]:
    """The vocoder's tensors by the names of its parts: convolutions as signed bytes with a scale, all else in float."""
    import numpy as np
    from onnx import numpy_helper

    given = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    tensors: dict[str, Any] = {}
    for node in graph.node:
        if not node.name.startswith(_VOCODER) or node.op_type not in ("ConvInteger", "MatMulInteger"):
            continue
        name = node.name.removeprefix(f"{_VOCODER}/").replace("/", ".")
        weight = given[node.input[1]].astype(np.int16) - given[node.input[3]].astype(np.int16)
        scale = given[node.input[1].replace("_quantized", "_scale")]
        if node.op_type == "ConvInteger":
            part = name.removesuffix(".Conv_quant")
            attributes = _attributes(node)
            steps = [attributes["strides"][0], attributes["pads"][0], attributes["dilations"][0]]
            tensors |= {f"{part}.weight": weight.astype(np.int8), f"{part}.scale": scale}
            tensors |= {f"{part}.steps": np.array(steps), f"{part}.bias": given[f"{_VOCODER_WEIGHTS}{part}.bias"]}
        else:
            part = name.removesuffix(".fc.Gemm_MatMul_quant")
            tensors[f"{part}.weight"] = weight * scale
            tensors[f"{part}.bias"] = given[f"{_VOCODER_WEIGHTS}{part}.fc.bias"]
    for name, tensor in given.items():
        if name.startswith(_VOCODER_WEIGHTS) and ".alpha" in name:
            tensors[name.removeprefix(_VOCODER_WEIGHTS)] = tensor.reshape(-1)
    for part, name in (("ups.0", "Mul_output_0"), ("ups.1", "Mul_1_output_0"), ("conv_post", "Mul_2_output_0")):
        tensors[f"{part}.weight"] = given[f"{_VOCODER}/{name}"]
        tensors[f"{part}.bias"] = given[f"{_VOCODER_WEIGHTS}{part}.bias"]
    edge = given[f"{_VOCODER_WEIGHTS}stft.istft.stft.window_sum"]
    tensors["edge"] = np.where(edge > np.finfo(np.float32).tiny, edge, 1.0)
    tensors["inverse_basis"] = given[f"{_VOCODER_WEIGHTS}stft.istft.stft.inverse_basis"][:, 0]
    tensors["window"] = given[f"{_VOCODER}/Constant_17_output_0"]
    tensors["gain"] = given[f"{_VOCODER}/istft/stft/Constant_19_output_0"]
    return {
        name: np.ascontiguousarray(tensor, tensor.dtype if tensor.dtype.kind == "i" else np.float32)
        for name, tensor in tensors.items()
    }


def _unvoiced(model: Any) -> Any:
    """The spectrum (22,) of a frame in which nothing is voiced, as the published graph computes it.

    Most of its bins hold rounding errors, whose phases the vocoder reads all the same.
    """
    import numpy as np
    import onnx

    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.input[:], part.graph.output[:]
    shape = [1, None, 9]
    part.graph.input.append(onnx.helper.make_tensor_value_info(_HARMONICS, onnx.TensorProto.FLOAT, shape))
    part.graph.output.append(onnx.helper.make_empty_tensor_value_info(_SPECTRUM))
    _keep_what_is_used(part.graph, [node for node in part.graph.node if _HARMONICS not in node.output])
    session = onnxruntime.session(part.SerializeToString(), threads=1)
    (spectrum_1CN,) = session.run(None, {_HARMONICS: np.zeros((1, 600, 9), np.float32)})
    return spectrum_1CN[0, :, spectrum_1CN.shape[2] // 2].copy()


def leave_out_vocoder(source: Path, target: Path) -> None:
    """Write the part of the graph before the slow vocoder; its outputs are `HIDDEN`, `PITCH` and `DURATIONS`."""
    import onnx

    model = onnx.load(source)
    del model.graph.output[:]
    model.graph.output.extend(map(onnx.helper.make_empty_tensor_value_info, (HIDDEN, PITCH, DURATIONS)))
    _keep_what_is_used(model.graph, list(model.graph.node))
    _save(model, target)


def _save(model: Any, target: Path) -> None:
    """Write a graph whole or not at all."""
    import onnx

    with write_file(target) as partial:
        onnx.save(model, partial)


def _is_plain(node: Any) -> bool:
    attributes = _attributes(node)
    return attributes.get("group", 1) == 1 and attributes["strides"] == [1]


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _as_product(node: Any, weights: Any, makers: Any, users: Any) -> tuple[Any, list[Any], list[Any]]:
    """The node whose output is the convolution in float, and the nodes and tensors that compute the same."""
    import numpy as np
    from onnx import numpy_helper

    bias, after = "", users[node.output[0]][0]
    if after.op_type == "Add":  # bias / scale → floor → int32 → added; the float bias is where that chain starts
        bias = next(name for name in after.input if name != node.output[0])
        while bias in makers:
            bias = makers[bias].input[0]
        after = users[after.output[0]][0]
    last = users[after.output[0]][0]  # int32 → Cast → Mul(scale of x · scale of w)
    scales = makers[next(name for name in last.input if name != after.output[0])]
    weight_scale = next(name for name in scales.input if name in weights)
    weight_OCK = numpy_helper.to_array(weights[node.input[1]]).astype(np.int16) - 128
    zero = numpy_helper.to_array(weights[node.input[3]]).astype(np.int16) - 128
    signed = weight_OCK.astype(np.int8).transpose(2, 1, 0).reshape(-1, weight_OCK.shape[0])
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(signed), f"{node.name}_signed"),
        numpy_helper.from_array(zero.astype(np.int8), f"{node.name}_zero"),
    ]
    attributes = _attributes(node)
    quantised, scale, zero_point = makers[node.input[0]].output
    rows, nodes, more = _rows(node.name, quantised, zero_point, attributes, weight_OCK.shape[2])
    nodes += _product(node.name, (rows, scale, zero_point), weight_scale, bias, last.output[0])
    return last, nodes, tensors + more


def _product(name: str, activation: tuple[str, str, str], weight_scale: str, bias: str, output: str) -> list[Any]:
    from onnx import helper

    rows, scale, zero_point = activation
    inputs = [rows, f"{name}_signed", scale, weight_scale, zero_point, f"{name}_zero", bias]
    return [
        helper.make_node("MatMulIntegerToFloat", inputs, [f"{name}_product"], domain="com.microsoft"),
        helper.make_node("Transpose", [f"{name}_product"], [output], perm=[0, 2, 1]),
    ]


def _rows(name: str, quantised: str, zero: str, attributes: Any, taps: int) -> tuple[str, list[Any], list[Any]]:
    """Nodes that turn (1, C, T) bytes into (1, T, taps·C), padded with the zero point."""
    import numpy as np
    from onnx import helper, numpy_helper

    nodes, tensors = [helper.make_node("Transpose", [quantised], [f"{name}_steps"], perm=[0, 2, 1])], []

    def numbers(label: str, *values: int) -> str:
        tensors.append(numpy_helper.from_array(np.array(values, np.int64), f"{name}_{label}"))
        return f"{name}_{label}"

    current, (left, right), dilation = f"{name}_steps", attributes["pads"], attributes["dilations"][0]
    if left or right:
        nodes.append(
            helper.make_node("Pad", [current, numbers("pads", 0, left, 0, 0, right, 0), zero], [f"{name}_pad"])
        )
        current = f"{name}_pad"
    if taps == 1:
        return current, nodes, tensors
    axis = numbers("axis", 1)
    for tap in range(taps):
        end = -(taps - 1 - tap) * dilation or _LAST
        bounds = [numbers(f"start{tap}", tap * dilation), numbers(f"end{tap}", end)]
        nodes.append(helper.make_node("Slice", [current, *bounds, axis], [f"{name}_tap{tap}"]))
    nodes.append(helper.make_node("Concat", [f"{name}_tap{tap}" for tap in range(taps)], [f"{name}_rows"], axis=2))
    return f"{name}_rows", nodes, tensors


def _keep_what_is_used(graph: Any, nodes: list[Any]) -> None:
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(nodes):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed.update(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)
