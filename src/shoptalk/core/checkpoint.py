"""Opening a `.nemo` safely: everything that must hold before any of its content may reach NeMo.

A `.nemo` is a tar of `model_config.yaml`, `model_weights.ckpt` and tokenizer files. Loading one can run code: by
classes that the config names (CVE-2025-23304), by pickles (CVE-2026-24157, CVE-2026-24159), by members that are
written outside the folder. A config can also read files that are not its own. `inspect` refuses all of these.
"""

import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Literal

import yaml

from shoptalk.core.errors import ChecksumError, ModelError, UnsafeCheckpointError
from shoptalk.core.files import file_sha256

if TYPE_CHECKING:
    import torch

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
MAX_UNPACKED_BYTES = 16 * 2**30
MAX_SMALL_FILE_BYTES = 32 * 2**20  # config and tokenizer files; Parakeet's are below 1 MiB
MAX_INFLATION = 20  # weights hardly compress; what unpacks to more is a bomb
MAX_MEMBERS, MAX_CONFIG_NODES, MAX_CONFIG_DEPTH = 100, 200_000, 30

_CLASSES = (
    "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel",
    "nemo.collections.asr.modules.audio_preprocessing.AudioToMelSpectrogramPreprocessor",
    "nemo.collections.asr.modules.audio_preprocessing.SpectrogramAugmentation",
    "nemo.collections.asr.modules.conformer_encoder.ConformerEncoder",
    "nemo.collections.asr.modules.conformer_encoder.ConformerEncoderAdapter",
    "nemo.collections.asr.modules.rnnt.RNNTDecoder",
    "nemo.collections.asr.modules.rnnt.RNNTJoint",
    "nemo.collections.common.parts.adapter_modules.LinearAdapter",
    "nemo.core.classes.mixins.adapter_mixin_strategies.ResidualAddAdapterStrategy",
)
ALLOWED_TARGETS = frozenset(_CLASSES) | {re.sub(r"\.\w+(\.\w+)$", r"\1", name) for name in _CLASSES}
"""Every class a FastConformer transducer needs, by its short and its full name; nothing else may be named."""

_OWN_FILE_KEYS = ("model_path", "vocab_path", "spe_tokenizer_vocab")
_FOREIGN_FILE_KEY = re.compile(r"(_path|_file|_dir|_model)$")  # ngram_lm_model, key_phrases_file, kenlm_path …


@dataclass(frozen=True)
class NemoInfo:
    """What a checked `.nemo` holds."""

    path: Path
    sha256: str
    config: Mapping[str, Any]
    members: tuple[str, ...]
    tokenizer: str
    """Member name of the SentencePiece model."""
    vocabulary: int
    """Pieces, the blank not counted."""
    durations: tuple[int, ...]
    """Of a TDT model; empty for a plain RNN-T."""
    parameters: int
    """Numbers in all tensors, BatchNorm statistics and the mel filterbank included."""
    dtypes: tuple[str, ...]
    """Of the floating-point tensors, e.g. ``("float16",)``."""


def inspect(path: Path, *, sha256: str | None = None) -> NemoInfo:
    """Check a `.nemo` without running or unpacking it; return what it holds.

    `ChecksumError`: not the bytes that were promised. `UnsafeCheckpointError`: it could run code, write or read
    outside of its folder, or fill memory or disk. `ModelError`: not there, broken, or no transducer with a BPE.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give the path of a .nemo")
    digest = file_sha256(path)
    if sha256 is not None and digest != sha256.lower():
        raise ChecksumError(f"{path}: sha256 is {digest}, expected {sha256}; fetch it again from its source")
    with _opened(path) as tar:
        members = _checked_members(path, tar)
        config = _checked_config(path, _read_small(path, tar, members[CONFIG]), frozenset(members))
        tensors = _checked_weights(path, tar, members[WEIGHTS])
    return NemoInfo(
        path=path,
        sha256=digest,
        config=config,
        members=tuple(sorted(members)),
        tokenizer=config["tokenizer"]["model_path"].removeprefix("nemo:"),
        vocabulary=_vocabulary(path, config),
        durations=_durations(config),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        dtypes=tuple(sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values() if t.is_floating_point()})),
    )


def extract(path: Path, folder: Path, *, sha256: str | None = None) -> NemoInfo:
    """`inspect`, then unpack into `folder`, which is made; returns what `inspect` found."""
    info = inspect(path, sha256=sha256)
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(path) as tar:
        for member in _checked_members(path, tar).values():
            tar.extract(member, folder, filter="data")
    return info


def read_member(info: NemoInfo, name: str) -> bytes:
    """The bytes of the config or of a tokenizer file of a checked `.nemo`."""
    with _opened(info.path) as tar:
        return _read_small(info.path, tar, _checked_members(info.path, tar)[name])


def read_weights(info: NemoInfo) -> "dict[str, torch.Tensor]":
    """The tensors of a checked `.nemo`, as they are stored, on the CPU."""
    import torch

    with weights_file(info) as (_, file):
        return dict(torch.load(file, weights_only=True, map_location="cpu"))


@contextmanager
def weights_file(info: NemoInfo) -> Iterator[tuple[int, IO[bytes]]]:
    """Size in bytes and content of the weights of a checked `.nemo`."""
    with _opened(info.path) as tar:
        member = _checked_members(info.path, tar)[WEIGHTS]
        with _member_file(tar, member) as file:
            yield member.size, file


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar, plain or gzipped; whatever breaks while it is read is a `ModelError`."""
    with path.open("rb") as file:
        mode: Literal["r:gz", "r:"] = "r:gz" if file.read(2) == b"\x1f\x8b" else "r:"
    try:
        with tarfile.open(path, mode) as tar:
            yield tar
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ModelError(f"{path}: not a whole .nemo archive ({error}); fetch it again") from None


def _checked_members(path: Path, tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Members by normalised name; only regular files and folders with safe, unique names and sane sizes."""
    limit = min(MAX_UNPACKED_BYTES, max(MAX_SMALL_FILE_BYTES, MAX_INFLATION * path.stat().st_size))
    files: dict[str, tarfile.TarInfo] = {}
    total = 0
    for count, member in enumerate(tar, start=1):
        pure, total = PurePosixPath(member.name), total + member.size
        if pure.is_absolute() or ".." in pure.parts or not member.name.isprintable() or set(member.name) & set("\\:"):
            raise UnsafeCheckpointError(f"{path}: member {member.name!r} would be written outside of its folder")
        if not (member.isdir() or member.isreg()) or member.issparse():
            raise UnsafeCheckpointError(f"{path}: member {member.name!r} is a link, a device or a sparse file")
        if total > limit or count > MAX_MEMBERS:
            raise UnsafeCheckpointError(f"{path}: unpacks to more than {limit} bytes or {MAX_MEMBERS} members")
        if str(pure) in files:
            raise UnsafeCheckpointError(f"{path}: member {str(pure)!r} occurs twice")
        if member.isreg():
            files[str(pure)] = member
    if missing := {CONFIG, WEIGHTS} - files.keys():
        raise ModelError(f"{path}: has no {' and no '.join(sorted(missing))}; this is not a .nemo")
    return files


@contextmanager
def _member_file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[IO[bytes]]:
    file = tar.extractfile(member)
    if file is None:
        raise ModelError(f"{member.name}: not a regular file")
    with file:
        yield file


def _read_small(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_SMALL_FILE_BYTES:
        raise UnsafeCheckpointError(f"{path}: {member.name} has {member.size} bytes; a config or tokenizer is small")
    with _member_file(tar, member) as file:
        return file.read()


def _checked_config(path: Path, content: bytes, members: frozenset[str]) -> dict[str, Any]:
    try:
        config = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UnsafeCheckpointError(f"{path}: {CONFIG} is not plain YAML ({error})") from None
    if not isinstance(config, dict) or "model" in config:  # NeMo would take only what is below `model`
        raise ModelError(f"{path}: {CONFIG} is not the mapping that NeMo writes")
    for where, key, value in _nodes(path, config):
        _check_node(path, where, key, value, members)
    tokenizer = config.get("tokenizer")
    if not isinstance(tokenizer, dict) or str(tokenizer.get("type")).lower() != "bpe":
        raise ModelError(f"{path}: needs a SentencePiece tokenizer (tokenizer.type: bpe)")
    for name in _OWN_FILE_KEYS:
        value = tokenizer.get(name)
        if value is None and name == "spe_tokenizer_vocab":
            continue
        if not (isinstance(value, str) and value.startswith("nemo:")):
            raise UnsafeCheckpointError(f"{path}: tokenizer.{name} is {value!r}, which is no file of the archive")
    if not isinstance(config.get("target"), str):
        raise ModelError(f"{path}: {CONFIG} names no model class (target)")
    return config


def _nodes(path: Path, config: Any) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """(place, key, value) of everything in the config; too many or too deep (aliases, cycles) is unsafe."""
    stack: list[tuple[tuple[str, ...], Any]] = [((), config)]
    count = 0
    while stack:
        place, node = stack.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            count += 1
            if count > MAX_CONFIG_NODES or len(place) > MAX_CONFIG_DEPTH:
                raise UnsafeCheckpointError(f"{path}: {CONFIG} is too large or too deep; it could fill the memory")
            yield place, str(key), value
            if isinstance(value, dict | list):
                stack.append(((*place, str(key)), value))


def _check_node(path: Path, where: tuple[str, ...], key: str, value: Any, members: frozenset[str]) -> None:
    place = ".".join((*where, key))
    if key in ("_target_", "target", "cls") and not (isinstance(value, str) and value in ALLOWED_TARGETS):
        raise UnsafeCheckpointError(f"{path}: {place} is {value!r}, which is not on the list of allowed classes")
    if any("${" in text for text in (key, value) if isinstance(text, str)):
        raise UnsafeCheckpointError(f"{path}: {place} is computed when the config is read ({value!r})")
    if "custom_tokenizer" in (key, *where):
        raise UnsafeCheckpointError(f"{path}: {place}: custom tokenizers are not opened")
    if isinstance(value, str) and value.startswith("nemo:") and value.removeprefix("nemo:") not in members:
        raise UnsafeCheckpointError(f"{path}: {place} is {value!r}, which is no file of the archive")
    if "decoding" in where and _FOREIGN_FILE_KEY.search(key) and isinstance(value, str) and value:
        raise UnsafeCheckpointError(f"{path}: {place} is {value!r}; a checkpoint must not open other files")


def _checked_weights(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> "dict[str, torch.Tensor]":
    """The tensors' names, shapes and types; their numbers are not read (the storages stay uninitialised)."""
    import pickle

    import torch

    with _member_file(tar, member) as file:
        stored = min(member.size, _checked_zip(path, file))
        file.seek(0)
        try:
            with torch.serialization.skip_data():
                weights = torch.load(file, weights_only=True, map_location="cpu")
        except pickle.UnpicklingError as error:
            reason = str(error).partition("\n")[0][:200]
            raise UnsafeCheckpointError(f"{path}: {WEIGHTS} holds more than tensors ({reason})") from None
        except (RuntimeError, EOFError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ModelError(f"{path}: {WEIGHTS} cannot be read ({str(error)[:200]}); fetch it again") from None
    if not isinstance(weights, dict) or not weights:
        raise ModelError(f"{path}: {WEIGHTS} is not a state dict")
    for name, tensor in weights.items():
        if not (isinstance(name, str) and isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided):
            raise UnsafeCheckpointError(f"{path}: {WEIGHTS}: {name!r} is a {type(tensor).__name__}, not a tensor")
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in weights.values()}
    if sum(storages.values()) > stored:
        raise UnsafeCheckpointError(f"{path}: {WEIGHTS} claims tensors larger than the file")
    return dict(weights)


def _checked_zip(path: Path, file: IO[bytes]) -> int:
    """Bytes of stored tensors in a torch file, whose entries must be unique and not compressed."""
    try:
        entries = zipfile.ZipFile(file).infolist()
    except zipfile.BadZipFile:
        raise UnsafeCheckpointError(
            f"{path}: {WEIGHTS} is a bare pickle or is broken; save it with torch ≥ 1.6"
        ) from None
    twice = len({entry.filename for entry in entries}) != len(entries)
    if twice or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise UnsafeCheckpointError(f"{path}: {WEIGHTS} has compressed or repeated entries; torch writes none")
    return sum(entry.file_size for entry in entries)


def _durations(config: Mapping[str, Any]) -> tuple[int, ...]:
    loss = _section(config, "loss")
    if not str(loss.get("loss_name")).startswith("tdt"):
        return ()
    durations = _section(loss, "tdt_kwargs").get("durations")
    if not isinstance(durations, list):
        return ()
    return tuple(int(frames) for frames in durations)


def _vocabulary(path: Path, config: Mapping[str, Any]) -> int:
    joint = _section(config, "joint")
    labels = joint.get("vocabulary")
    count = len(labels) if isinstance(labels, list) else joint.get("num_classes")
    if not isinstance(count, int) or count < 1:
        raise ModelError(f"{path}: {CONFIG} does not say how large the vocabulary is")
    return count


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return section if isinstance(section := config.get(name), dict) else {}
