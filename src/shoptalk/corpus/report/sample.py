"""Which recordings the page of a dataset plays: a seeded sample of each kind and condition, of patients none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shoptalk.core.recordings import FEATURES
from shoptalk.core.records import Example, Utterance
from shoptalk.corpus.report.summary import condition
from shoptalk.corpus.splits import draw_key

MOST = 36
"""Players on a page: 36 recordings of four seconds have 400 kilobytes."""


@dataclass(frozen=True)
class Clip:
    """A recording to play."""

    example: Example
    kind: str
    condition: str
    effects: Mapping[str, float | str]


def drawn(lists: Mapping[str, Sequence[Example]], utterances: Iterable[Utterance], *, seed: int) -> list[Clip]:
    """A recording of each kind and condition: every kind once, then every condition, then further pairs up to `MOST`.

    Recordings that no stage made (general speech, a user's own) are of the kind that their source is. Test
    recordings are left out. What is drawn depends on the seed and the ids alone.
    """
    by_id = {utterance.id: utterance for utterance in utterances}
    first: dict[tuple[str, str], Clip] = {}
    for name, examples in lists.items():
        if name.startswith("test"):
            continue
        for example in examples:
            if example.patient or example.audio.suffix == FEATURES:
                continue
            clip = _clip(name, example, by_id.get(example.id))
            key = clip.kind, clip.condition
            if key not in first or _rank(clip, seed) < _rank(first[key], seed):
                first[key] = clip
    return _varied(sorted(first.values(), key=lambda clip: _rank(clip, seed)))


def _clip(name: str, example: Example, utterance: Utterance | None) -> Clip:
    if utterance is None:
        return Clip(example, example.source or name, "as recorded", {})
    return Clip(example, utterance.kind, condition(utterance), utterance.effects)


def _rank(clip: Clip, seed: int) -> str:
    return draw_key(seed, "report", clip.example.id)


def _varied(clips: Sequence[Clip]) -> list[Clip]:
    """At most `MOST`, those of new kinds and of new conditions before others; sorted by kind and condition."""
    kinds, conditions = set(), set()
    ranks = {}
    for clip in clips:
        is_new = clip.kind not in kinds or clip.condition not in conditions
        kinds.add(clip.kind)
        conditions.add(clip.condition)
        ranks[clip.example.id] = 0 if is_new else 1
    kept = sorted(clips, key=lambda clip: ranks[clip.example.id])[:MOST]
    return sorted(kept, key=lambda clip: (clip.kind, clip.condition != "clean", clip.condition))
