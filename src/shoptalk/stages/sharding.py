"""`shoptalk shards`: the lists of a dataset as shards, in a folder or in an object store.

`INDEX` tells what is there. In a folder all is there or nothing: it is filled beside it and renamed. In a store the
index says ``"complete": true`` in the end. What an interrupted command wrote is kept, and the same command goes on.
"""

import json
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from shoptalk.core import files
from shoptalk.core.errors import ManifestError, RecipeError
from shoptalk.core.examples import content_digests, read_manifest
from shoptalk.core.progress import progress
from shoptalk.core.protocols import ObjectStore
from shoptalk.corpus import shards
from shoptalk.corpus.shards import File, Form, Recorded
from shoptalk.stages.table import BY_NAME

INDEX = "shards.json"
S3_SCHEME = "s3://"
INDEX_BYTES = 64 * 2**20
"""Of the largest index that is read."""


class Written(NamedTuple):
    """What is there in the end."""

    to: str
    lists: Mapping[str, int]
    """Examples of each list."""
    files: int
    was_there: bool


class _Target(Protocol):
    """Where shards go."""

    def read_index(self) -> dict[str, Any] | None: ...

    def begin_anew(self, held: dict[str, Any]) -> None:
        """Make room in the place of shards of another dataset, or refuse to."""

    def write(self, file: File) -> None: ...

    def end(self) -> None: ...


def write(source: Path, to: str, *, form: Form, per_shard: int) -> Written:
    """Write the lists of a run, of a folder of manifests, or of one manifest, each below its name.

    `ManifestError` where something else is already there, `ObjectStoreError` where the store refuses.
    """
    manifests = _manifests(source)
    content = {name: content_digests(path) for name, path in manifests.items()}
    signature = files.digest([shards.SHARDS_VERSION, form, per_shard, content])
    lists = {name: shards.dealt(read_manifest(path), per_shard) for name, path in manifests.items()}
    counts = {name: sum(len(shard.examples) for shard in dealt) for name, dealt in lists.items()}
    target = _target(to)
    index = target.read_index()
    if index and index["signature"] != signature:
        target.begin_anew(index)
        index = None
    if index and index["complete"]:
        return Written(to, counts, len(index["files"]), was_there=True)
    index = index or {"signature": signature, "form": form, "complete": False, "lists": counts, "files": {}}
    todo = [(name, shard) for name, dealt in lists.items() for shard in dealt]
    done: dict[str, Any] = index["files"]
    left = [(name, shard) for name, shard in todo if f"{name}/{shard.names(form)[1]}" not in done]
    for name, shard in progress(left, "shards", total=len(todo), done=len(todo) - len(left)):
        for file in shards.made(shard, form, _described):
            _write(target, name, file, done)
        _write_index(target, index)
    if form == "tar":
        for name, dealt in lists.items():
            _write(target, name, shards.whole_manifest(dealt), done)
    _write_index(target, {**index, "complete": True})
    target.end()
    return Written(to, counts, len(done), was_there=False)


def _write(target: _Target, name: str, file: File, done: dict[str, Any]) -> None:
    path = f"{name}/{file.name}"
    target.write(File(path, file.content))
    done[path] = {"bytes": len(file.content), "sha256": sha256(file.content).hexdigest()}


def _write_index(target: _Target, index: Mapping[str, Any]) -> None:
    target.write(File(INDEX, (json.dumps(index, indent=1) + "\n").encode()))


def _described(item: Recorded) -> tuple[dict[str, Any], dict[str, Any]]:
    from shoptalk.integrations import lhotse

    return lhotse.described(item.name, item.example, samples=item.samples)


def _manifests(source: Path) -> dict[str, Path]:
    """The manifests by the names of their lists; empty ones are left out, for a shard has one example at least."""
    in_run = source / BY_NAME["dataset"].product
    folder = in_run if in_run.is_dir() else source
    found = sorted(folder.glob("*.jsonl")) if folder.is_dir() else [source]
    manifests = {path.stem: path for path in found if path.is_file() and path.stat().st_size}
    if not manifests:
        raise ManifestError(
            f"{source}: no dataset; give a run folder in which `shoptalk corpus` made one, a folder of manifests, or a "
            "manifest"
        )
    return manifests


def _target(to: str) -> _Target:
    if not to.startswith(S3_SCHEME):
        if "://" in to:
            raise RecipeError(f"--to {to}: give a folder, or s3://BUCKET/PREFIX")
        return _Folder(Path(to))
    bucket, _, prefix = to.removeprefix(S3_SCHEME).strip("/").partition("/")
    if not bucket or not prefix:
        raise RecipeError(f"--to {to}: name a bucket and a prefix, s3://BUCKET/PREFIX")
    from shoptalk.integrations.s3 import S3

    return _Store(S3(), f"{S3_SCHEME}{bucket}/{prefix}/")


def _another(place: object) -> ManifestError:
    return ManifestError(
        f"{place} holds shards of another dataset, form or size; name another place for these, or empty that one"
    )


class _Folder:
    """A folder that is filled beside its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = files.partial_path(folder)
        if folder.exists() and not (folder / INDEX).is_file():
            raise ManifestError(f"{folder} is there, and holds no shards; name a new folder")

    def read_index(self) -> dict[str, Any] | None:
        for folder in (self._folder, self._partial):
            if (folder / INDEX).is_file():
                return dict(json.loads((folder / INDEX).read_text(encoding="utf-8")))
        return None

    def begin_anew(self, held: dict[str, Any]) -> None:
        if self._folder.exists():
            raise _another(self._folder)
        shutil.rmtree(self._partial)

    def write(self, file: File) -> None:
        files.write_bytes(self._partial / file.name, file.content)

    def end(self) -> None:
        files.put_in_place(self._partial, self._folder)


class _Store:
    """A prefix of an object store, from which nothing is removed."""

    def __init__(self, store: ObjectStore, address: str) -> None:
        self._store = store
        self._address = address

    def read_index(self) -> dict[str, Any] | None:
        address = self._address + INDEX
        if self._store.listed(address, 1):
            return dict(json.loads(self._store.read(address, INDEX_BYTES)))
        if self._store.listed(self._address, 1):
            raise ManifestError(f"{self._address} is not empty, and holds no shards; name another prefix")
        self._store.write(address, b'{"signature": "", "complete": false, "files": {}}\n', "application/json")
        return None

    def begin_anew(self, held: dict[str, Any]) -> None:
        if held["files"] or held["complete"]:
            raise _another(self._address)

    def write(self, file: File) -> None:
        kind = "application/json" if file.name.endswith(".json") else "application/octet-stream"
        self._store.write(self._address + file.name, file.content, kind)

    def end(self) -> None:
        """All is there."""
