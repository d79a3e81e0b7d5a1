"""The table of stages, in order of the flow: the number, name and purpose of each, what it reads and what it makes.

It imports nothing heavy: the command line makes its subcommands of it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One step of the flow, as the map in docs/DESIGN.md names it.

    A stage gets no more of the recipe than it declares here, so that its signature covers all that it reads.
    """

    number: int
    name: str
    purpose: str
    """What it does, as `shoptalk --help` says it."""
    product: str
    """File or folder in the run folder; the last thing a stage makes there."""
    inputs: tuple[str, ...] = ()
    """Stages whose products it reads."""
    reads: tuple[str, ...] = ()
    """Sections of the recipe, or single keys, that it reads and that can change its product."""
    shows: tuple[str, ...] = ()
    """Keys that it reads but that cannot change its product: how a tracking server calls the run, where it works."""
    code_version: int = 1
    """Raise it when the same recipe would now make another product."""


STAGES = (
    Stage(
        number=10,
        name="lexicon",
        purpose="read the terms, and hold some out as a control",
        product="10-lexicon.jsonl",
        reads=("lexicon", "seed", "language"),
        code_version=4,
    ),
    Stage(
        number=20,
        name="transcripts",
        purpose="write sentences that say the terms",
        product="20-transcripts.jsonl",
        inputs=("lexicon",),
        reads=("transcripts", "seed", "language", "speech.tts", "speech.voices.train", "speech.accents"),
        code_version=5,
    ),
    Stage(
        number=30,
        name="speech",
        purpose="speak them in many voices",
        product="30-speech.jsonl",
        inputs=("lexicon", "transcripts"),
        reads=("speech", "seed", "language", "transcripts.check_privacy", "transcripts.allowed_words"),
        shows=("corpus",),
        code_version=4,
    ),
    Stage(
        number=40,
        name="augment",
        purpose="add noise, rooms, telephone lines and codecs",
        product="40-augment.jsonl",
        inputs=("speech",),
        reads=("augment", "seed"),
        shows=("corpus",),
        code_version=2,
    ),
    Stage(
        number=50,
        name="dataset",
        purpose="make manifests that leak nothing, and fix the test lists",
        product="50-dataset",
        inputs=("lexicon", "augment"),
        reads=("dataset",),
        code_version=4,
    ),
    Stage(
        number=60,
        name="train",
        purpose="tune the recogniser",
        product="60-train",
        inputs=("dataset",),
        reads=("train", "seed", "augment.snr_db", "augment.noise_manifest"),
        shows=("name",),
    ),
    Stage(
        number=70,
        name="evaluate",
        purpose="score the base and the tuned model",
        product="70-scores",
        inputs=("lexicon", "dataset", "train"),
        reads=("evaluate", "engine", "seed", "name", "train.init", "train.model", "augment.noise_manifest"),
        code_version=3,
    ),
    Stage(
        number=80,
        name="package",
        purpose="bundle the tuned model with its card and scores",
        product="80-bundle",
        inputs=("lexicon", "dataset", "train", "evaluate"),
        code_version=3,
        reads=("package", "name", "train.init", "train.model"),
    ),
)
BY_NAME = {stage.name: stage for stage in STAGES}
