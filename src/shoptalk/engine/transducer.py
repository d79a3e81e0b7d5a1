"""Predictor and joiner of a Token-and-Duration Transducer (TDT, arXiv 2304.06795), one step at a time.

The predictor's embedding, the input matrix of its first LSTM layer and that layer's biases are folded into one table,
which has the gates of each token.

Shapes: R rows that take a step, L layers of the predictor, X its width, J width of the joiner, D of the encoder, V
tokens, O = V + 1 + durations outputs.
"""

from typing import NamedTuple

import torch

from shoptalk.engine.shape import Shape
from shoptalk.engine.weights import Weights, linear


class State(NamedTuple):
    """The predictor's state of each row: h and c of its LSTM, and its output as the joiner takes it."""

    h_RLX: torch.Tensor
    c_RLX: torch.Tensor
    predicted_RJ: torch.Tensor


class Transducer(torch.nn.Module):
    """Everything behind the encoder, in PyTorch; `steps.Steps` is the same for a CPU."""

    gates_VX: torch.Tensor

    def __init__(self, shape: Shape, weights: Weights):
        super().__init__()
        self.shape = shape
        self.blank = shape.vocabulary
        width, layers = shape.predictor, shape.predictor_layers
        below = weights.below("decoder.prediction")
        embedding_VX = below.take("embed.weight", shape.vocabulary + 1, width)
        lstm = below.below("dec_rnn.lstm")

        def part(name: str, layer: int) -> torch.Tensor:
            shape = (4 * width, width) if name.startswith("weight") else (4 * width,)
            return lstm.take(f"{name}_l{layer}", *shape)

        biases = [part("bias_ih", layer) + part("bias_hh", layer) for layer in range(layers)]
        self.register_buffer("gates_VX", embedding_VX @ part("weight_ih", 0).t() + biases[0])
        self.recurrent = [linear(part("weight_hh", 0), None)]
        for layer in range(1, layers):  # one matrix for the input from below and the state before
            weight = torch.cat((part("weight_ih", layer), part("weight_hh", layer)), dim=1)
            self.recurrent.append(linear(weight, biases[layer]))
        self.held = torch.nn.ModuleList(self.recurrent)  # so that `to` and `parameters` reach them
        joint = weights.below("joint")
        self.project_predicted = joint.linear("pred", width, shape.joint)
        self.project_encoded = joint.linear("enc", shape.d_model, shape.joint)
        last = 1 if "joint.joint_net.1.weight" in weights.tensors else 2  # behind the activation, and dropout if any
        self.out = joint.linear(f"joint_net.{last}", shape.joint, shape.vocabulary + 1 + len(shape.durations))
        self.activation = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[shape.activation]

    def start(self, rows: int) -> State:
        """The state before any token: one step over the blank, whose embedding is zero."""
        h_RLX = self.gates_VX.new_zeros(rows, len(self.recurrent), self.shape.predictor)
        empty = State(h_RLX, h_RLX, h_RLX.new_zeros(rows, self.shape.joint))
        return self.step(torch.full((rows,), self.blank, device=h_RLX.device), empty)

    def step(self, token_R: torch.Tensor, state: State) -> State:
        """The state after one more token in each row."""
        h_layers: list[torch.Tensor] = []
        c_layers: list[torch.Tensor] = []
        for number, recurrent in enumerate(self.recurrent):
            before_RX = state.h_RLX[:, number]
            if number == 0:
                gates_RX = self.gates_VX.index_select(0, token_R) + recurrent(before_RX)
            else:
                gates_RX = recurrent(torch.cat((h_layers[-1], before_RX), dim=1))
            input_RX, forget_RX, cell_RX, output_RX = gates_RX.chunk(4, dim=1)
            kept_RX = torch.sigmoid(forget_RX) * state.c_RLX[:, number]
            c_RX = kept_RX + torch.sigmoid(input_RX) * torch.tanh(cell_RX)
            h_layers.append(torch.sigmoid(output_RX) * torch.tanh(c_RX))
            c_layers.append(c_RX)
        return State(torch.stack(h_layers, 1), torch.stack(c_layers, 1), self.project_predicted(h_layers[-1]))

    def logits(self, encoded_RJ: torch.Tensor, predicted_RJ: torch.Tensor) -> torch.Tensor:
        """The joiner's outputs (R, O) for projected frames and predictions: tokens, the blank, durations."""
        out_RO: torch.Tensor = self.out(self.activation(encoded_RJ + predicted_RJ))
        return out_RO
