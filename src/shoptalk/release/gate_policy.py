"""What a tuned model must show before it may replace another: the policy file of the gate, read strictly."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from shoptalk.core import yaml_text
from shoptalk.core.errors import PolicyError
from shoptalk.core.recipe import Section
from shoptalk.core.records import Number
from shoptalk.core.sets import GENERAL, TAUGHT

Metric = Literal[
    "term_error",
    "recall",
    "precision",
    "f1",
    "false_insertions",
    "wer",
    "cer",
    "sentence_error",
    "case",
    "punctuation",
    "numbers",
    "invented_numbers",
]
RISING: frozenset[Metric] = frozenset({"recall", "precision", "f1"})
"""More of these is better; of all others, less is."""
PER_1000_WORDS: frozenset[Metric] = frozenset({"false_insertions", "invented_numbers"})
"""Bounds on these are per 1,000 reference words. All others are fractions: 0.02 is 2 percentage points."""


class SetRule(Section):
    """Bounds on one metric of one test set; each bound that is given is one check."""

    set: str
    metric: Metric
    better_by: Number | None = Field(default=None, ge=0)
    """The improvement over the base (the difference, not a part of the base's value) is at least this."""
    worse_by_at_most: Number | None = Field(default=None, ge=0)
    """The difference to the base is at most this to the worse: non-inferiority."""
    not_worse: bool = False
    """The metric is not significantly worse than the base's: its verdict is not ``worse``. Weaker than
    `worse_by_at_most`: too small a test passes."""
    at_most: Number | None = Field(default=None, ge=0)
    """Of the tuned model itself; for metrics of which less is better."""
    at_least: Number | None = Field(default=None, ge=0)
    """Of the tuned model itself; for recall, precision and f1."""
    with_confidence: bool = True
    """The bounds hold for the whole interval; False: for the measured value only."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> "SetRule":
        bounds = (self.better_by, self.worse_by_at_most, self.at_most, self.at_least)
        if not self.not_worse and all(bound is None for bound in bounds):
            raise ValueError("give better_by, worse_by_at_most, not_worse: true, at_most or at_least")
        if self.metric in RISING and self.at_most is not None:
            raise ValueError(f"at_most bounds {self.metric} on its good side; write at_least")
        if self.metric not in RISING and self.at_least is not None:
            raise ValueError(f"at_least bounds {self.metric} on its good side; write at_most")
        return self


class SlicesRule(Section):
    """No group of a set may lose: its term recall, or its word error rate where it has no terms."""

    set: str = TAUGHT
    by: tuple[Literal["category", "tier", "known", "voice", "accent", "context", "snr"], ...] = Field(
        default=("category",), min_length=1
    )
    """One check for each; the groups are those of the report."""
    worse_by_at_most: Number | None = Field(default=None, ge=0)
    """A further bound on each group's measured difference, whatever its interval: small groups vary."""


class SilenceRule(Section):
    words_per_minute_at_most: Number = Field(ge=0)
    with_confidence: bool = False


class CalibrationRule(Section):
    ece_at_most: Number = Field(gt=0, le=1)
    """Expected calibration error of word confidences, after the temperature."""


class SpeedRule(Section):
    audio_s_per_s_at_least: Number = Field(gt=0)
    """Seconds of audio recognised in one second, on the machine that evaluated."""


def _several(**defaults: str) -> BeforeValidator:
    """One rule or a list of them, each with defaults for its keys."""

    def rules(given: Any) -> Any:
        listed = given if isinstance(given, list | tuple) else [given]
        completed = []
        for rule in listed:
            completed.append({**defaults, **rule} if isinstance(rule, Mapping) else rule)
        return completed

    return BeforeValidator(rules)


class Policy(Section):
    """The rules of a gate; every one must be met. A rule whose figures were not measured is not met."""

    domain: Annotated[tuple[SetRule, ...], _several(set=TAUGHT, metric="term_error")] = ()
    """What was to be learned."""
    general: Annotated[tuple[SetRule, ...], _several(set=GENERAL, metric="wer")] = ()
    """What must not be forgotten; one rule or a list."""
    numbers: Annotated[tuple[SetRule, ...], _several(set=TAUGHT, metric="numbers")] = ()
    """Numbers, doses and units recognised wrong."""
    false_insertions: Annotated[tuple[SetRule, ...], _several(set=GENERAL, metric="false_insertions")] = ()
    """Trained terms in hypotheses whose references do not have them."""
    categories: SlicesRule | None = None
    silence: SilenceRule | None = None
    calibration: CalibrationRule | None = None
    speed: SpeedRule | None = None

    @model_validator(mode="after")
    def _has_a_rule(self) -> "Policy":
        if not any(value for _, value in self):
            raise ValueError("a policy needs at least one rule, or every model would pass")
        return self


def read_policy(text: str, where: str) -> Policy:
    """A policy from YAML; `where` is the file's name for the `PolicyError`, which lists every wrong key."""
    try:
        return Policy.model_validate(yaml_text.load(text) or {})
    except yaml.YAMLError as error:
        raise PolicyError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            key = ".".join(map(str, problem["loc"])) or "policy"
            problems.append(f"{key}: {problem['msg']}")
        raise PolicyError(f"{where}: {'; '.join(problems)}; the keys are explained in docs/gate.md") from None
