"""From what the recognisers answered to `cpu.py` to the figures that it writes."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shoptalk.scoring.wer import count_words

OTHER_WER = 0.05
"""How far a recogniser's word error rate may lie from the engine's before its speed means nothing."""


class Load(NamedTuple):
    """So many clips of so many seconds, heard in batches."""

    clips: int
    seconds: float
    batch: int

    @property
    def name(self) -> str:
        return f"{self.clips} x {self.seconds:g} s"


@dataclass
class Measured:
    """What one recogniser answered."""

    left_out: str = ""
    start_s: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    loads: dict[Load, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    encode: dict[Load, dict[str, Any]] = field(default_factory=dict)


def told(one: Measured) -> dict[str, Any]:
    if one.left_out:
        return {"left_out": one.left_out}
    return {"start_s": one.start_s, "loads": {load.name: summary(load, one) for load in one.loads}}


def summary(load: Load, one: Measured) -> dict[str, Any]:
    answers, encode, sound_s = one.loads[load], one.encode.get(load, {}).get("seconds"), load.clips * load.seconds
    seconds = [answer["seconds"] for answer in answers]
    return {
        "rtfx": round(sound_s / statistics.median(seconds), 2),
        "best_rtfx": round(sound_s / min(seconds), 2),
        "rounds": len(seconds),
        "encoder_rtfx": round(sound_s / encode, 2) if encode else None,
        "tokens_per_s": round(answers[-1]["tokens"] / sound_s, 2),
        "peak_mib": round(answers[0]["peak"] / 2**20),
        "resident_mib": round(answers[0]["resident"] / 2**20),
    }


def agree(texts: Mapping[str, Sequence[str]], references: Sequence[str], result: dict[str, Any]) -> None:
    """How many utterances each hears as the first does, and how many words are wrong."""
    first = next(iter(texts.values()), ())
    rates = {variant: wrong(references, heard) for variant, heard in texts.items()}
    for variant, heard in texts.items():
        result[variant] |= {
            "same_texts": round(sum(map(str.__eq__, heard, first)) / len(first), 3),
            "wer": round(rates[variant], 4),
            "as_good": rates[variant] - next(iter(rates.values())) < OTHER_WER,
        }


def wrong(references: Sequence[str], heard: Sequence[str]) -> float:
    counts = [count_words(reference, one) for reference, one in zip(references, heard, strict=True)]
    return sum(one.errors for one in counts) / sum(one.reference for one in counts)
