"""The catalogue of known test sets, catalogue.yaml, and what a licence lets be done."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from shoptalk.core.sets import LONG, NOISY, SILENCE, TESTS

OWN_SETS = frozenset((*TESTS, NOISY, SILENCE, LONG))
"""Names that an imported set cannot have."""


class Hub(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    config: str | None = None
    split: str = "test"


class KnownSet(BaseModel):
    """One entry of catalogue.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    licence: str
    use: Literal["any", "evaluation"]
    """``evaluation``: may be scored, never trained on or shipped."""
    page: str
    hub: Hub | None = None


@cache
def known_sets() -> Mapping[str, KnownSet]:
    """The catalogue by name."""
    text = resources.files(__package__).joinpath("catalogue.yaml").read_text(encoding="utf-8")
    return {name: KnownSet.model_validate(entry) for name, entry in yaml.safe_load(text).items()}


def evaluation_only(licence: str) -> bool:
    """Whether an SPDX id (or a name) forbids commerce or derivatives."""
    return bool({"NC", "ND", "NONCOMMERCIAL", "RESEARCH"} & set(re.split(r"[^A-Z]+", licence.upper())))
