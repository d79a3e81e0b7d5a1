"""Predictor and joiner of a Token-and-Duration Transducer in NumPy, for the small steps of decoding on a CPU.

NumPy's calls cost a fifth of PyTorch's. Matrix products stay PyTorch's, so that there is one pool of threads.

Shapes: B rows, R rows that look at a frame, S rows that emit a token, X width of the predictor, J of the joiner, D of
the encoder, V tokens, O = V + 1 + durations outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.engine.transducer import Transducer

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

ROWS_AT_A_TIME = 4
FEW_ROWS = 64
"""Products of fewer rows are filled up to a multiple of `ROWS_AT_A_TIME`.

MKL sums a row in another order where fewer than four are left for a thread. Filled up, a row gives the same bits
whatever rows stand beside it. (With two threads 12 rows need no filling, with 16 threads 28.)
"""


@dataclass
class Carry:
    """Where a decoded stretch ends, for the next stretch of the same recordings; decoding changes it."""

    h: list[Floats]
    """The predictor's h, (B, X) of each layer."""
    c: list[Floats]
    """The predictor's c, (B, X) of each layer."""
    predicted_BJ: Floats
    """The predictor's output as the joiner takes it."""
    ahead_B: Integers
    """Frames of the next stretch that the last duration jumps over."""
    boost_B: torch.Tensor | None = None
    """State of the automaton of boosted phrases."""

    @classmethod
    def joined(cls, carries: Sequence["Carry"]) -> "Carry":
        """The states of some recordings as those of a batch, a copy; all of them have boosted phrases, or none."""
        layers = range(len(carries[0].h))
        boosts = [carry.boost_B for carry in carries if carry.boost_B is not None]
        return cls(
            h=[np.concatenate([carry.h[layer] for carry in carries]) for layer in layers],
            c=[np.concatenate([carry.c[layer] for carry in carries]) for layer in layers],
            predicted_BJ=np.concatenate([carry.predicted_BJ for carry in carries]),
            ahead_B=np.concatenate([carry.ahead_B for carry in carries]),
            boost_B=torch.cat(boosts) if boosts else None,
        )

    def row(self, row: int) -> "Carry":
        """The state of one recording of a batch."""
        own = slice(row, row + 1)
        h = [layer[own] for layer in self.h]
        c = [layer[own] for layer in self.c]
        boost_B = self.boost_B[own].clone() if self.boost_B is not None else None
        return Carry(h, c, self.predicted_BJ[own], self.ahead_B[own], boost_B)


class Steps:
    """Predictor and joiner, from the weights of a `Transducer`."""

    def __init__(self, transducer: Transducer):
        self.blank = transducer.blank
        self.project_encoded = transducer.project_encoded
        self.durations = np.array(transducer.shape.durations)
        self.max_symbols = transducer.shape.max_symbols
        self.activation = _ACTIVATIONS[transducer.shape.activation]
        self.width = width = transducer.shape.predictor
        # tanh(x) = 2 * sigmoid(2x) - 1: with the third gate doubled, one sigmoid serves all four gates.
        double_X = np.repeat(np.array([1, 1, 2, 1], np.float32), width)
        self.gates_VX = _array(transducer.gates_VX) * double_X
        self.recurrent = [layer.weight.t().float() * torch.from_numpy(double_X) for layer in transducer.recurrent]
        self.biases = [_array(layer.bias) * double_X for layer in transducer.recurrent[1:]]
        self.predicted_XJ, self.predicted_bias_J = _affine(transducer.project_predicted)
        self.out_JO, self.out_bias_O = _affine(transducer.out)

    def start(self, rows: int) -> Carry:
        """Before any token: one step over the blank, whose embedding is zero."""
        h = [np.zeros((rows, self.width), np.float32) for _ in self.recurrent]
        c = [np.zeros((rows, self.width), np.float32) for _ in self.recurrent]
        predicted_BJ = np.zeros((rows, len(self.out_JO)), np.float32)
        carry = Carry(h, c, predicted_BJ, np.zeros(rows, np.int64))
        self.step(carry, np.arange(rows), np.full(rows, self.blank))
        return carry

    def step(self, carry: Carry, row_S: Integers, token_S: Integers) -> None:
        """Change `carry` by one more token in each of the rows."""
        inputs_SX = carry.h[0][row_S]
        added_SX = self.gates_VX[token_S]
        for layer, recurrent in enumerate(self.recurrent):
            gates_SX = _product(inputs_SX, recurrent)
            gates_SX += added_SX
            gates_S4X = _sigmoid(gates_SX).reshape(len(row_S), 4, self.width)
            input_SX, forget_SX, cell_SX, output_SX = (gates_S4X[:, gate] for gate in range(4))
            c_SX = carry.c[layer][row_S]
            c_SX *= forget_SX
            c_SX += input_SX * (2 * cell_SX - 1)
            h_SX = output_SX * (2 * _sigmoid(2 * c_SX) - 1)
            carry.h[layer][row_S] = h_SX
            carry.c[layer][row_S] = c_SX
            if layer < len(self.biases):
                inputs_SX = np.concatenate((h_SX, carry.h[layer + 1][row_S]), axis=1)
                added_SX = self.biases[layer]
        carry.predicted_BJ[row_S] = _product(h_SX, self.predicted_XJ) + self.predicted_bias_J

    def project(self, encoded_BTD: torch.Tensor) -> Floats:
        """The encoder's frames as the joiner takes them, (B, T, J)."""
        layer = self.project_encoded
        projected_NJ = _product(_array(encoded_BTD).reshape(-1, layer.in_features), layer.weight.t())
        projected_NJ += _array(layer.bias)
        return projected_NJ.reshape(*encoded_BTD.shape[:2], layer.out_features)

    def logits(self, encoded_RJ: Floats, predicted_RJ: Floats) -> Floats:
        """The joiner's outputs (R, O): tokens, the blank, durations. `encoded_RJ` is changed."""
        encoded_RJ += predicted_RJ
        logits_RO = _product(self.activation(encoded_RJ), self.out_JO)
        logits_RO += self.out_bias_O
        return logits_RO


def _sigmoid(x: Floats) -> Floats:
    """In place."""
    np.maximum(x, -80.0, out=x)  # below, exp would overflow
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1
    return np.reciprocal(x, out=x)


def _array(tensor: torch.Tensor) -> Floats:
    return np.ascontiguousarray(tensor.detach().float().numpy())


def _affine(layer: torch.nn.Linear) -> tuple[torch.Tensor, Floats]:
    return layer.weight.t().float().contiguous(), _array(layer.bias)


def _product(x_SI: Floats, weight_IO: torch.Tensor) -> Floats:
    """By PyTorch: NumPy's BLAS would start a pool of threads of its own."""
    rows = len(x_SI)
    if rows < FEW_ROWS and rows % ROWS_AT_A_TIME:
        padded_SI = np.zeros((rows + -rows % ROWS_AT_A_TIME, x_SI.shape[1]), np.float32)
        padded_SI[:rows] = x_SI
        x_SI = padded_SI
    return np.asarray(torch.mm(torch.from_numpy(x_SI), weight_IO)[:rows].numpy())


_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0, out=x),
    "tanh": lambda x: np.tanh(x, out=x),
    "sigmoid": _sigmoid,
}
