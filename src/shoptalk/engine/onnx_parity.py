"""Exported graphs held against the engine: the encoder's frames, and the tokens of greedy decoding.

Shapes: D width of the encoder, F its frames, V tokens, O outputs of the joint, L layers and X width of the predictor.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.core.records import Samples
from shoptalk.engine.greedy import decode
from shoptalk.engine.recognizer import Engine

Floats = npt.NDArray[np.float32]
RunGraph = Callable[[Sequence[str] | None, Mapping[str, Any]], list[Any]]
"""The `run` of a session: names of outputs (None: all) and inputs by name."""


class Comparison(NamedTuple):
    """What both make of one recording."""

    by_engine: list[int]
    by_graphs: list[int]
    difference: float
    """Largest difference of the encoder's frames; infinite if there are not as many."""


def compare(nemo: Path, samples_T: Samples, graphs: Mapping[str, RunGraph]) -> Comparison:
    """Decode a recording with the engine and with the graphs of either form, by the names of their files."""
    engine = Engine(nemo)
    with torch.inference_mode():
        features_BTM, frames_B = engine.features(torch.from_numpy(samples_T)[None], torch.tensor([samples_T.size]))
        encoded_BFD, lengths_B = engine.encoder(features_BTM, frames_B)
        [decoded] = decode(engine.steps, encoded_BFD, lengths_B)
    own_FD = encoded_BFD[0, : int(lengths_B[0])].numpy()
    run_encoder = graphs["encoder-model"] if "encoder-model" in graphs else graphs["encoder"]
    inputs = {"audio_signal": features_BTM.transpose(1, 2).numpy(), "length": frames_B.numpy()}
    theirs_BDF, their_lengths_B = run_encoder(["outputs", "encoded_lengths"], inputs)
    theirs_FD = theirs_BDF[0, :, : int(their_lengths_B[0])].T
    same_length = own_FD.shape == theirs_FD.shape
    difference = float(np.abs(own_FD - theirs_FD).max(initial=0.0)) if same_length else float("inf")
    return Comparison(decoded.tokens, greedy(engine, theirs_FD, graphs), difference)


def greedy(engine: Engine, encoded_FD: Floats, graphs: Mapping[str, RunGraph]) -> list[int]:
    """The tokens of greedy decoding by the graphs of predictor and joiner; the rules are those of `greedy.decode`."""
    steps = engine.steps
    width = engine.features.shape.predictor
    state_LX = np.zeros((engine.features.shape.predictor_layers, 1, width), np.float32)
    states: list[Floats] = [state_LX, state_LX]
    last, frame, here = steps.blank, 0, 0
    tokens: list[int] = []
    while frame < len(encoded_FD):
        logits_O, next_states = _logits(graphs, encoded_FD[frame], last, states)
        token = int(logits_O[: steps.blank + 1].argmax())
        span = int(steps.durations[int(logits_O[steps.blank + 1 :].argmax())])
        if token == steps.blank:
            span = max(span, 1)
        else:
            tokens.append(token)
            last, states = token, next_states
        here = here + 1 if span == 0 else 0
        if here >= steps.max_symbols:
            span, here = 1, 0
        frame += span
    return tokens


def _logits(
    graphs: Mapping[str, RunGraph], frame_D: Floats, token: int, states: Sequence[Floats]
) -> tuple[Floats, list[Floats]]:
    """The joiner's outputs (O,) for a frame after a token, and the predictor's states behind the token."""
    encoded = {"encoder_outputs": np.ascontiguousarray(frame_D[None, :, None])}
    predictor = {
        "targets": np.array([[token]], np.int32),
        "target_length": np.ones(1, np.int32),
        "input_states_1": states[0],
        "input_states_2": states[1],
    }
    names = ["outputs", "output_states_1", "output_states_2"]
    if "decoder_joint-model" in graphs:
        logits_BTUO, *next_states = graphs["decoder_joint-model"](names, encoded | predictor)
    else:
        predicted_BXU, *next_states = graphs["decoder"](names, predictor)
        [logits_BTUO] = graphs["joiner"](["outputs"], encoded | {"decoder_outputs": predicted_BXU})
    return logits_BTUO[0, 0, 0], next_states
