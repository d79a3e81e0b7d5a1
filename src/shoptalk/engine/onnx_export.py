"""A FastConformer-TDT checkpoint as ONNX graphs, in the files that onnx-asr and sherpa-onnx read.

Batch and length are free: frames behind a recording's end are masked, and positions are computed for the length that
comes. Names and shapes of inputs and outputs are those of NeMo's own export, for which both were written.

Shapes: B recordings, M mel bins, T mel frames or frames of 80 ms, C channels, D width of the encoder, U tokens, L
layers of the predictor, X its width, J width of the joiner, V tokens, O = V + 1 + durations outputs.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import sentencepiece
import torch
from torch.nn.functional import embedding

from shoptalk.core.errors import MissingToolError, ModelError
from shoptalk.core.files import write_folder
from shoptalk.core.quiet import quiet
from shoptalk.core.tokens import SUBSAMPLING
from shoptalk.engine.encoder import KEPT_REACH, Encoder
from shoptalk.engine.shape import LOG_GUARD, PREEMPHASIS, Shape
from shoptalk.engine.transducer import Transducer
from shoptalk.engine.weights import Weights, frozen, open_checkpoint

Form = Literal["onnx-asr", "sherpa-onnx"]

OPSET = 17
FREE = "BTSU"
"""Axes of any length: recordings, frames in, frames out, tokens."""
ONE_FILE_BYTES = 1_800_000_000
"""Larger weights lie beside their graph: a protobuf holds 2 GiB at most."""


class _Graph(NamedTuple):
    """One file: what is traced, and the axes of each input and output by letter, of which B, T and U are free."""

    file: str
    module: torch.nn.Module
    example: tuple[torch.Tensor, ...]
    inputs: dict[str, str]
    outputs: dict[str, str]


def export(path: Path, folder: Path, form: Form, *, sha256: str | None = None) -> None:
    """Write a `.nemo` into a new folder, whole or not at all.

    `onnx-asr`: for `load_model("nemo-conformer-tdt", folder)`. `sherpa-onnx`: for `OfflineRecognizer.from_transducer`
    with `model_type="nemo_transducer"`; it says five tokens on one frame at most, and its features differ a little.
    `ModelError` for a folder that is there, and for features, attention or durations that the form cannot tell;
    `MissingToolError` without the package onnx; `weights.open_checkpoint` names the others.
    """
    if folder.exists():
        raise ModelError(f"{folder}: is already there; name a new folder")
    _onnx()
    shape, weights, tokenizer = open_checkpoint(path, sha256=sha256)
    _check(path, shape, form)
    metadata = _metadata(shape) if form == "sherpa-onnx" else {}
    with write_folder(folder) as partial, torch.inference_mode():
        for graph in (_encoder(shape, weights, form), *_decoder(shape, weights, form)):
            _write(graph, partial, metadata)
            metadata = {}
        _write_vocabulary(partial, shape, tokenizer, form)


def _check(path: Path, shape: Shape, form: Form) -> None:
    """Both toolkits compute Parakeet's features, see all frames and take a duration for its number."""
    features = (shape.n_fft, shape.hop, shape.preemphasis, shape.log_guard)
    if features != (512, 160, PREEMPHASIS, LOG_GUARD) or (form == "onnx-asr" and shape.mels not in (80, 128)):
        raise ModelError(f"{path}: {form} cannot compute this model's {shape.mels} mels of {features}; use the engine")
    if shape.reach is not None:
        raise ModelError(f"{path}: sees {shape.reach} frames to each side, the graph would see all; use the engine")
    if shape.durations != tuple(range(len(shape.durations))):
        raise ModelError(f"{path}: {form} counts durations from 0, this model has {shape.durations}; use the engine")


class _Encoder(torch.nn.Module):
    """Gives frames of 80 ms (B, D, T) and how many count (B,), for features (B, M, T) and their frames (B,)."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        self.inner = Encoder(shape, weights.below("encoder"))

    def forward(self, features_BMT: torch.Tensor, frames_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lengths_B = self.inner.subsampling.frames(frames_B)
        encoded_BTD = self.inner.padded(features_BMT.transpose(1, 2), frames_B, lengths_B)
        return encoded_BTD.transpose(1, 2), lengths_B


class _Predictor(torch.nn.Module):
    """Gives outputs (B, X, U), the counts again, and new states, for tokens (B, U), how many count (B,), and states."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        below = weights.below("decoder.prediction")
        width = shape.predictor
        self.embedding_VX = frozen(below.take("embed.weight", shape.vocabulary + 1, width))
        self.lstm = torch.nn.LSTM(width, width, shape.predictor_layers)
        lstm = below.below("dec_rnn.lstm")
        for name, parameter in self.lstm.named_parameters():
            parameter.copy_(lstm.take(name, *parameter.shape))

    def forward(
        self, token_BU: torch.Tensor, count_B: torch.Tensor, h_LBX: torch.Tensor, c_LBX: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        embedded_UBX = embedding(token_BU, self.embedding_VX).transpose(0, 1)
        out_UBX, (h_LBX, c_LBX) = self.lstm(embedded_UBX, (h_LBX, c_LBX))
        return out_UBX.permute(1, 2, 0), count_B.clone(), h_LBX, c_LBX


class _Joiner(torch.nn.Module):
    """Gives logits (B, T, U, O), for frames (B, D, T) and predictions (B, X, U)."""

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        self.inner = Transducer(shape, weights)

    def forward(self, encoded_BDT: torch.Tensor, predicted_BXU: torch.Tensor) -> torch.Tensor:
        encoded_BT1J = self.inner.project_encoded(encoded_BDT.transpose(1, 2))[:, :, None]
        predicted_B1UJ = self.inner.project_predicted(predicted_BXU.transpose(1, 2))[:, None]
        return self.inner.logits(encoded_BT1J, predicted_B1UJ)


class _DecoderJoiner(torch.nn.Module):
    """Predictor and joiner in one graph."""

    def __init__(self, predictor: _Predictor, joiner: _Joiner):
        super().__init__()
        self.predictor = predictor
        self.joiner = joiner

    def forward(self, encoded_BDT: torch.Tensor, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        predicted_BXU, *others = self.predictor(*inputs)
        return self.joiner(encoded_BDT, predicted_BXU), *others


def _encoder(shape: Shape, weights: Weights, form: Form) -> _Graph:
    frames = SUBSAMPLING * (KEPT_REACH + 8)  # so many that positions are computed, not taken from a table
    example = (torch.zeros(2, shape.mels, frames), torch.tensor([frames, frames - 100]))
    return _Graph(
        file="encoder-model.onnx" if form == "onnx-asr" else "encoder.onnx",
        module=_Encoder(shape, weights),
        example=example,
        inputs={"audio_signal": "BMT", "length": "B"},
        outputs={"outputs": "BDS", "encoded_lengths": "B"},
    )


def _decoder(shape: Shape, weights: Weights, form: Form) -> list[_Graph]:
    """Predictor and joiner: one graph for onnx-asr, two for sherpa-onnx."""
    predictor = _Predictor(shape, weights)
    joiner = _Joiner(shape, weights)
    state_LBX = torch.zeros(shape.predictor_layers, 2, shape.predictor)
    token_BU = torch.zeros(2, 1, dtype=torch.int32)
    count_B = torch.ones(2, dtype=torch.int32)
    tokens = (token_BU, count_B, state_LBX, state_LBX)
    encoded_BDT = torch.zeros(2, shape.d_model, 3)
    predicted_BXU = torch.zeros(2, shape.predictor, 1)

    predictor_inputs = {"targets": "BU", "target_length": "B", "input_states_1": "LBX", "input_states_2": "LBX"}
    states_out = {"prednet_lengths": "B", "output_states_1": "LBX", "output_states_2": "LBX"}
    encoded = {"encoder_outputs": "BDT"}
    logits = {"outputs": "BTUO"}
    if form == "onnx-asr":
        both = _DecoderJoiner(predictor, joiner)
        inputs = encoded | predictor_inputs
        return [_Graph("decoder_joint-model.onnx", both, (encoded_BDT, *tokens), inputs, logits | states_out)]
    joiner_inputs = encoded | {"decoder_outputs": "BXU"}
    return [
        _Graph("decoder.onnx", predictor, tokens, predictor_inputs, {"outputs": "BXU"} | states_out),
        _Graph("joiner.onnx", joiner, (encoded_BDT, predicted_BXU), joiner_inputs, logits),
    ]


def _write(graph: _Graph, folder: Path, metadata: Mapping[str, Any]) -> None:
    onnx = _onnx()
    traced = folder / "traced"
    traced.mkdir()
    free_axes: dict[str, dict[int, str]] = {}
    for name, axes in (graph.inputs | graph.outputs).items():
        free_axes[name] = {place: axis for place, axis in enumerate(axes) if axis in FREE}
    with quiet():  # tracing warns of every number that it takes for a constant; all that are, are
        torch.onnx.export(
            graph.module.eval(),
            graph.example,
            str(traced / graph.file),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=free_axes,
        )
    model = onnx.load(traced / graph.file)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=str(value))
    large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > ONE_FILE_BYTES
    beside = {"save_as_external_data": True, "location": graph.file + ".data"} if large else {}
    onnx.save(model, folder / graph.file, **beside)
    shutil.rmtree(traced)


def _metadata(shape: Shape) -> dict[str, Any]:
    """What sherpa-onnx reads from the encoder; it takes the model for a TDT by the letters in the address."""
    return {
        "vocab_size": shape.vocabulary,
        "normalize_type": "per_feature",
        "pred_rnn_layers": shape.predictor_layers,
        "pred_hidden": shape.predictor,
        "subsampling_factor": SUBSAMPLING,
        "feat_dim": shape.mels,
        "model_type": "EncDecRNNTBPEModel",
        "version": "2",
        "url": "tdt",
    }


def _write_vocabulary(folder: Path, shape: Shape, tokenizer: bytes, form: Form) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    pieces = [processor.id_to_piece(number) for number in range(shape.vocabulary)]
    pieces.append("<blk>")
    lines = "".join(f"{piece} {number}\n" for number, piece in enumerate(pieces))
    if form == "sherpa-onnx":
        (folder / "tokens.txt").write_text(lines, encoding="utf-8")
        return
    (folder / "vocab.txt").write_text(lines, encoding="utf-8")
    config = {
        "model_type": "nemo-conformer-tdt",
        "features_size": shape.mels,
        "subsampling_factor": SUBSAMPLING,
        "max_tokens_per_step": shape.max_symbols,
    }
    (folder / "config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise MissingToolError("the package onnx is missing; install it: pip install 'shoptalk[corpus]'") from None
    return onnx
