"""The table of stages, in order of the flow: what each reads, makes and depends on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One step of the flow, as the map in docs/DESIGN.md names it."""

    number: int
    name: str
    product: str
    """File or folder in the run folder; the last thing a stage makes there."""
    inputs: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    """Recipe sections that can change the product; `seed` always can."""
    code_version: int = 1
    """Raise it when the same recipe would now make another product."""


STAGES = (
    Stage(10, "lexicon", "10-lexicon.jsonl", (), ("lexicon",)),
    Stage(20, "transcripts", "20-transcripts.jsonl", ("lexicon",), ("transcripts",)),
    Stage(30, "speech", "30-speech.jsonl", ("lexicon", "transcripts"), ("speech",), code_version=2),
    Stage(40, "augment", "40-augment.jsonl", ("speech",), ("augment",)),
    Stage(50, "dataset", "50-dataset", ("lexicon", "augment"), ("dataset",), code_version=2),
    Stage(60, "train", "60-train", ("dataset",), ("train",)),
    Stage(70, "evaluate", "70-scores", ("lexicon", "dataset", "train"), ("evaluate", "engine"), code_version=2),
    Stage(80, "package", "80-bundle", ("dataset", "train", "evaluate"), ("package",)),
)
BY_NAME = {stage.name: stage for stage in STAGES}

SCORES = "scores.json"
"""In product 70: every figure of the run."""
GATE = "gate.json"
"""In product 70, written by `shoptalk gate`: its verdict; stale once the scores are made anew."""
