"""Errors of word times: the times of a correctly recognised word against its known ones. W = words."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt

from shoptalk.core import scores
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Word
from shoptalk.scoring.bootstrap import ranges


def word_times(hypotheses: Sequence[Hypothesis], config: EvaluateSection, *, seed: int) -> scores.WordTimes | None:
    """Start and end errors of all correctly recognised words whose times are known; None if there are none."""
    clusters: list[str] = []
    late_ms: list[npt.NDArray[np.float64]] = []
    """For each hypothesis the errors of start and end, shape (W, 2)."""
    for hypothesis in hypotheses:
        pairs = matched(hypothesis.said, hypothesis.words)
        if not pairs:
            continue
        late_s = [(heard.start_s - said.start_s, heard.end_s - said.end_s) for said, heard in pairs]
        late_ms.append(1000 * np.array(late_s))
        clusters.append(hypothesis.drawn_with)
    if not late_ms:
        return None

    def measure(rows: Sequence[int]) -> dict[str, float]:
        late_W2 = np.concatenate([late_ms[row] for row in rows])
        median, p90 = np.quantile(np.abs(late_W2), [0.5, 0.9], axis=0)
        return {
            "start_median": float(median[0]),
            "start_p90": float(p90[0]),
            "end_median": float(median[1]),
            "end_p90": float(p90[1]),
            "start_late_median": float(np.median(late_W2[:, 0])),
        }

    intervals = ranges(measure, clusters, config, seed=seed)
    words = sum(len(late_W2) for late_W2 in late_ms)
    return scores.WordTimes.model_validate({"words": words, **measure(range(len(late_ms))), "ranges": intervals})


def matched(said: Sequence[Word], heard: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Each correctly recognised word, from the known words (`said`) and the recognised ones (`heard`).

    `text.words` may cut a word in two ("I'm"), which have one start, so words are compared as they stand.
    """
    plain_said, plain_heard = _plain(said), _plain(heard)
    blocks = SequenceMatcher(None, plain_said, plain_heard, autojunk=False).get_matching_blocks()
    pairs: list[tuple[Word, Word]] = []
    for said_start, heard_start, length in blocks:
        for offset in range(length):
            pairs.append((said[said_start + offset], heard[heard_start + offset]))
    return pairs


def _plain(words: Sequence[Word]) -> list[str]:
    return [re.sub(r"[^\w']", "", word.word).lower() for word in words]
