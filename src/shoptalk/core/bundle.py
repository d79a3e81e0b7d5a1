"""A bundle is a tuned model as a folder to hand on: weights, tokenizer, config, card, checksums, and a `.nemo`.

| file | what |
|---|---|
| `model.safetensors` | the tensors of the tuned `.nemo`, by the same names and in the same precision |
| `tokenizer.model`, `vocab.txt` | the SentencePiece model; its pieces, one a line, in the order of their ids |
| `config.yaml` | the model's config, checked, without the paths of the machine it was trained on |
| `model.nemo` | the same model for stock NeMo |
| `bundle.json`, `scores.json`, `README.md` | origin; measured figures; the model card |
| `calibration.json` | the temperature that makes word confidences believable, where one was fitted |
| `terms.jsonl` | the lexicon that it was tuned on: texts, variants, risks |
| `trained_on.json` | the corrections that it was trained on, by their ids |
| `golden.json` | a recording of the tests, and what the model made of it: it tells a wrong model from the right one |
| `checksums.json` | sha256 of every other file |
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoptalk.core.errors import ChecksumError, ModelError
from shoptalk.core.files import file_sha256, read
from shoptalk.core.records import Term

CHECKSUMS = "checksums.json"
CALIBRATION = "calibration.json"
TERMS = "terms.jsonl"
TRAINED_ON = "trained_on.json"
"""Has ``{"corrections": [ids]}``; only where there are some."""
GOLDEN = "golden.json"
"""Has ``{"audio": name of the recording beside it, "text": …}``."""
FORMAT = 1
"""Raised when a reader of older bundles would misread a new one."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; every path was verified."""

    folder: Path
    origin: Mapping[str, Any]
    """What it was made from: the fields of `scoring.card.Origin`."""
    name: str
    title: str
    temperature: float | None = None
    """What the logits of word confidences are to be divided by (`confidence.tempered`); None: it was never fitted."""

    @property
    def nemo(self) -> Path:
        return self.folder / "model.nemo"

    @property
    def weights(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.model"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"


def open_bundle(folder: Path) -> Bundle:
    """Verify every file of a bundle; `ChecksumError` names the one that is missing or was changed."""
    require_bundle(folder)
    sums = _checksums(folder)
    wanted = {"model.safetensors", "tokenizer.model", "vocab.txt", "config.yaml", "model.nemo", "bundle.json"}
    if not wanted <= sums.keys():
        raise ChecksumError(f"{folder / CHECKSUMS}: does not name all files of a bundle; copy the bundle again")
    for name, expected in sums.items():
        _verify(folder / name, expected)
    about = _about(folder)
    calibration = json.loads((folder / CALIBRATION).read_text(encoding="utf-8")) if CALIBRATION in sums else None
    fitted = None if calibration is None else temperature(calibration, folder)
    return Bundle(folder, about["origin"], about["name"], about["title"], fitted)


def read_terms(path: Path) -> tuple[Term, ...]:
    """The lexicon of a bundle, which alone is verified; none of a `.nemo`, or of a bundle that was made without."""
    if not path.is_dir():
        return ()
    require_bundle(path)
    expected = _checksums(path).get(TERMS)
    if expected is None:
        return ()
    _verify(path / TERMS, expected)
    return tuple(read(path / TERMS, Term))


def read_trained_on(path: Path) -> tuple[str, ...]:
    """Ids of the corrections that a bundle's model was trained on, which alone are verified; none of a `.nemo`."""
    if not path.is_dir():
        return ()
    require_bundle(path)
    expected = _checksums(path).get(TRAINED_ON)
    if expected is None:
        return ()
    _verify(path / TRAINED_ON, expected)
    return corrections_of((path / TRAINED_ON).read_text(encoding="utf-8"), path / TRAINED_ON)


def corrections_of(text: str, where: Path) -> tuple[str, ...]:
    """The ids in a `TRAINED_ON`; `ModelError` if it has none."""
    try:
        listed = json.loads(text)["corrections"]
        if not all(isinstance(id_, str) for id_ in listed):
            raise TypeError
        return tuple(listed)
    except (ValueError, TypeError, KeyError):
        raise ModelError(f"{where}: lists no corrections; train and package the model again") from None


def read_golden(path: Path) -> tuple[Path, str] | None:
    """A bundle's golden recording and its text, which alone are verified; None of a `.nemo`, or where it has none."""
    if not path.is_dir():
        return None
    require_bundle(path)
    sums = _checksums(path)
    if GOLDEN not in sums:
        return None
    _verify(path / GOLDEN, sums[GOLDEN])
    try:
        golden = json.loads((path / GOLDEN).read_text(encoding="utf-8"))
        name, text = str(golden["audio"]), str(golden["text"])
    except (ValueError, TypeError, KeyError):
        raise ModelError(f"{path / GOLDEN}: has no audio and text; package the model again") from None
    if name not in sums:
        raise ChecksumError(f"{path / name}: is missing; copy the bundle again")
    _verify(path / name, sums[name])
    return path / name, text


def name_of(path: Path) -> str:
    """The name of a bundle, or of a `.nemo`, without a look at its weights."""
    if not path.is_dir():
        return path.stem
    require_bundle(path)
    _verify(path / "bundle.json", _checksums(path).get("bundle.json", ""))
    return str(_about(path)["name"])


def require_bundle(folder: Path) -> None:
    """`ModelError` for a folder that is no bundle at all, at the cost of one look."""
    if not (folder / CHECKSUMS).is_file():
        raise ModelError(f"{folder}: not a bundle (no {CHECKSUMS}); make one with `shoptalk package`")


def _about(folder: Path) -> dict[str, Any]:
    """What `bundle.json` says, of a version that can be read here."""
    try:
        about = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder / 'bundle.json'}: cannot be read ({error}); package the model again") from None
    made = about.get("format") if isinstance(about, dict) else None
    if made != FORMAT:
        is_newer = isinstance(made, int) and made > FORMAT
        cure = "install a newer Shoptalk" if is_newer else "package it again"
        raise ModelError(f"{folder}: bundle format {made!r}, this version reads {FORMAT}; {cure}")
    missing = {"name", "title", "origin"} - about.keys()
    if missing:
        raise ModelError(f"{folder / 'bundle.json'}: has no {', '.join(sorted(missing))}; package the model again")
    return dict(about)


def _checksums(folder: Path) -> dict[str, str]:
    try:
        sums = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ChecksumError(f"{folder / CHECKSUMS}: cannot be read ({error}); copy the bundle again") from None
    if not isinstance(sums, dict):
        raise ChecksumError(f"{folder / CHECKSUMS}: does not name all files of a bundle; copy the bundle again")
    for name in sums:
        if Path(name).name != name:
            raise ChecksumError(f"{folder / name}: is missing; copy the bundle again")
    return sums


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ChecksumError(f"{path}: is missing; copy the bundle again")
    if file_sha256(path) != expected:
        raise ChecksumError(f"{path}: was changed since the bundle was made; copy the bundle again")


def temperature(calibration: Mapping[str, Any], folder: Path) -> float:
    """The temperature of a bundle's calibration; `ModelError` if it has none above 0."""
    value = calibration.get("temperature")
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ModelError(f"{folder}: {CALIBRATION} has no temperature above 0 ({value!r}); score and package it again")
    return float(value)
