"""The model card of a bundle: what the model is, where it comes from, its scores, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from shoptalk.core.checkpoint import NemoInfo
from shoptalk.core.recipe import PackageSection


@dataclass(frozen=True)
class Origin:
    """What a tuned model was made from, for its card and its licence."""

    base: str
    """Name of the model it was tuned from, e.g. ``shoptalk-base-en-tiny``; empty: trained from scratch."""
    licence: str
    """SPDX identifier of what the bundle may be used under, e.g. ``CC-BY-4.0``."""
    attributions: tuple[str, ...]
    """One line for each work that must be credited: the base, data, voices."""
    recipe: str
    """Name of the recipe that made it."""
    data: tuple[str, ...] = ()
    """One line for each part of the training data."""
    corrections: tuple[str, ...] = ()
    """Ids of the corrections of users among it."""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Origin":
        """From its JSON form."""
        tuples = {"attributions": tuple(content["attributions"]), "data": tuple(content["data"])}
        return cls(**{**content, **tuples})


_USE = """## Use

`model.nemo` opens in stock NeMo:

```python
from nemo.collections.asr.models import EncDecRNNTBPEModel

model = EncDecRNNTBPEModel.restore_from("model.nemo", map_location="cpu")
print(model.transcribe(["recording.wav"])[0].text)
```

Shoptalk serves this folder behind an OpenAI-compatible endpoint (`shoptalk serve --help`). `checksums.json` holds the
sha256 of every file; Shoptalk verifies them before it opens any.

## Intended use and limits

- Dictation in the domain it was tuned for, in English, at 16 kHz, **read and corrected by a person** before anyone
  relies on it.
- **It is not a medical device.** It writes wrong words with confidence, names of medicines and doses among them. Do
  not use it to decide on a diagnosis or a treatment, nor without a person who checks what it wrote.
- It was tuned on synthetic speech. Expect more errors than the figures above for accents, ages, microphones and rooms
  that the training data lacks. Measure it on recordings of your own before you use it.
- It is tuned for its trained terms only. The report of the run scores held-out terms apart.
"""


def render(info: NemoInfo, *, config: PackageSection, origin: Origin, scores: Mapping[str, Any] | None) -> str:
    """The card as Markdown with the front matter that model hubs read."""
    front = {
        "language": "en",
        "library_name": "nemo",
        "license": origin.licence.lower(),
        "pipeline_tag": "automatic-speech-recognition",
    }
    if origin.base:
        front["base_model"] = origin.base
    made = f"Tuned from `{origin.base}`" if origin.base else "Trained from scratch"
    head = f"# {config.title}\n\n`{config.name}`: {_shape(info)}. {made} with Shoptalk, recipe `{origin.recipe}`.\n"
    licence = [f"Licence: {origin.licence}.", *origin.attributions]
    history = [made, f"Recipe: `{origin.recipe}`", *origin.data]
    parts = [
        f"---\n{yaml.safe_dump(front)}---\n",
        head,
        f"## Licence and attribution\n\n{_bullets(licence)}",
        f"## How it was made\n\n{_bullets(history)}",
        f"## Scores\n\n{score_table(scores)}",
        _USE,
    ]
    return "\n".join(parts)


def score_table(scores: Mapping[str, Any] | None) -> str:
    """Figures with their intervals, before and after; says so where nothing was measured."""
    if not scores:
        return "Nothing was measured. Do not rely on this model before it is.\n"
    rows: list[str] = []
    counts: list[str] = []
    for name, value in scores.items():
        if isinstance(value, Mapping) and "after" in value:
            rows.append(f"| {_words(name)} | {_rate(value.get('before'))} | {_rate(value['after'])} |")
        elif isinstance(value, int | float):
            counts.append(f"{_words(name)}: {value:g}")
    parts: list[str] = []
    if rows:
        table = ["| figure | base | this model |", "|---|---|---|", *rows]
        note = "In brackets: bootstrap intervals, as the report of the run describes them."
        parts += ["\n".join(table) + "\n", f"{note}\n"]
    if counts:
        parts.append(_bullets(counts))
    return "\n".join(parts) or "\n"


def _rate(rate: Any) -> str:
    """In percent, with its interval where it has one."""
    value, low, high = rate, None, None
    if isinstance(rate, Mapping):
        value, low, high = rate["value"], rate["low"], rate["high"]
    if value is None:
        return "–"
    interval = "" if low is None or high is None else f" ({100 * low:.1f} … {100 * high:.1f})"
    return f"{100 * value:.1f} %{interval}"


def _shape(info: NemoInfo) -> str:
    kind = "FastConformer-TDT" if info.durations else "FastConformer transducer"
    return f"a {kind} with {info.parameters / 1e6:.1f} M parameters and {info.vocabulary} pieces"


def _bullets(lines: list[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _words(name: str) -> str:
    return name.replace("_", " ")
