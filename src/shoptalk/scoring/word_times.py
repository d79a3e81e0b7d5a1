"""Errors of word times: where a rightly heard word was placed, against where it is known to be said. W = words."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from shoptalk.core import scores
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Hypothesis, Word
from shoptalk.scoring.bootstrap import ranges


def word_times(hypotheses: Sequence[Hypothesis], config: EvaluateSection, *, seed: int) -> scores.WordTimes | None:
    """Start and end errors of all rightly heard words whose times are known; None if there are none."""
    timed = [(one, matched(one.said, one.words)) for one in hypotheses]
    timed = [(one, pairs) for one, pairs in timed if pairs]
    if not timed:
        return None
    late_ms = [
        1000 * np.array([[heard.start_s - said.start_s, heard.end_s - said.end_s] for said, heard in pairs])
        for _, pairs in timed
    ]

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

    intervals = ranges(measure, [one.drawn_with for one, _ in timed], config, seed=seed)
    words = sum(len(pairs) for _, pairs in timed)
    return scores.WordTimes.model_validate({"words": words, **measure(range(len(timed))), "ranges": intervals})


def matched(said: Sequence[Word], heard: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Each word that was rightly heard, as said and as heard.

    `text.words` may cut a word in two ("I'm"), which have one start, so words are compared as they stand.
    """
    plain_said, plain_heard = ([re.sub(r"[^\w']", "", one.word).lower() for one in words] for words in (said, heard))
    return [
        (said[here + i], heard[there + i])
        for here, there, length in SequenceMatcher(None, plain_said, plain_heard, autojunk=False).get_matching_blocks()
        for i in range(length)
    ]
