"""Alternatives of a Token-and-Duration Transducer (arXiv 2304.06795): a batched beam search on a CPU.

A hypothesis stands on a frame of its own, and a round extends those of each recording that stand furthest back. So
hypotheses with the same tokens that come to the same frame meet there, in however many steps, and become one, whose
score is the sum over its alignments. The best `width` of a recording stay, wherever they stand. The probability of a
step is that of its token or blank times that of its duration. What must move on (a blank; the last token that a frame
may have) takes a duration of none as one, as greedy decoding does. A width of 1 is greedy decoding.

Shapes: B recordings, W hypotheses of each, N = B · W; R hypotheses that are extended, K tokens tried for each (the
blank last), E durations; C = 1 + K · E continuations (the first: none), of which P are looked at, Q = B · P; S
hypotheses that say a token, J width of the joint, V tokens, O outputs.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.engine.greedy import Boost, Decoded
from shoptalk.engine.steps import Carry, Floats, Integers, Steps

MARGIN = 10.0
"""In nats: what is less likely than the best of its recording by more is dropped."""
POOL = 4
"""Continuations for each hypothesis that stays but the first: equal ones among so many become one before the best are
chosen, so that a width of 1 merges nothing."""

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Scored:
    """What was perhaps said, by its likeliest alignment, and the log-probability of all its alignments in the beam."""

    decoded: Decoded
    score: float


class _Beam(NamedTuple):
    """Hypotheses, one in each place of each column."""

    score: Scores
    """-inf where there is none."""
    gained: Scores
    """By boosted phrases: it ranks, and is no probability."""
    frame: Integers
    here: Integers
    """Tokens on the present frame."""
    key: Keys
    """A hash of the tokens; in 64 bits two texts of one beam practically never share it."""
    said: Integers
    """The last token's number in the order of being said; -1: none."""
    state: Integers
    """Row of the prediction network's states; hypotheses with the same tokens share one."""
    boost: Integers

    def rows(self, chosen: Integers) -> "_Beam":
        return _Beam._make(column[chosen] for column in self)


class _Tried(NamedTuple):
    """The continuations of R hypotheses, and the probability of each token among all but the blank."""

    score_RKE: Scores
    gained_RK: Scores
    token_RK: Integers
    moves_RK: Flags
    """What takes a duration of none as one."""
    confidence_RK: Scores


class _Step(NamedTuple):
    """What leads to each place of a beam: from where (before), and what it says if it says anything."""

    before: Integers
    says: Flags
    token: Integers
    frame: Integers
    span: Integers
    confidence: Scores

    def rows(self, chosen: Integers) -> "_Step":
        return _Step._make(column[chosen] for column in self)


@dataclass
class _Search:
    """What a search holds beside its beam; `states` and `said` change."""

    steps: Steps
    width: int
    margin: float
    encoded_BTJ: Floats
    end_N: Integers
    recording_N: Integers
    states: Carry
    boost: Boost | None
    said: list[_Step] = field(default_factory=list)
    told: int = 0
    """Tokens in `said`."""


def decode_nbest(
    steps: Steps,
    encoded_BTD: torch.Tensor,
    frames_B: torch.Tensor,
    *,
    width: int,
    alternatives: int,
    boost: Boost | None = None,
    margin: float = MARGIN,
    spell: Callable[[Sequence[int]], Hashable] = tuple,
) -> list[list[Scored]]:
    """At most so many alternatives for each recording, the best first, from padded frames (B, T, D).

    Those that `spell` the same are one. They are in the order of their scores; with `boost`, of scores and what boosted
    phrases gave, which the scores do not hold.
    """
    search, beam = _begun(steps, encoded_BTD, frames_B, width, margin, boost)
    while (row_R := _furthest_back(search, beam)).size:
        step_N, beam = _best(search, beam, *_continued(search, beam, row_R, _tried(search, beam, row_R)))
        beam = _said(search, beam, step_N)
    return [found[:alternatives] for found in _alternatives(search, beam, spell)]


def _begun(
    steps: Steps, encoded_BTD: torch.Tensor, frames_B: torch.Tensor, width: int, margin: float, boost: Boost | None
) -> tuple[_Search, _Beam]:
    encoded_BTJ = steps.project(encoded_BTD)
    recording_N = np.repeat(np.arange(len(encoded_BTJ)), width)
    none_N = np.zeros(len(recording_N), np.int64)
    one, rows = steps.start(1), np.zeros(2 * len(recording_N), np.int64)
    states = Carry([h[rows] for h in one.h], [c[rows] for c in one.c], one.predicted_BJ[rows], rows)
    score_N = np.where(np.arange(len(none_N)) % width == 0, 0.0, -np.inf)
    boost_N = boost.start().numpy()[recording_N] if boost else none_N
    beam = _Beam(score_N, np.zeros(len(none_N)), none_N, none_N, none_N.astype(np.uint64), none_N - 1, none_N, boost_N)
    end_N = frames_B.numpy()[recording_N]
    return _Search(steps, width, margin, encoded_BTJ, end_N, recording_N, states, boost), beam


def _furthest_back(search: _Search, beam: _Beam) -> Integers:
    """The hypotheses (R,) that are to be extended now."""
    never = np.iinfo(np.int64).max
    frame_N = np.where(np.isfinite(beam.score) & (beam.frame < search.end_N), beam.frame, never)
    first_N = frame_N.reshape(-1, search.width).min(axis=1)[search.recording_N]
    return ((frame_N == first_N) & (frame_N < never)).nonzero()[0]


def _tried(search: _Search, beam: _Beam, row_R: Integers) -> _Tried:
    """The likeliest tokens and the blank of each hypothesis, with every duration."""
    steps, blank = search.steps, search.steps.blank
    recording_R, predicted_RJ = search.recording_N[row_R], search.states.predicted_BJ[beam.state[row_R]]
    logits_RO = steps.logits(search.encoded_BTJ[recording_R, beam.frame[row_R]], predicted_RJ)
    ranked_RV = logits_RO[:, :blank]
    if search.boost:
        boost_R = torch.from_numpy(beam.boost[row_R])
        ranked_RV = ranked_RV + search.boost.bonus(torch.from_numpy(recording_R), boost_R).numpy()
    tokens = min(search.width, blank)
    token_RK = np.full((len(row_R), tokens + 1), blank)
    token_RK[:, :tokens] = np.argpartition(ranked_RV, blank - tokens, axis=1)[:, blank - tokens :]
    logits_RK = np.take_along_axis(logits_RO, token_RK, axis=1).astype(np.float64)
    gained_RK = np.zeros(token_RK.shape)
    gained_RK[:, :tokens] = np.take_along_axis(ranked_RV, token_RK[:, :tokens], axis=1) - logits_RK[:, :tokens]
    tokens_R1 = torch.from_numpy(logits_RO[:, :blank]).logsumexp(dim=1, keepdim=True).numpy()
    all_R1 = np.logaddexp(tokens_R1, logits_RK[:, -1:])
    moves_RK = (token_RK == blank) | (beam.here[row_R] + 1 >= steps.max_symbols)[:, None]
    duration_RE = torch.from_numpy(logits_RO[:, blank + 1 :]).log_softmax(dim=1).numpy()
    score_RKE = (beam.score[row_R, None] + logits_RK - all_R1)[:, :, None] + duration_RE[:, None]
    return _Tried(score_RKE, gained_RK, token_RK, moves_RK, np.exp(logits_RK - tokens_R1))


def _continued(search: _Search, beam: _Beam, row_R: Integers, tried: _Tried) -> tuple[_Step, _Beam]:
    """The best continuations (Q,) of each recording, the best first; who is not extended may stay as it is."""
    rank_NC = np.full((len(beam.score), 1 + tried.score_RKE[0].size), -np.inf)
    rank_NC[:, 0] = beam.score + beam.gained
    rank_NC[row_R, 0] = -np.inf
    gained_RK = beam.gained[row_R, None] + tried.gained_RK
    rank_NC[row_R, 1:] = (tried.score_RKE + gained_RK[:, :, None]).reshape(len(row_R), -1)
    rank_BX = rank_NC.reshape(-1, search.width * rank_NC.shape[1])
    place_Q = _highest(rank_BX, 1 + POOL * (search.width - 1))
    rank_Q = rank_BX.reshape(-1)[place_Q]
    before_Q, choice_Q = np.divmod(place_Q, rank_NC.shape[1])
    old, goes_Q = beam.rows(before_Q), np.isfinite(rank_Q) & (choice_Q > 0)
    row_N = np.zeros(len(beam.score), np.int64)
    row_N[row_R] = np.arange(len(row_R))
    which_Q, duration_Q = np.divmod(choice_Q - 1, tried.score_RKE.shape[2])
    at_Q = row_N[before_Q], which_Q
    token_Q, span_Q = tried.token_RK[at_Q], search.steps.durations[duration_Q]
    moved_Q = np.where(tried.moves_RK[at_Q], np.maximum(span_Q, 1), span_Q)
    says_Q = goes_Q & (token_Q != search.steps.blank)
    gained_Q = np.where(goes_Q, gained_RK[at_Q], old.gained)
    pool = old._replace(
        score=rank_Q - gained_Q,
        gained=gained_Q,
        frame=np.where(goes_Q, np.minimum(old.frame + moved_Q, search.end_N[before_Q]), old.frame),
        here=np.where(goes_Q, np.where(moved_Q == 0, old.here + 1, 0), old.here),
        key=np.where(says_Q, _hashed(old.key, token_Q), old.key),
    )
    return _Step(before_Q, says_Q, token_Q, old.frame, span_Q, tried.confidence_RK[at_Q]), pool


def _best(search: _Search, beam: _Beam, step_Q: _Step, pool: _Beam) -> tuple[_Step, _Beam]:
    """The best of the pool (N,), where equal ones are one; the likeliest of them lends its alignment."""
    shape = len(beam.score) // search.width, -1
    key_BP, frame_BP, score_BP = pool.key.reshape(shape), pool.frame.reshape(shape), pool.score.reshape(shape)
    same_BPP = (key_BP[:, :, None] == key_BP[:, None]) & (frame_BP[:, :, None] == frame_BP[:, None])
    top_B1 = score_BP.max(axis=1, keepdims=True)
    sum_BP = np.matmul(same_BPP.astype(np.float64), np.exp(score_BP - top_B1)[:, :, None])[:, :, 0]
    sum_BP[same_BPP.argmax(axis=2) < np.arange(sum_BP.shape[1])] = 0.0  # they are in the sum of one before them
    with np.errstate(divide="ignore"):
        rank_BP = np.log(sum_BP) + top_B1 + pool.gained.reshape(shape)
    rank_BP[rank_BP < rank_BP.max(axis=1, keepdims=True) - search.margin] = -np.inf
    score_Q = rank_BP.reshape(-1) - pool.gained
    chosen_N = _highest(rank_BP, search.width)
    step_Q = step_Q._replace(says=step_Q.says & np.isfinite(score_Q))
    return step_Q.rows(chosen_N), pool._replace(score=score_Q).rows(chosen_N)


def _said(search: _Search, beam: _Beam, step_N: _Step) -> _Beam:
    """Remember the tokens, and show them to the prediction network and the phrases."""
    if not (says_S := step_N.says.nonzero()[0]).size:
        return beam
    step_S = step_N.rows(says_S)
    search.said.append(step_S._replace(before=beam.said[says_S]))
    beam.said[says_S] = np.arange(search.told, search.told + len(says_S))
    search.told += len(says_S)
    if search.boost:
        before_S, token_S = torch.from_numpy(beam.boost[says_S]), torch.from_numpy(step_S.token)
        beam.boost[says_S] = search.boost.advance(before_S, token_S).numpy()
    from_N = _same_tokens(search, beam, step_N.says)
    fresh_S = (step_N.says & (from_N == np.arange(len(from_N)))).nonzero()[0]
    states, used = search.states, np.zeros(2 * len(from_N), bool)
    used[beam.state] = True
    row_S, before_S = (~used).nonzero()[0][: len(fresh_S)], beam.state[fresh_S]
    for column in (*states.h, *states.c):
        column[row_S] = column[before_S]
    search.steps.step(states, row_S, step_N.token[fresh_S])
    beam.state[fresh_S] = row_S
    return beam._replace(state=beam.state[from_N])


def _same_tokens(search: _Search, beam: _Beam, says_N: Flags) -> Integers:
    """For each hypothesis one of its recording with the same tokens, if it can be one that says nothing now."""
    alive_BW, says_BW, key_BW = (c.reshape(-1, search.width) for c in (np.isfinite(beam.score), says_N, beam.key))
    same_BWW = (key_BW[:, :, None] == key_BW[:, None]) & alive_BW[:, None]
    lead_BW = (same_BWW * np.where(says_BW, 1, 2)[:, None]).argmax(axis=2)
    return (lead_BW + np.arange(len(lead_BW))[:, None] * search.width).reshape(-1)


def _alternatives(search: _Search, beam: _Beam, spell: Callable[[Sequence[int]], Hashable]) -> Iterator[list[Scored]]:
    """What each recording's hypotheses spell, the best first; of those that spell the same the best is told."""
    rank_N = beam.score + beam.gained
    if search.boost:
        rank_N += search.boost.finish(torch.from_numpy(beam.boost)).numpy()
    said = [np.concatenate(column).tolist() for column in zip(*search.said, strict=True)]
    for place_W in np.arange(len(beam.score)).reshape(-1, search.width):
        alike: dict[Hashable, list[int]] = defaultdict(list)
        decoded = {place: _traced(said, int(beam.said[place])) for place in place_W[np.isfinite(beam.score[place_W])]}
        for place, one in decoded.items():
            alike[spell(one.tokens)].append(place)
        scores = {places[0]: float(np.logaddexp.reduce(beam.score[places])) for places in alike.values()}
        best = sorted(scores, key=lambda place: beam.score[place] - rank_N[place] - scores[place])
        yield [Scored(decoded[place], scores[place]) for place in best]


def _traced(said: Sequence[Sequence[Any]], last: int) -> Decoded:
    """The tokens up to one, from the columns of `_Step`."""
    found: list[int] = []
    while last >= 0:
        found.append(last)
        last = said[0][last]
    return Decoded(*([column[one] for one in reversed(found)] for column in said[2:] or [[]] * 4))


def _hashed(key: Keys, token: Integers) -> Keys:
    """The key after one more token: a polynomial modulo 2^64, with the multiplier of Knuth's MMIX."""
    return key * np.uint64(6364136223846793005) + token.astype(np.uint64) + np.uint64(1)


def _highest(rank_BC: Scores, count: int) -> Integers:
    """The places, in the flattened table, of the highest of each row, falling."""
    count = min(count, rank_BC.shape[1])
    place_BP = np.argpartition(rank_BC, -count, axis=1)[:, -count:]
    order_BP = np.argsort(-np.take_along_axis(rank_BC, place_BP, axis=1), axis=1, kind="stable")
    place_BP = np.take_along_axis(place_BP, order_BP, axis=1)
    return (place_BP + np.arange(len(rank_BC))[:, None] * rank_BC.shape[1]).reshape(-1)
