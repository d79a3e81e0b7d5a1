"""The rounds of `looping` in few kernels: what lies between the matrix products of a round is fused, its state is kept
in place.

A round of `looping` launches some ninety operations on a few kilobytes each, and a GPU needs about two microseconds for
any. Here it launches eight: look (the joint's hidden layer of the frames of the window), its output matrix, choose
(tokens, jumps, confidence), and a matrix and the gates of each layer of the prediction network, then its projection.

Shapes: as in `looping`.
"""

import torch

from shoptalk.engine.gpu.attention import tl, triton
from shoptalk.engine.gpu.looping import ROUNDS, WINDOW, Looping, Standing, until_through
from shoptalk.engine.greedy import Decoded
from shoptalk.engine.transducer import Transducer

ACTIVATIONS = {"relu": 0, "tanh": 1, "sigmoid": 2}
WIDTHS = 128
"""Numbers of the prediction network that a block of its gates computes."""


@triton.jit
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _tanh(x):  # type: ignore[no-untyped-def]
    return 2 * _sigmoid(2 * x) - 1


@triton.jit(do_not_specialize=["frames"])
def _look(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    encoded, at, predicted, out, frames, joint,
    WINDOW: tl.constexpr, JOINT: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """act(encoded + predicted) of one frame of the window of one row."""
    row, ahead = tl.program_id(0).to(tl.int64), tl.program_id(1)
    dim_J = tl.arange(0, JOINT)
    is_dim_J = dim_J < joint
    frame = tl.minimum(tl.load(at + row) + ahead, frames - 1)
    x_J = tl.load(encoded + (row * frames + frame) * joint + dim_J, mask=is_dim_J, other=0.0)
    x_J += tl.load(predicted + row * joint + dim_J, mask=is_dim_J, other=0.0)
    if ACTIVATION == 0:
        x_J = tl.maximum(x_J, 0.0)
    elif ACTIVATION == 1:
        x_J = _tanh(x_J)
    else:
        x_J = _sigmoid(x_J)
    tl.store(out + (row * WINDOW + ahead) * joint + dim_J, x_J, mask=is_dim_J)


@triton.jit
def _choose(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    logits, durations, frames, at, here, said, token, frame, span, confidence,
    blank, outputs, most, DURATIONS: tl.constexpr,
    WINDOW: tl.constexpr, FRAMES: tl.constexpr, TOKENS: tl.constexpr, SPANS: tl.constexpr,
):  # fmt: skip
    """What one row says in this round; moves it on. FRAMES, TOKENS and SPANS are powers of two, and large enough."""
    row = tl.program_id(0)
    ahead_W, token_V, span_S = tl.arange(0, FRAMES), tl.arange(0, TOKENS), tl.arange(0, SPANS)
    rows_W = logits + (row * WINDOW + ahead_W).to(tl.int64) * outputs
    is_token_WV = (ahead_W < WINDOW)[:, None] & (token_V <= blank)[None, :]
    logits_WV = tl.load(rows_W[:, None] + token_V[None, :], mask=is_token_WV, other=float("-inf"))
    token_W = tl.argmax(logits_WV, axis=1)
    is_span_WS = (ahead_W < WINDOW)[:, None] & (span_S < DURATIONS)[None, :]
    spans_WS = tl.load(rows_W[:, None] + blank + 1 + span_S[None, :], mask=is_span_WS, other=float("-inf"))
    span_W = tl.load(durations + tl.argmax(spans_WS, axis=1))
    now, end, told = tl.load(at + row), tl.load(frames + row), tl.load(here + row)
    is_blank_W = (token_W == blank) & (now + ahead_W < end)
    jump_W = tl.where(is_blank_W, tl.maximum(span_W, 1), 0)
    land = now * 0
    for _ in tl.static_range(WINDOW):
        land += tl.sum(tl.where(ahead_W == land, jump_W, 0))
    now += land
    is_said = (land < WINDOW) & (now < end)
    is_here_W = ahead_W == tl.minimum(land, WINDOW - 1)
    chosen, jump = tl.sum(tl.where(is_here_W, token_W, 0)), tl.sum(tl.where(is_here_W, span_W, 0))
    at_land = logits + (row * WINDOW + tl.minimum(land, WINDOW - 1)).to(tl.int64) * outputs
    logits_V = tl.load(at_land + token_V, mask=token_V < blank, other=float("-inf"))
    most_likely = tl.max(logits_V)
    total = tl.sum(tl.exp(logits_V - most_likely))
    own = tl.load(at_land + tl.minimum(chosen, blank - 1))
    told = tl.where(land > 0, 0, told) + is_said
    told = tl.where(is_said & (jump > 0), 0, told)
    is_stuck = told >= most
    tl.store(said + row, tl.where(is_said, chosen, blank))
    tl.store(token + row, tl.where(is_said, chosen, -1))
    tl.store(frame + row, now)
    tl.store(span + row, jump)
    tl.store(confidence + row, tl.exp(own - most_likely) / total)
    tl.store(at + row, now + tl.where(is_said, jump, 0) + is_stuck)
    tl.store(here + row, tl.where(is_stuck, 0, told))


@triton.jit
def _gates(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    gates, added, said, h, c, blank, width, stride, IS_FIRST: tl.constexpr, WIDTHS: tl.constexpr
):  # fmt: skip
    """One layer of the prediction network in rows that said a token; h and c change in place."""
    row, dim_X = tl.program_id(0).to(tl.int64), tl.program_id(1) * WIDTHS + tl.arange(0, WIDTHS)
    token = tl.load(said + row)
    mask_X = (dim_X < width) & (token != blank)
    gates += row * 4 * width
    added += token * 4 * width if IS_FIRST else 0
    take_X = tl.load(gates + dim_X, mask=mask_X, other=0.0) + tl.load(added + dim_X, mask=mask_X, other=0.0)
    gates, added = gates + width, added + width
    keep_X = tl.load(gates + dim_X, mask=mask_X, other=0.0) + tl.load(added + dim_X, mask=mask_X, other=0.0)
    gates, added = gates + width, added + width
    fresh_X = tl.load(gates + dim_X, mask=mask_X, other=0.0) + tl.load(added + dim_X, mask=mask_X, other=0.0)
    gates, added = gates + width, added + width
    show_X = tl.load(gates + dim_X, mask=mask_X, other=0.0) + tl.load(added + dim_X, mask=mask_X, other=0.0)
    old_X = tl.load(c + row * stride + dim_X, mask=mask_X, other=0.0)
    c_X = _sigmoid(keep_X) * old_X + _sigmoid(take_X) * _tanh(fresh_X)
    tl.store(c + row * stride + dim_X, c_X, mask=mask_X)
    tl.store(h + row * stride + dim_X, _sigmoid(show_X) * _tanh(c_X), mask=mask_X)


class FusedLooping:
    """`Looping` in few kernels; in float32."""

    def __init__(self, transducer: Transducer, *, window: int = WINDOW, rounds: int = ROUNDS):
        self.transducer, self.window, self.rounds = transducer, window, rounds
        self._plain = Looping(transducer, window=window, rounds=rounds)
        self.device, self.durations = self._plain.device, self._plain.durations

    def start(self, rows: int) -> Standing:
        """Before any token."""
        return Standing(*(part.contiguous() for part in self._plain.start(rows)))

    def stretch(
        self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, *now: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """`Looping.stretch`; what `now` stands for changes in place."""
        standing, rows = Standing(*now), len(frames_B)
        whole_NB = [torch.empty(self.rounds, rows, dtype=torch.long, device=self.device) for _ in range(3)]
        columns = [*whole_NB, torch.empty(self.rounds, rows, device=self.device)]
        encoded_BTJ = encoded_BTJ.contiguous()
        for number in range(self.rounds):
            self._round(encoded_BTJ, frames_B, standing, [column[number] for column in columns])
        return (*standing, *columns, (standing.at_B < frames_B).any())

    def _round(
        self, encoded_BTJ: torch.Tensor, frames_B: torch.Tensor, standing: Standing, columns: list[torch.Tensor]
    ) -> None:
        transducer, shape = self.transducer, self.transducer.shape
        rows, frames, joint = encoded_BTJ.shape
        hidden_XJ = encoded_BTJ.new_empty(rows * self.window, joint)
        _look[(rows, self.window)](
            encoded_BTJ, standing.at_B, standing.predicted_BJ, hidden_XJ, frames, joint,
            WINDOW=self.window, JOINT=triton.next_power_of_2(joint), ACTIVATION=ACTIVATIONS[shape.activation],
        )  # fmt: skip
        logits_XO = transducer.out(hidden_XJ)
        said_B = torch.empty_like(standing.at_B)
        _choose[(rows,)](
            logits_XO, self.durations, frames_B, standing.at_B, standing.here_B, said_B, *columns,
            transducer.blank, logits_XO.shape[1], shape.max_symbols, DURATIONS=len(shape.durations),
            WINDOW=self.window, FRAMES=triton.next_power_of_2(self.window),
            TOKENS=triton.next_power_of_2(transducer.blank + 1), SPANS=triton.next_power_of_2(len(shape.durations)),
            num_warps=8,
        )  # fmt: skip
        self._predict(said_B, standing)

    def _predict(self, said_B: torch.Tensor, standing: Standing) -> None:
        transducer, (rows, layers, width) = self.transducer, standing.h_BLX.shape
        flat_BX = standing.h_BLX.view(rows, layers * width)
        for number, recurrent in enumerate(transducer.recurrent):
            # the layer below has written its new numbers where they lie beside this layer's old ones
            inputs_BX = flat_BX[:, max(0, number - 1) * width : (number + 1) * width]
            gates_BX = torch.mm(inputs_BX, recurrent.weight.t())
            is_first = number == 0
            _gates[(rows, triton.cdiv(width, WIDTHS))](
                gates_BX, transducer.gates_VX if is_first else recurrent.bias, said_B,
                standing.h_BLX[:, number], standing.c_BLX[:, number], transducer.blank, width, layers * width,
                IS_FIRST=is_first, WIDTHS=WIDTHS,
            )  # fmt: skip
        # rows that said nothing have the numbers that they had, and get the projection that they had
        project = transducer.project_predicted
        torch.addmm(project.bias, standing.h_BLX[:, -1], project.weight.t(), out=standing.predicted_BJ)

    def decode(self, encoded_BTD: torch.Tensor, frames_B: torch.Tensor) -> list[Decoded]:
        """`Looping.decode`."""
        return until_through(self, self.transducer.project_encoded(encoded_BTD), frames_B.to(self.device))
