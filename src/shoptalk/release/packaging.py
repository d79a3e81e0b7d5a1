"""Stage 80: a tuned model as a folder to hand on (`shoptalk.core.bundle` tells what is in it)."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from shoptalk.core import checkpoint
from shoptalk.core.bundle import CALIBRATION, CHECKSUMS, FORMAT, GOLDEN, TERMS, TRAINED_ON, temperature
from shoptalk.core.errors import ModelError
from shoptalk.core.files import file_sha256, write_folder
from shoptalk.core.recipe import PackageSection
from shoptalk.core.records import Term
from shoptalk.release import card

if TYPE_CHECKING:
    import torch

_OF_A_TERM = {"id", "text", "category", "spoken", "variants", "risk"}
"""What of a term is needed to tell it in a text."""


class Golden(NamedTuple):
    """A recording that may be handed on, and what the model made of it."""

    audio: Path
    text: str


def write(
    nemo: Path,
    folder: Path,
    *,
    config: PackageSection,
    origin: card.Origin,
    scores: Mapping[str, Any] | None,
    calibration: Mapping[str, Any] | None = None,
    terms: Sequence[Term] = (),
    golden: Golden | None = None,
) -> Path:
    """Make the bundle of a checked `.nemo`, whole or not at all; the same input gives the same bytes.

    `scores` maps a figure's name to ``{"before": rate, "after": rate}``, a rate being a number or an object with
    `value`, `low` and `high`; plain numbers in it are counts. `calibration` has a `temperature` and what else is worth
    knowing of it. `terms` is the lexicon: by it a service tells which words are of high risk. By `golden` it tells a
    wrong model from this one. An older bundle in `folder` is replaced.
    """
    if folder.exists() and not (folder / CHECKSUMS).is_file() and any(folder.iterdir()):
        raise ModelError(f"{folder}: holds something else than a bundle; name another folder, or empty this one")
    info = checkpoint.inspect(nemo)
    if calibration is not None:
        temperature(calibration, folder)
    with write_folder(folder) as partial:
        if golden is not None:
            _write_golden(partial, golden)
        if origin.corrections:
            _write_text(partial / TRAINED_ON, _json({"corrections": sorted(origin.corrections)}))
        _fill(partial, info, config, origin, scores, calibration, terms)
    return folder


def _write_golden(folder: Path, golden: Golden) -> None:
    audio = f"golden{golden.audio.suffix}"
    (folder / audio).write_bytes(golden.audio.read_bytes())
    _write_text(folder / GOLDEN, _json({"audio": audio, "text": golden.text}))


def _fill(
    folder: Path,
    info: checkpoint.NemoInfo,
    config: PackageSection,
    origin: card.Origin,
    scores: Mapping[str, Any] | None,
    calibration: Mapping[str, Any] | None,
    terms: Sequence[Term],
) -> None:
    """Write every other file of a bundle, the checksums last."""
    model_config = _portable(info.config)
    _write_weights(info, folder / "model.safetensors")
    (folder / "tokenizer.model").write_bytes(checkpoint.read_member(info, info.tokenizer))
    _write_text(folder / "vocab.txt", "".join(f"{piece}\n" for piece in _pieces(info)))
    _write_text(folder / "config.yaml", _yaml(model_config))
    _write_nemo(info, model_config, folder / "model.nemo")
    made_from = asdict(origin)
    del made_from["corrections"]  # they have a file of their own
    about = {"format": FORMAT, "name": config.name, "title": config.title, "origin": made_from}
    _write_text(folder / "bundle.json", _json({**about, "source_sha256": info.sha256}))
    _write_text(folder / "scores.json", _json(dict(scores or {})))
    if calibration is not None:
        _write_text(folder / CALIBRATION, _json(dict(calibration)))
    if terms:
        _write_text(folder / TERMS, "".join(f"{term.model_dump_json(include=_OF_A_TERM)}\n" for term in terms))
    _write_text(folder / "README.md", card.render(info, config=config, origin=origin, scores=scores))
    sums = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    _write_text(folder / CHECKSUMS, _json(sums))


def write_nemo(source: Path, target: Path) -> None:
    """Copy a `.nemo` without the paths of the machine it was trained on."""
    info = checkpoint.inspect(source)
    _write_nemo(info, _portable(info.config), target)


def _portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without what belongs to the machine and the run that trained it."""
    kept = {key: value for key, value in config.items() if not key.endswith("_ds") and key not in ("optim", "trainer")}
    return {**kept, "tokenizer": {**config["tokenizer"], "dir": ""}}


def _write_weights(info: checkpoint.NemoInfo, path: Path) -> None:
    from safetensors.torch import save_file

    seen: set[int] = set()
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in checkpoint.read_weights(info).items():
        shared = tensor.untyped_storage().data_ptr() in seen  # safetensors takes no two tensors of one storage
        seen.add(tensor.untyped_storage().data_ptr())
        tensors[name] = tensor.clone() if shared else tensor.contiguous()
    save_file(tensors, path, metadata={"format": "pt"})


def _write_nemo(info: checkpoint.NemoInfo, config: dict[str, Any], path: Path) -> None:
    """A `.nemo` with the given config, and otherwise the members of the checked one; no clock, no user in it."""
    tokenizer = dict(config["tokenizer"])
    files: dict[str, bytes] = {}
    for key in [key for key, value in tokenizer.items() if str(value).startswith("nemo:")]:
        old = tokenizer[key].removeprefix("nemo:")
        content = checkpoint.read_member(info, old)
        # NeMo's own form: 32 hex digits, an underscore, the file's name
        name = f"{hashlib.sha256(content).hexdigest()[:32]}_{old.rpartition('/')[2].partition('_')[2] or old}"
        files[name], tokenizer[key] = content, f"nemo:{name}"
    files[checkpoint.CONFIG] = _yaml({**config, "tokenizer": tokenizer}).encode()
    with tarfile.open(path, "w:") as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        with checkpoint.weights_file(info) as (size, file):
            member = tarfile.TarInfo(checkpoint.WEIGHTS)
            member.size = size
            tar.addfile(member, file)
    checkpoint.inspect(path)


def _pieces(info: checkpoint.NemoInfo) -> list[str]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=checkpoint.read_member(info, info.tokenizer))
    if processor.vocab_size() != info.vocabulary:
        raise ModelError(
            f"{info.path}: the tokenizer has {processor.vocab_size()} pieces, the model {info.vocabulary}; "
            "restore it with the tokenizer it was trained with"
        )
    return [processor.id_to_piece(number) for number in range(processor.vocab_size())]


def _yaml(content: object) -> str:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=True)


def _json(content: object) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
