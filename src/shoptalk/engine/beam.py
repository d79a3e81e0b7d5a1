"""Beam search for a Token-and-Duration Transducer (TDT, arXiv 2304.06795), in batches on a CPU.

**The model.** On each encoder frame the joiner gives two distributions: one over the tokens and the blank, one over
durations. A step draws from both. It emits the token, or nothing for the blank, and moves on by the duration in frames.
Its probability is the product of the two. An alignment is a chain of steps from the first frame to behind the last. A
text's probability is the sum over all alignments that emit it.

**The search.** A hypothesis is a sequence of tokens, the frame it has reached, and its score: the log-probability of
the alignments that led there. The beam holds at most `width` hypotheses of each recording. Each round has five steps:

1. `_furthest_back` picks each recording's hypotheses on the earliest frame. The others wait, so that hypotheses can
   meet on a frame, however many steps they took to it.
2. `_expand` asks the joiner about them: the likeliest tokens and the blank, each with every duration.
3. `_best_candidates` ranks these continuations together with the waiting hypotheses and takes the best of them.
4. `_merge_and_prune` makes candidates with the same tokens on the same frame one, whose probability is their sum, as in
   Graves's search for transducers (arXiv 1211.3711). The best `width` stay.
5. `_advance` runs the predictor, and the automaton of boosted phrases, for hypotheses that emitted a token.

The search ends when all hypotheses are behind the last frame.

A step must move on if it emits the blank, or the last token that one frame may have (`max_symbols`). Its duration of 0
then counts as 1. Greedy decoding does the same, and with a `width` of 1 the search is greedy decoding.

Boosted phrases add a bonus to a hypothesis. The bonus decides what stays in the beam and in which order alternatives
come. It is never part of a score, which stays a log-probability.

Shapes: B recordings, W hypotheses of each, N = B * W slots of the beam; R hypotheses that are expanded, K outcomes
tried for each (the likeliest tokens, the blank last), E durations; C = 1 + K * E choices of a hypothesis (choice 0:
wait); P candidates of a recording, Q = B * P; S hypotheses that emit a token; T frames, D width of the encoder, J width
of the joiner, V tokens, O = V + 1 + E outputs of the joiner.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from shoptalk.engine.greedy import Boost, Decoded
from shoptalk.engine.steps import Carry, Floats, Integers, Steps

MARGIN = 10.0
"""Nats: a hypothesis that is less likely than the best of its recording by more is dropped."""
POOL = 4
"""Candidates for each slot of the beam but the first. Equal ones among so many are merged before the best are chosen.

A `width` of 1 has one candidate and merges nothing.
"""

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Scored:
    """A text by its likeliest alignment, and the log-probability of all its alignments in the beam."""

    decoded: Decoded
    score: float


class _Beam(NamedTuple):
    """Hypotheses as columns: entry n of each column belongs to slot n. Slots of one recording lie side by side."""

    score: Scores
    """Log-probability; -inf marks an empty slot."""
    bonus: Scores
    """What boosted phrases gave so far."""
    frame: Integers
    on_frame: Integers
    """Tokens emitted on the present frame."""
    hash: Hashes
    """Of the tokens. Two texts of one beam practically never share one, as it has 64 bits."""
    last: Integers
    """The last token's place in the search's log; -1 before the first token."""
    state: Integers
    """Row of the predictor's states; hypotheses with the same tokens share one."""
    phrase: Integers
    """State of the automaton of boosted phrases."""
    entered: Integers
    """The first frame behind the split that it stood on; -1 before."""

    def rows(self, chosen: Integers) -> "_Beam":
        return _Beam._make(column[chosen] for column in self)


class _Expansion(NamedTuple):
    """What R hypotheses may do next."""

    score_RKE: Scores
    """Log-probability of the hypothesis after the step."""
    bonus_RK: Scores
    """What the step's token adds to the bonus."""
    token_RK: Integers
    must_move_RK: Flags
    """Whether a duration of 0 counts as 1."""
    confidence_RK: Scores
    """The token's probability among all tokens without the blank."""


class _Step(NamedTuple):
    """Steps as columns: what each hypothesis came from, and the token it emitted if it emitted one."""

    parent: Integers
    """Slot of the hypothesis before the step. In the search's log: the place of the token before, -1 for none."""
    emits: Flags
    token: Integers
    frame: Integers
    span: Integers
    """Duration in frames."""
    confidence: Scores

    def rows(self, chosen: Integers) -> "_Step":
        return _Step._make(column[chosen] for column in self)


@dataclass
class _Search:
    """What a search holds beside its beam. Only `states` and the log change."""

    steps: Steps
    width: int
    margin: float
    encoded_BTJ: Floats
    end_N: Integers
    """Frames of the recording of each slot."""
    recording_N: Integers
    split_N: Integers
    """Where frames begin that are decoded to look ahead only; behind the last one if there are none."""
    boost: Boost | None
    states: Carry = field(init=False)
    """The predictor's, twice as many rows as slots: there is always a free one beside those in use."""
    log: list[_Step] = field(default_factory=list)
    """All tokens emitted, also by hypotheses that were dropped later; each names the token before it."""
    logged: int = 0
    """Tokens in `log`."""

    @classmethod
    def over(
        cls,
        steps: Steps,
        encoded_BTD: torch.Tensor,
        frames_B: torch.Tensor,
        width: int,
        margin: float,
        boost: Boost | None,
        split_B: Integers,
    ) -> "_Search":
        """A search without a beam yet."""
        recording_N = np.repeat(np.arange(len(frames_B)), width)
        end_N = frames_B.numpy()[recording_N]
        projected_BTJ = steps.project(encoded_BTD)
        return cls(steps, width, margin, projected_BTJ, end_N, recording_N, split_B[recording_N], boost)


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
    """The likeliest texts of each recording, the best first and at most `alternatives`.

    `encoded_BTD` holds padded encoder frames, of which `frames_B` count. Token sequences that `spell` gives the same
    value for are one text. Texts are ordered by score; with `boost`, by score plus bonus.
    """
    search = _Search.over(steps, encoded_BTD, frames_B, width, margin, boost, frames_B.numpy())
    beam = _searched(search, _first(search, steps.start(len(frames_B))))
    return [texts[:alternatives] for texts in _alternatives(search, beam, spell)]


class Path(NamedTuple):
    """The likeliest way through a stretch."""

    decoded: Decoded
    entered: int
    """The first frame behind the split that it stands on; behind the last frame where it jumps over all of them."""


def decode_on(
    steps: Steps,
    encoded_BTD: torch.Tensor,
    frames_B: torch.Tensor,
    carry: Carry,
    *,
    split_B: Integers,
    width: int,
    boost: Boost | None,
) -> list[Path]:
    """The likeliest path through a stretch that follows on that of `carry`, which is not changed, and goes on itself.

    Frames are counted from the start of this stretch. Phrases that it may be within keep what they were lent.
    """
    search = _Search.over(steps, encoded_BTD, frames_B, width, MARGIN, boost, split_B)
    beam = _searched(search, _first(search, carry))
    log = _Log.of(search.log)
    rank_BW = (beam.score + beam.bonus).reshape(-1, width)
    best_B = rank_BW.argmax(axis=1) + np.arange(len(rank_BW)) * width
    return [Path(log.trace(int(beam.last[best])), int(beam.entered[best])) for best in best_B]


def _searched(search: _Search, beam: _Beam) -> _Beam:
    """The beam behind the last frames."""
    row_R = _furthest_back(search, beam)
    while row_R.size:
        expansion = _expand(search, beam, row_R)
        step_Q, candidates = _best_candidates(search, beam, row_R, expansion)
        step_N, beam = _merge_and_prune(search, step_Q, candidates)
        beam = _advance(search, beam, step_N)
        row_R = _furthest_back(search, beam)
    return beam


def _first(search: _Search, carry: Carry) -> _Beam:
    """The beam before its first round: each recording has one hypothesis, which stands where `carry` says."""
    slots = len(search.recording_N)
    zero_N = np.zeros(slots, np.int64)
    is_first_N = np.arange(slots) % search.width == 0
    phrase_N = zero_N
    if search.boost:
        phrase_B = carry.boost_B if carry.boost_B is not None else search.boost.start()
        phrase_N = phrase_B.numpy()[search.recording_N]

    row_2N = np.arange(2 * slots) % len(carry.ahead_B)
    h = [layer[row_2N] for layer in carry.h]
    c = [layer[row_2N] for layer in carry.c]
    search.states = Carry(h, c, carry.predicted_BJ[row_2N], row_2N)
    frame_N = carry.ahead_B[search.recording_N]
    return _Beam(
        score=np.where(is_first_N, 0.0, -np.inf),
        bonus=np.zeros(slots),
        frame=frame_N,
        on_frame=zero_N,
        hash=zero_N.astype(np.uint64),
        last=zero_N - 1,
        state=search.recording_N.copy(),
        phrase=phrase_N,
        entered=np.where(frame_N >= search.split_N, frame_N, -1),
    )


def _furthest_back(search: _Search, beam: _Beam) -> Integers:
    """The slots (R,) to expand now: each recording's hypotheses on its earliest frame; none when all are through."""
    never = np.iinfo(np.int64).max
    is_open_N = np.isfinite(beam.score) & (beam.frame < search.end_N)
    frame_N = np.where(is_open_N, beam.frame, never)
    earliest_B = frame_N.reshape(-1, search.width).min(axis=1)
    is_earliest_N = frame_N == earliest_B[search.recording_N]
    return (is_open_N & is_earliest_N).nonzero()[0]


def _expand(search: _Search, beam: _Beam, row_R: Integers) -> _Expansion:
    """The `width` likeliest tokens and the blank of each hypothesis, each with every duration.

    Tokens are chosen by logit plus bonus, so that a boosted token is tried though the model ranks it low.
    """
    steps = search.steps
    blank = steps.blank
    recording_R = search.recording_N[row_R]
    frames_RJ = search.encoded_BTJ[recording_R, beam.frame[row_R]]
    logits_RO = steps.logits(frames_RJ, search.states.predicted_BJ[beam.state[row_R]])

    boosted_RV = logits_RO[:, :blank]
    if search.boost:
        phrase_R = torch.from_numpy(beam.phrase[row_R])
        boosted_RV = boosted_RV + search.boost.bonus(torch.from_numpy(recording_R), phrase_R).numpy()
    tokens = min(search.width, blank)
    token_RK = np.full((len(row_R), tokens + 1), blank)
    token_RK[:, :tokens] = np.argpartition(boosted_RV, blank - tokens, axis=1)[:, blank - tokens :]

    logits_RK = np.take_along_axis(logits_RO, token_RK, axis=1).astype(np.float64)
    bonus_RK = np.zeros(token_RK.shape)
    boosted_RK = np.take_along_axis(boosted_RV, token_RK[:, :tokens], axis=1)
    bonus_RK[:, :tokens] = boosted_RK - logits_RK[:, :tokens]

    all_tokens_R1 = torch.from_numpy(logits_RO[:, :blank]).logsumexp(dim=1, keepdim=True).numpy()
    all_outcomes_R1 = np.logaddexp(all_tokens_R1, logits_RK[:, -1:])
    duration_RE = torch.from_numpy(logits_RO[:, blank + 1 :]).log_softmax(dim=1).numpy()
    outcome_RK = beam.score[row_R, None] + logits_RK - all_outcomes_R1

    is_last_on_frame_R = beam.on_frame[row_R] + 1 >= steps.max_symbols
    return _Expansion(
        score_RKE=outcome_RK[:, :, None] + duration_RE[:, None],
        bonus_RK=bonus_RK,
        token_RK=token_RK,
        must_move_RK=(token_RK == blank) | is_last_on_frame_R[:, None],
        confidence_RK=np.exp(logits_RK - all_tokens_R1),
    )


def _best_candidates(search: _Search, beam: _Beam, row_R: Integers, expansion: _Expansion) -> tuple[_Step, _Beam]:
    """The best candidates (Q,) of each recording, the best first: continuations, and hypotheses that wait."""
    slots = len(beam.score)
    durations = expansion.score_RKE.shape[2]
    bonus_RK = beam.bonus[row_R, None] + expansion.bonus_RK

    # Rank the choices of all slots. An expanded hypothesis cannot wait, and a waiting one has no other choice.
    rank_RKE = expansion.score_RKE + bonus_RK[:, :, None]
    rank_NC = np.full((slots, 1 + rank_RKE[0].size), -np.inf)
    rank_NC[:, 0] = beam.score + beam.bonus
    rank_NC[row_R, 0] = -np.inf
    rank_NC[row_R, 1:] = rank_RKE.reshape(len(row_R), -1)

    # Take the best of each recording, and read from their places in the table what they are.
    choices = rank_NC.shape[1]
    rank_BX = rank_NC.reshape(-1, search.width * choices)
    place_Q = _highest(rank_BX, 1 + POOL * (search.width - 1))
    rank_Q = rank_BX.reshape(-1)[place_Q]
    parent_Q, choice_Q = np.divmod(place_Q, choices)
    expands_Q = np.isfinite(rank_Q) & (choice_Q > 0)
    outcome_Q, duration_Q = np.divmod(choice_Q - 1, durations)
    expanded_N = np.zeros(slots, np.int64)  # the row of a slot among those expanded
    expanded_N[row_R] = np.arange(len(row_R))
    at_Q = expanded_N[parent_Q], outcome_Q

    parent = beam.rows(parent_Q)
    token_Q = expansion.token_RK[at_Q]
    emits_Q = expands_Q & (token_Q != search.steps.blank)
    span_Q = search.steps.durations[duration_Q]
    moved_Q = np.where(expansion.must_move_RK[at_Q], np.maximum(span_Q, 1), span_Q)
    reached_Q = np.where(expands_Q, parent.frame + moved_Q, parent.frame)
    enters_Q = (parent.entered < 0) & (reached_Q >= search.split_N[parent_Q])
    on_frame_Q = np.where(moved_Q == 0, parent.on_frame + 1, 0)
    bonus_Q = np.where(expands_Q, bonus_RK[at_Q], parent.bonus)
    candidates = parent._replace(
        score=rank_Q - bonus_Q,
        bonus=bonus_Q,
        frame=np.minimum(reached_Q, np.maximum(parent.frame, search.end_N[parent_Q])),
        entered=np.where(enters_Q, reached_Q, parent.entered),
        on_frame=np.where(expands_Q, on_frame_Q, parent.on_frame),
        hash=np.where(emits_Q, _hashed(parent.hash, token_Q), parent.hash),
    )
    step_Q = _Step(parent_Q, emits_Q, token_Q, parent.frame, span_Q, expansion.confidence_RK[at_Q])
    return step_Q, candidates


def _merge_and_prune(search: _Search, step_Q: _Step, candidates: _Beam) -> tuple[_Step, _Beam]:
    """The beam after the round (N,). Equal candidates become the likeliest of them, with the sum of their scores."""
    shape = len(search.recording_N) // search.width, -1
    hash_BP = candidates.hash.reshape(shape)
    frame_BP = candidates.frame.reshape(shape)
    score_BP = candidates.score.reshape(shape)
    same_text_BPP = hash_BP[:, :, None] == hash_BP[:, None]
    same_frame_BPP = frame_BP[:, :, None] == frame_BP[:, None]
    equal_BPP = same_text_BPP & same_frame_BPP

    # Log of the sum of probabilities, in float64; the highest score is taken out first, so that no sum is 0.
    highest_B1 = score_BP.max(axis=1, keepdims=True)
    probability_BP1 = np.exp(score_BP - highest_B1)[:, :, None]
    sum_BP = np.matmul(equal_BPP.astype(np.float64), probability_BP1)[:, :, 0]
    first_equal_BP = equal_BPP.argmax(axis=2)
    sum_BP[first_equal_BP < np.arange(sum_BP.shape[1])] = 0.0  # it is in the sum of a likelier one
    with np.errstate(divide="ignore"):
        rank_BP = np.log(sum_BP) + highest_B1 + candidates.bonus.reshape(shape)

    best_B1 = rank_BP.max(axis=1, keepdims=True)
    rank_BP[rank_BP < best_B1 - search.margin] = -np.inf
    score_Q = rank_BP.reshape(-1) - candidates.bonus
    step_Q = step_Q._replace(emits=step_Q.emits & np.isfinite(score_Q))
    chosen_N = _highest(rank_BP, search.width)
    return step_Q.rows(chosen_N), candidates._replace(score=score_Q).rows(chosen_N)


def _advance(search: _Search, beam: _Beam, step_N: _Step) -> _Beam:
    """Log the tokens just emitted, and show them to the phrases and the predictor; writes into the beam's columns."""
    slot_S = step_N.emits.nonzero()[0]
    if not slot_S.size:
        return beam
    step_S = step_N.rows(slot_S)
    search.log.append(step_S._replace(parent=beam.last[slot_S]))
    beam.last[slot_S] = np.arange(search.logged, search.logged + len(slot_S))
    search.logged += len(slot_S)
    if search.boost:
        phrase_S = torch.from_numpy(beam.phrase[slot_S])
        beam.phrase[slot_S] = search.boost.advance(phrase_S, torch.from_numpy(step_S.token)).numpy()
    return _advance_predictor(search, beam, step_N)


def _advance_predictor(search: _Search, beam: _Beam, step_N: _Step) -> _Beam:
    """Step the predictor once for each new text; hypotheses with the same tokens on other frames share its state."""
    slots = len(beam.score)
    leader_N = _leaders(search, beam, step_N.emits)
    slot_S = (step_N.emits & (leader_N == np.arange(slots))).nonzero()[0]

    in_use = np.zeros(2 * slots, bool)
    in_use[beam.state] = True
    free_S = (~in_use).nonzero()[0][: len(slot_S)]
    before_S = beam.state[slot_S]
    for layer in (*search.states.h, *search.states.c):
        layer[free_S] = layer[before_S]
    search.steps.step(search.states, free_S, step_N.token[slot_S])
    beam.state[slot_S] = free_S
    return beam._replace(state=beam.state[leader_N])


def _leaders(search: _Search, beam: _Beam, emits_N: Flags) -> Integers:
    """For each slot a slot (N,) of its recording with the same tokens, whose predictor state it takes.

    A slot that emits nothing now is preferred, because its state is there already.
    """
    is_alive_BW = np.isfinite(beam.score).reshape(-1, search.width)
    emits_BW = emits_N.reshape(-1, search.width)
    hash_BW = beam.hash.reshape(-1, search.width)
    same_BWW = (hash_BW[:, :, None] == hash_BW[:, None]) & is_alive_BW[:, None]
    preference_BW = np.where(emits_BW, 1, 2)
    leader_BW = (same_BWW * preference_BW[:, None]).argmax(axis=2)
    first_slot_B1 = np.arange(len(leader_BW))[:, None] * search.width
    return (leader_BW + first_slot_B1).reshape(-1)


def _alternatives(search: _Search, beam: _Beam, spell: Callable[[Sequence[int]], Hashable]) -> list[list[Scored]]:
    """The texts of each recording, the best first. A text's alignment is that of its best hypothesis."""
    rank_N = beam.score + beam.bonus
    if search.boost:
        rank_N += search.boost.finish(torch.from_numpy(beam.phrase)).numpy()
    log = _Log.of(search.log)
    alternatives_B = []
    for slot_W in np.arange(len(beam.score)).reshape(-1, search.width):
        decoded: dict[int, Decoded] = {}
        slots_of_text: dict[Hashable, list[int]] = {}
        for slot in slot_W[np.isfinite(beam.score[slot_W])].tolist():
            decoded[slot] = log.trace(int(beam.last[slot]))
            slots_of_text.setdefault(spell(decoded[slot].tokens), []).append(slot)

        scores: dict[int, float] = {}  # of each text, by its best slot
        order: dict[int, float] = {}
        for slots in slots_of_text.values():
            best = slots[0]  # the slots of a recording are in order
            scores[best] = float(np.logaddexp.reduce(beam.score[slots]))
            order[best] = beam.score[best] - rank_N[best] - scores[best]
        alternatives_B.append([Scored(decoded[slot], scores[slot]) for slot in sorted(order, key=order.__getitem__)])
    return alternatives_B


class _Log(NamedTuple):
    """The search's log as plain lists, which are faster to follow one by one."""

    parent: list[int]
    token: list[int]
    frame: list[int]
    span: list[int]
    confidence: list[float]

    @classmethod
    def of(cls, steps: Sequence[_Step]) -> "_Log":
        if not steps:
            return cls([], [], [], [], [])
        parent, _, token, frame, span, confidence = (np.concatenate(column) for column in zip(*steps, strict=True))
        return cls(parent.tolist(), token.tolist(), frame.tolist(), span.tolist(), confidence.tolist())

    def trace(self, last: int) -> Decoded:
        """The tokens from the first to the one at place `last`; none for -1."""
        places: list[int] = []
        while last >= 0:
            places.append(last)
            last = self.parent[last]
        places.reverse()
        return Decoded(
            tokens=[self.token[place] for place in places],
            frames=[self.frame[place] for place in places],
            spans=[self.span[place] for place in places],
            confidences=[self.confidence[place] for place in places],
        )


def _hashed(hash_Q: Hashes, token_Q: Integers) -> Hashes:
    """The hash after one more token: a polynomial modulo 2^64, with the multiplier of Knuth's MMIX."""
    return hash_Q * np.uint64(6364136223846793005) + token_Q.astype(np.uint64) + np.uint64(1)


def _highest(rank_BC: Scores, count: int) -> Integers:
    """Places, in the flattened table, of the `count` highest entries of each row; each row's from high to low."""
    columns = rank_BC.shape[1]
    count = min(count, columns)
    column_BP = np.argpartition(rank_BC, -count, axis=1)[:, -count:]
    order_BP = np.argsort(-np.take_along_axis(rank_BC, column_BP, axis=1), axis=1, kind="stable")
    column_BP = np.take_along_axis(column_BP, order_BP, axis=1)
    first_place_B1 = np.arange(len(rank_BC))[:, None] * columns
    return (column_BP + first_place_B1).reshape(-1)
