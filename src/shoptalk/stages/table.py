"""The table of stages, in order of the flow: what each reads, makes and depends on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One step of the flow, as the map in docs/DESIGN.md names it.

    A stage gets no more of the recipe than it declares here, so that its signature covers all that it reads.
    """

    number: int
    name: str
    product: str
    """File or folder in the run folder; the last thing a stage makes there."""
    inputs: tuple[str, ...] = ()
    """Stages whose products it reads."""
    reads: tuple[str, ...] = ()
    """Sections of the recipe, or single keys, that it reads and that can change its product."""
    shows: tuple[str, ...] = ()
    """Keys that it reads but that cannot change its product: what a tracking server calls the run."""
    code_version: int = 1
    """Raise it when the same recipe would now make another product."""


STAGES = (
    Stage(10, "lexicon", "10-lexicon.jsonl", reads=("lexicon", "seed")),
    Stage(20, "transcripts", "20-transcripts.jsonl", ("lexicon",), reads=("transcripts", "seed")),
    Stage(30, "speech", "30-speech.jsonl", ("lexicon", "transcripts"), reads=("speech", "seed"), code_version=2),
    Stage(40, "augment", "40-augment.jsonl", ("speech",), reads=("augment", "seed")),
    Stage(50, "dataset", "50-dataset", ("lexicon", "augment"), reads=("dataset",), code_version=2),
    Stage(
        60,
        "train",
        "60-train",
        ("dataset",),
        reads=("train", "seed", "augment.snr_db", "augment.noise_manifest"),
        shows=("name",),
    ),
    Stage(
        70,
        "evaluate",
        "70-scores",
        ("lexicon", "dataset", "train"),
        reads=("evaluate", "engine", "seed", "name", "train.init", "train.model", "augment.noise_manifest"),
        code_version=2,
    ),
    Stage(
        80,
        "package",
        "80-bundle",
        ("dataset", "train", "evaluate"),
        reads=("package", "name", "train.init", "train.model"),
    ),
)
BY_NAME = {stage.name: stage for stage in STAGES}

SCORES = "scores.json"
"""In product 70: every figure of the run."""
GATE = "gate.json"
"""In product 70, written by `shoptalk gate`: its verdict; stale once the scores are made anew."""
