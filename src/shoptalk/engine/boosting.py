"""The phrases of a request as bonuses on tokens, by tensor operations for a batch whose rows bring different ones.

The automaton over characters is walked with the characters of each token, so a phrase counts however a decoder cuts it
into tokens. What a text was given in all is the scores of the phrases in it, at each end of a word that of the longest
that ends there, and the worth of the beginning of a phrase that it ends with.

Shapes: B rows of a batch, R rows that are asked about, V tokens, N states, K arcs of a state, D states with a full row,
A arcs of all states, P pairs of states.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import sentencepiece
import torch

from shoptalk.core.protocols import Phrase
from shoptalk.engine.phrases import NOWHERE, ROOT, Floats, Integers, Machine, build, ends_word, fold

ARCS = 16
"""Arcs of a state; one with more has a full row."""
CACHED = 8
"""Lists of phrases that stay compiled: servers repeat them."""


@dataclass(frozen=True)
class Automaton:
    """Compiled phrases. A token gives a state what its arc says, or else its row, and what leaving the state gives.

    Rows have a column more than there are tokens, for arcs that are none.
    """

    row_N: torch.Tensor
    """Which row is that of a state."""
    bonus_DV: torch.Tensor
    next_DV: torch.Tensor
    token_NK: torch.Tensor
    bonus_NK: torch.Tensor
    next_NK: torch.Tensor
    leave_N2: torch.Tensor
    """What all tokens take back, and what those give at which a word is over."""
    over_2V: torch.Tensor
    """One, and whether a word is over at the token."""


class BatchBoost:
    """The automata of the rows of a batch; rows may share one, or have none."""

    def __init__(self, automaton: Automaton, start_B: torch.Tensor):
        self._all, self._start_B = automaton, start_B

    @classmethod
    def of(
        cls, automata: Sequence[Automaton | None], *, vocabulary: int, device: torch.device | str = "cpu"
    ) -> "BatchBoost":
        """An automaton or none for each row, all of one tokenizer with so many tokens."""
        distinct = list({id(one): one for one in automata if one}.values()) or [_nothing(vocabulary)]
        first = dict(zip(map(id, distinct), accumulate((len(one.row_N) for one in distinct), initial=0), strict=False))
        start_B = torch.tensor([first[id(one)] + ROOT if one else NOWHERE for one in automata], device=device)
        return cls(_joined(distinct, device), start_B)

    def start(self) -> torch.Tensor:
        """The state (B,) of each row before its first token."""
        return self._start_B.clone()

    def bonus(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """What to add to the logits of the tokens, (R, V) float32; the states (R,) know whose they are."""
        table = self._all
        bonus_RV = table.bonus_DV.index_select(0, table.row_N.index_select(0, state))
        bonus_RV.scatter_(1, table.token_NK.index_select(0, state), table.bonus_NK.index_select(0, state))
        return bonus_RV.addmm_(table.leave_N2.index_select(0, state), table.over_2V)[:, :-1]

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """The states (R,) after one token (R,) more."""
        table = self._all
        by_row_R = table.next_DV[table.row_N.index_select(0, state), token]
        here_RK = table.token_NK.index_select(0, state) == token[:, None]
        by_arc_R = (table.next_NK.index_select(0, state) * here_RK).sum(dim=1)  # no arc leads to state 0
        return torch.where(by_arc_R > 0, by_arc_R, by_row_R)

    def finish(self, state: torch.Tensor) -> torch.Tensor:
        """What the end of the text gives (R,): a phrase just ended is kept, one that is not whole is taken back."""
        return self._all.leave_N2.index_select(0, state).sum(dim=1)


def compile_phrases(phrases: Sequence[Phrase], tokenizer: sentencepiece.SentencePieceProcessor) -> Automaton | None:
    """The automaton of the phrases of a request, None for none; `BoostError` for one that no tokens can spell."""
    return _compiled(tuple(phrases), tokenizer) if phrases else None


class _Arcs(NamedTuple):
    """From which state which token (A,) leads where, for what beside leaving the state."""

    state: Integers
    token: Integers
    bonus: Floats
    next: Integers

    def where(self, chosen_A: npt.NDArray[np.bool_]) -> "_Arcs":
        return _Arcs(self.state[chosen_A], self.token[chosen_A], self.bonus[chosen_A], self.next[chosen_A])

    @classmethod
    def of(cls, found: Sequence["_Arcs"]) -> "_Arcs":
        states, tokens, bonuses, following = zip(*found, strict=True)
        return cls(np.concatenate(states), np.concatenate(tokens), np.concatenate(bonuses), np.concatenate(following))


@lru_cache(maxsize=CACHED)
def _compiled(phrases: tuple[Phrase, ...], tokenizer: sentencepiece.SentencePieceProcessor) -> Automaton:
    machine = build(phrases, tokenizer)
    pieces = [fold(tokenizer.id_to_piece(token)) for token in range(tokenizer.vocab_size())]
    beginnings, all_N = _Beginning.of(pieces), np.arange(len(machine.fail_N))
    arcs = _arcs(machine, beginnings, all_N[ROOT:], machine.fail_N[ROOT:])
    base_N, wide_N = _bases(machine, np.bincount(arcs.state, minlength=len(all_N)))
    other_N = base_N != machine.fail_N
    more = _arcs(machine, beginnings, all_N[other_N], base_N[other_N])
    arcs = _Arcs.of([arcs.where(~other_N[arcs.state]), more])
    row_N, bonus_DV, next_DV = _rows(machine, base_N, wide_N, arcs, len(pieces))
    over_2V = np.ones((2, len(pieces) + 1))
    over_2V[1, :-1] = [ends_word(piece[0]) for piece in pieces]
    leave_N2 = np.stack((-machine.worth_N, machine.kept_N), axis=1)
    table = _table(arcs.where(~wide_N[arcs.state]), len(all_N), len(pieces))
    tensors = map(torch.from_numpy, (row_N, bonus_DV, next_DV, *table, leave_N2, over_2V))
    return Automaton(*(tensor.float() if tensor.is_floating_point() else tensor for tensor in tensors))


@dataclass
class _Beginning:
    """Characters that tokens begin with, the tokens that they are, and how they go on."""

    tokens: list[int] = field(default_factory=list)
    longer: dict[str, "_Beginning"] = field(default_factory=dict)

    @classmethod
    def of(cls, pieces: Sequence[str]) -> "_Beginning":
        root = cls()
        for token, piece in enumerate(pieces):
            at = root
            for c in piece:
                at = at.longer.setdefault(c, cls())
            at.tokens.append(token)
        return root


def _arcs(machine: Machine, beginnings: _Beginning, state_P: Integers, base_P: Integers) -> _Arcs:
    """The arcs of states for the tokens that do not lead them where they lead their base, for as much."""
    empty = np.zeros(0, np.int64)
    found = [_Arcs(empty, empty, np.zeros(0), empty)]
    stack = [(beginnings, state_P, state_P, base_P, np.zeros((2, len(state_P))))]
    while stack:
        begun, state_P, at_P, beside_P, kept_2P = stack.pop()
        for c, further in begun.longer.items():
            code = machine.code.get(c, 0)
            next_P, next_beside_P = machine.next_NC[at_P, code], machine.next_NC[beside_P, code]
            now_2P = kept_2P
            if begun is not beginnings and ends_word(c):  # before the first character it belongs to leaving
                now_2P = kept_2P + machine.kept_N[np.stack((at_P, beside_P))]
            chosen = ((next_P != next_beside_P) | (now_2P[0] != now_2P[1])).nonzero()[0]
            if not chosen.size:
                continue
            pairs = state_P[chosen], next_P[chosen], next_beside_P[chosen], now_2P[:, chosen]
            stack.append((further, *pairs))
            bonus_P = machine.worth_N[pairs[1]] + pairs[3][0]
            found += [_Arcs(pairs[0], np.full(len(chosen), t), bonus_P, pairs[1]) for t in further.tokens]
    return _Arcs.of(found)


def _bases(machine: Machine, own_N: Integers) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """For each state the nearest that it fails to with a full row, from which it is told apart; and which have one."""
    fails, own = machine.fail_N.tolist(), own_N.tolist()
    base, arcs, wide = [NOWHERE] * len(fails), [0] * len(fails), [True] * len(fails)
    for state in machine.order_N.tolist()[ROOT:]:
        fail = fails[state]
        base[state], inherited = (fail, 0) if wide[fail] else (base[fail], arcs[fail])
        arcs[state] = own[state] + inherited
        wide[state] = arcs[state] > ARCS
    return np.array(base), np.array(wide)


def _rows(
    machine: Machine, base_N: Integers, wide_N: npt.NDArray[np.bool_], arcs: _Arcs, vocabulary: int
) -> tuple[Integers, npt.NDArray[np.float32], Integers]:
    """The row of each state, and what the rows give and where they lead (D, V)."""
    wide_D = machine.order_N[wide_N[machine.order_N]]
    row_N = np.zeros(len(base_N), np.int64)
    row_N[wide_D] = np.arange(len(wide_D))
    bonus_DV = np.zeros((len(wide_D), vocabulary + 1), np.float32)
    next_DV = np.zeros(bonus_DV.shape, np.int64)
    full = arcs.where(wide_N[arcs.state])
    order_A = np.argsort(row_N[full.state], kind="stable")
    ends = np.cumsum(np.bincount(row_N[full.state], minlength=len(wide_D)))
    for row, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True), start=1):
        own, base = order_A[start:end], row_N[base_N[wide_D[row]]]
        bonus_DV[row], next_DV[row] = bonus_DV[base], next_DV[base]
        bonus_DV[row, full.token[own]], next_DV[row, full.token[own]] = full.bonus[own], full.next[own]
    return np.where(wide_N, row_N, row_N[base_N]), bonus_DV, next_DV


def _table(arcs: _Arcs, states: int, vocabulary: int) -> tuple[Integers, npt.NDArray[np.float32], Integers]:
    """Arcs as padded columns (N, K): token, bonus, next state."""
    order_A = np.argsort(arcs.state, kind="stable")
    count_N = np.bincount(arcs.state, minlength=states)
    nth_A = np.arange(len(order_A)) - np.repeat(np.cumsum(count_N) - count_N, count_N)
    shape, place_A = (states, max(1, int(count_N.max()))), (arcs.state[order_A], nth_A)
    token_NK, bonus_NK, next_NK = np.full(shape, vocabulary), np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    token_NK[place_A], bonus_NK[place_A], next_NK[place_A] = (
        column[order_A] for column in (arcs.token, arcs.bonus, arcs.next)
    )
    return token_NK, bonus_NK, next_NK


def _nothing(vocabulary: int) -> Automaton:
    """For a batch in which no row has phrases."""
    none_1, none_1V, arcs_11 = torch.zeros(1), torch.zeros(1, vocabulary + 1), torch.full((1, 1), vocabulary)
    over_2V, none_12 = torch.zeros(2, vocabulary + 1), torch.zeros(1, 2)
    return Automaton(none_1.long(), none_1V, none_1V.long(), arcs_11, none_1[:, None], arcs_11 * 0, none_12, over_2V)


def _joined(automata: Sequence[Automaton], device: torch.device | str) -> Automaton:
    """Several as one: states and rows are numbered on, and the widest gives the width."""
    if len(automata) == 1:
        return Automaton(*(getattr(automata[0], one.name).to(device) for one in fields(Automaton)))
    widest = max(one.token_NK.shape[1] for one in automata)
    parts: dict[str, list[torch.Tensor]] = {one.name: [] for one in fields(Automaton)}
    states = rows = 0
    for one in automata:
        padding = {"token_NK": one.bonus_DV.shape[1] - 1, "bonus_NK": 0, "next_NK": 0}
        shift = {"row_N": rows, "next_DV": states, "next_NK": states}
        for name, column in parts.items():
            part = getattr(one, name)
            if shift.get(name):
                part = part + shift[name]
            if name in padding and part.shape[1] < widest:
                part = torch.nn.functional.pad(part, (0, widest - part.shape[1]), value=padding[name])
            column.append(part)
        states, rows = states + len(one.row_N), rows + len(one.bonus_DV)
    parts["over_2V"] = parts["over_2V"][:1]
    return Automaton(*(torch.cat(column).to(device) for column in parts.values()))
