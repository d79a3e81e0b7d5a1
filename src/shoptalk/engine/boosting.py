"""Phrase boosting: the phrases of a request as bonuses on tokens, for a batch whose rows bring different phrases.

**What a text gets.** `phrases` builds an Aho-Corasick automaton (doi 10.1145/360825.360855) over characters. Its state
stands for the longest beginning of a phrase that the text ends with, and has a worth in nats that grows with each
character. At the end of a word the longest phrase that ends there keeps its score. What is not kept is only lent: it is
taken back when the text leaves the beginning. So a text's total bonus is the sum of the phrases it contains, plus the
worth of the beginning it ends with.

**From characters to tokens.** A decoder asks what each token gives in a state, and where it leads. That follows from
walking the automaton with the token's characters, so a phrase counts however the decoder cuts it into tokens. The bonus
of a token has two parts:

- what leaving the state gives: minus its worth, plus what is kept if a word is over before the token;
- what the token gives: the worth of the state it leads to, plus what is kept at the ends of words inside the token.

**The table.** The second part for each state and token would be a table of N x V numbers, too large for thousands of
phrases. But for most tokens a state leads where the state that it fails to leads. So only few states have a full row.
Any other state has a base, the nearest state on its chain of failures with a full row, and at most `ARCS` arcs: the
tokens for which it differs from its base. A lookup copies the base's row and overwrites the arcs.

Shapes: B rows of a batch, R rows that are asked about, V tokens, N states, K arcs of a state (padded), D states with a
full row, A arcs of all states, P pairs of a state and its base. Tables have V + 1 columns: the last is for padding
among the arcs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import sentencepiece
import torch
from torch.nn.functional import pad

from shoptalk.core.protocols import Phrase
from shoptalk.engine.phrases import NOWHERE, ROOT, Floats, Integers, Machine, build, ends_word, fold

ARCS = 16
"""Arcs of a state at most; a state with more has a full row."""
CACHED = 8
"""Lists of phrases that stay compiled, because clients of a server repeat them."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Automaton:
    """Compiled phrases as tensors."""

    row_N: torch.Tensor
    """The full row of each state: its own, or its base's."""
    bonus_DV: torch.Tensor
    """What the token gives, by rows."""
    next_DV: torch.Tensor
    """The state that the token leads to, by rows."""
    token_NK: torch.Tensor
    """The token of each arc; V for padding."""
    bonus_NK: torch.Tensor
    next_NK: torch.Tensor
    leave_N2: torch.Tensor
    """What leaving the state gives: minus its worth, and what is kept where a word is over."""
    counts_2V: torch.Tensor
    """Whether the columns of `leave_N2` count for a token: the first always, the second if a word is over before it."""


class BatchBoost:
    """The automata of the rows of a batch; rows may share one, or have none."""

    def __init__(self, automaton: Automaton, start_B: torch.Tensor):
        """`automaton` holds the states of all rows; `start_B` is where each row begins."""
        self._all = automaton
        self._start_B = start_B

    @classmethod
    def of(
        cls, automata: Sequence[Automaton | None], *, vocabulary: int, device: torch.device | str = "cpu"
    ) -> "BatchBoost":
        """From an automaton or None for each row, all for one tokenizer with `vocabulary` tokens."""
        distinct = {id(automaton): automaton for automaton in automata if automaton is not None}
        first_state: dict[int, int] = {}
        states = 0
        for key, automaton in distinct.items():
            first_state[key] = states
            states += len(automaton.row_N)
        start = [NOWHERE if automaton is None else first_state[id(automaton)] + ROOT for automaton in automata]
        joined = _joined(list(distinct.values()) or [_no_phrases(vocabulary)], device)
        return cls(joined, torch.tensor(start, device=device))

    def start(self) -> torch.Tensor:
        """The state (B,) of each row before its first token."""
        return self._start_B.clone()

    def bonus(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """What to add to the logits of the tokens, (R, V) float32.

        `rows` (R,) is not needed: the states (R,) of different rows are different numbers.
        """
        table = self._all
        bonus_RV = table.bonus_DV.index_select(0, table.row_N.index_select(0, state))
        bonus_RV.scatter_(1, table.token_NK.index_select(0, state), table.bonus_NK.index_select(0, state))
        bonus_RV.addmm_(table.leave_N2.index_select(0, state), table.counts_2V)
        return bonus_RV[:, :-1]

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """The states (R,) after one token (R,) more."""
        table = self._all
        by_row_R = table.next_DV[table.row_N.index_select(0, state), token]
        is_arc_RK = table.token_NK.index_select(0, state) == token[:, None]
        by_arc_R = (table.next_NK.index_select(0, state) * is_arc_RK).sum(dim=1)
        return torch.where(by_arc_R > 0, by_arc_R, by_row_R)  # no arc leads to state 0

    def finish(self, state: torch.Tensor) -> torch.Tensor:
        """What the end of the text gives (R,): a phrase that ends there is kept, an unfinished one is taken back."""
        return self._all.leave_N2.index_select(0, state).sum(dim=1)


def compile_phrases(phrases: Sequence[Phrase], tokenizer: sentencepiece.SentencePieceProcessor) -> Automaton | None:
    """The automaton of a request's phrases, None for none; `BoostError` for one that the tokenizer cannot spell."""
    return _compiled(tuple(phrases), tokenizer) if phrases else None


class _Arcs(NamedTuple):
    """Arcs as columns (A,): in which state which token gives what and leads where. Leaving the state is not in it."""

    state: Integers
    token: Integers
    bonus: Floats
    next: Integers

    def where(self, chosen_A: Flags) -> "_Arcs":
        return _Arcs(self.state[chosen_A], self.token[chosen_A], self.bonus[chosen_A], self.next[chosen_A])

    @classmethod
    def joined(cls, parts: Sequence["_Arcs"]) -> "_Arcs":
        states, tokens, bonuses, following = zip(*parts, strict=True)
        return cls(np.concatenate(states), np.concatenate(tokens), np.concatenate(bonuses), np.concatenate(following))


@lru_cache(maxsize=CACHED)
def _compiled(phrases: tuple[Phrase, ...], tokenizer: sentencepiece.SentencePieceProcessor) -> Automaton:
    machine = build(phrases, tokenizer)
    pieces = [fold(tokenizer.id_to_piece(token)) for token in range(tokenizer.vocab_size())]
    beginnings = _Beginning.of(pieces)
    states = len(machine.fail_N)

    # First against the state that each fails to, which shows how many arcs there are. Then, for states whose base lies
    # further down their chain of failures, against that base.
    state_N = np.arange(states)
    arcs = _differences(machine, beginnings, state_N[ROOT:], machine.fail_N[ROOT:])
    base_N, is_full_N = _bases(machine, np.bincount(arcs.state, minlength=states))
    is_other_N = base_N != machine.fail_N
    against_base = _differences(machine, beginnings, state_N[is_other_N], base_N[is_other_N])
    arcs = _Arcs.joined([arcs.where(~is_other_N[arcs.state]), against_base])

    row_N, bonus_DV, next_DV = _full_rows(machine, base_N, is_full_N, arcs, len(pieces))
    token_NK, bonus_NK, next_NK = _padded(arcs.where(~is_full_N[arcs.state]), states, len(pieces))
    counts_2V = np.ones((2, len(pieces) + 1))
    counts_2V[1, :-1] = [ends_word(piece[0]) for piece in pieces]
    leave_N2 = np.stack((-machine.worth_N, machine.kept_N), axis=1)
    return Automaton(
        row_N=torch.from_numpy(row_N),
        bonus_DV=torch.from_numpy(bonus_DV),
        next_DV=torch.from_numpy(next_DV),
        token_NK=torch.from_numpy(token_NK),
        bonus_NK=torch.from_numpy(bonus_NK),
        next_NK=torch.from_numpy(next_NK),
        leave_N2=torch.from_numpy(leave_N2).float(),
        counts_2V=torch.from_numpy(counts_2V).float(),
    )


@dataclass
class _Beginning:
    """A node of the trie of all tokens: the tokens that end here, and the nodes one character further."""

    tokens: list[int] = field(default_factory=list)
    longer: dict[str, "_Beginning"] = field(default_factory=dict)

    @classmethod
    def of(cls, pieces: Sequence[str]) -> "_Beginning":
        root = cls()
        for token, piece in enumerate(pieces):
            node = root
            for character in piece:
                node = node.longer.setdefault(character, cls())
            node.tokens.append(token)
        return root


class _Walk(NamedTuple):
    """States and their bases (P,), walked with the same characters as far as a node of the tokens' trie."""

    node: _Beginning
    state_P: Integers
    """Where the walk began; the base's beginning is not needed any more."""
    at_P: Integers
    """Where the state is now."""
    base_at_P: Integers
    """Where its base is now."""
    kept_2P: Floats
    """What the state, and its base, kept at the ends of words on the way."""


def _differences(machine: Machine, tokens: _Beginning, state_P: Integers, base_P: Integers) -> _Arcs:
    """Arcs for the tokens that lead a state elsewhere than its base, or give it something else.

    All pairs walk the trie of tokens together. Where a state and its base meet with as much kept, they stay together,
    and the pair is dropped.
    """
    nothing = np.zeros(0, np.int64)
    parts = [_Arcs(nothing, nothing, np.zeros(0), nothing)]
    walks = [_Walk(tokens, state_P, state_P, base_P, np.zeros((2, len(state_P))))]
    while walks:
        walk = walks.pop()
        for character, node in walk.node.longer.items():
            code = machine.code.get(character, 0)
            next_P = machine.next_NC[walk.at_P, code]
            base_next_P = machine.next_NC[walk.base_at_P, code]
            kept_2P = walk.kept_2P
            if walk.node is not tokens and ends_word(character):  # before the first character: part of leaving
                kept_2P = kept_2P + machine.kept_N[np.stack((walk.at_P, walk.base_at_P))]
            is_apart_P = (next_P != base_next_P) | (kept_2P[0] != kept_2P[1])
            chosen = is_apart_P.nonzero()[0]
            if not chosen.size:
                continue
            further = _Walk(node, walk.state_P[chosen], next_P[chosen], base_next_P[chosen], kept_2P[:, chosen])
            walks.append(further)
            bonus_P = machine.worth_N[further.at_P] + further.kept_2P[0]
            for token in node.tokens:
                parts.append(_Arcs(further.state_P, np.full(len(chosen), token), bonus_P, further.at_P))
    return _Arcs.joined(parts)


def _bases(machine: Machine, arcs_N: Integers) -> tuple[Integers, Flags]:
    """The base (N,) of each state, and which states have a full row; `arcs_N` counts arcs against the failure.

    Arcs against a base further down are at most those of all states between.
    """
    fail = machine.fail_N.tolist()
    own = arcs_N.tolist()
    base = [NOWHERE] * len(fail)
    arcs = [0] * len(fail)
    is_full = [True] * len(fail)
    for state in machine.order_N.tolist()[ROOT:]:
        if is_full[fail[state]]:
            base[state] = fail[state]
            arcs[state] = own[state]
        else:
            base[state] = base[fail[state]]
            arcs[state] = own[state] + arcs[fail[state]]
        is_full[state] = arcs[state] > ARCS
    return np.array(base), np.array(is_full)


def _full_rows(
    machine: Machine, base_N: Integers, is_full_N: Flags, arcs: _Arcs, vocabulary: int
) -> tuple[Integers, npt.NDArray[np.float32], Integers]:
    """The row of each state (N,), and the rows' bonuses and next states (D, V + 1); row 0 is that of state 0."""
    state_D = machine.order_N[is_full_N[machine.order_N]]
    own_row_N = np.zeros(len(base_N), np.int64)
    own_row_N[state_D] = np.arange(len(state_D))
    bonus_DV = np.zeros((len(state_D), vocabulary + 1), np.float32)
    next_DV = np.zeros(bonus_DV.shape, np.int64)

    arcs = arcs.where(is_full_N[arcs.state])
    row_A = own_row_N[arcs.state]
    order_A = np.argsort(row_A, kind="stable")
    ends = np.cumsum(np.bincount(row_A, minlength=len(state_D))).tolist()
    for row in range(1, len(state_D)):
        base_row = own_row_N[base_N[state_D[row]]]  # made before: a state comes behind those that it fails to
        bonus_DV[row] = bonus_DV[base_row]
        next_DV[row] = next_DV[base_row]
        own = order_A[ends[row - 1] : ends[row]]
        bonus_DV[row, arcs.token[own]] = arcs.bonus[own]
        next_DV[row, arcs.token[own]] = arcs.next[own]
    row_N = np.where(is_full_N, own_row_N, own_row_N[base_N])
    return row_N, bonus_DV, next_DV


def _padded(arcs: _Arcs, states: int, vocabulary: int) -> tuple[Integers, npt.NDArray[np.float32], Integers]:
    """Arcs by state as padded columns (N, K): token, bonus, next state."""
    count_N = np.bincount(arcs.state, minlength=states)
    shape = states, max(1, int(count_N.max()))
    token_NK = np.full(shape, vocabulary)
    bonus_NK = np.zeros(shape, np.float32)
    next_NK = np.zeros(shape, np.int64)

    order_A = np.argsort(arcs.state, kind="stable")
    first_N = np.cumsum(count_N) - count_N
    nth_A = np.arange(len(order_A)) - np.repeat(first_N, count_N)
    place_A = arcs.state[order_A], nth_A
    token_NK[place_A] = arcs.token[order_A]
    bonus_NK[place_A] = arcs.bonus[order_A]
    next_NK[place_A] = arcs.next[order_A]
    return token_NK, bonus_NK, next_NK


def _no_phrases(vocabulary: int) -> Automaton:
    """For a batch in which no row has phrases: one state, which gives nothing and leads to itself."""
    return Automaton(
        row_N=torch.zeros(1, dtype=torch.long),
        bonus_DV=torch.zeros(1, vocabulary + 1),
        next_DV=torch.zeros(1, vocabulary + 1, dtype=torch.long),
        token_NK=torch.full((1, 1), vocabulary),
        bonus_NK=torch.zeros(1, 1),
        next_NK=torch.zeros(1, 1, dtype=torch.long),
        leave_N2=torch.zeros(1, 2),
        counts_2V=torch.zeros(2, vocabulary + 1),
    )


def _joined(automata: Sequence[Automaton], device: torch.device | str) -> Automaton:
    """Several automata of one tokenizer as one: their states and rows are numbered on."""
    widest = max(automaton.token_NK.shape[1] for automaton in automata)
    states = rows = 0
    parts: list[Automaton] = []
    for automaton in automata:
        no_token = automaton.bonus_DV.shape[1] - 1
        parts.append(
            Automaton(
                row_N=automaton.row_N + rows,
                bonus_DV=automaton.bonus_DV,
                next_DV=automaton.next_DV + states,
                token_NK=_widened(automaton.token_NK, widest, no_token),
                bonus_NK=_widened(automaton.bonus_NK, widest, 0),
                next_NK=_widened(automaton.next_NK + states, widest, 0),
                leave_N2=automaton.leave_N2,
                counts_2V=automaton.counts_2V,
            )
        )
        states += len(automaton.row_N)
        rows += len(automaton.bonus_DV)
    columns = {column.name: [getattr(part, column.name) for part in parts] for column in fields(Automaton)}
    columns["counts_2V"] = columns["counts_2V"][:1]  # the same for all, as the tokenizer is
    return Automaton(**{name: torch.cat(column).to(device) for name, column in columns.items()})


def _widened(column_NK: torch.Tensor, width: int, value: int) -> torch.Tensor:
    return pad(column_NK, (0, width - column_NK.shape[1]), value=value)
