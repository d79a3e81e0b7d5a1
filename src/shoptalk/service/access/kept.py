"""Recordings and their transcripts on disk: only where the service is set to and the key's owner agreed, encrypted
with AES-256-GCM, and deleted after some hours.

A file is ``EXPIRY-RANDOM.kept``, sealed under its name, so nobody can give a recording more time. Within are the length
of what is told (4 bytes, big-endian), that as JSON, and the recording as FLAC.
"""

import json
import logging
import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shoptalk.core import audio, files
from shoptalk.core.errors import DiskFullError, EncryptionKeyError, KeptAudioError
from shoptalk.core.records import Recognition, Samples
from shoptalk.service.access.callers import Caller
from shoptalk.service.sealing import Seal, read_key
from shoptalk.service.settings import Settings

SWEEP_S = 60.0
"""So often expired files are looked for."""
_SUFFIX = ".kept"
_EXPIRY = "%Y%m%dT%H%M%SZ"
_LENGTH = struct.Struct(">I")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A recording that was kept, and what was made of it."""

    name: str
    """Of its file, without the suffix."""
    request_id: str
    caller: str
    """Id of the API key."""
    model: str
    at: datetime
    expires_at: datetime
    recognition: Recognition
    flac: bytes


class Keeper:
    """Keeps recordings in a folder; methods block for the disk, and may be called from any thread."""

    def __init__(self, folder: Path, key: bytes, hours: float, now: Callable[[], datetime]) -> None:
        """`key` has `sealing.KEY_BYTES` bytes; `sealing.read_key` reads one."""
        self._folder = folder
        self._seal = Seal(key)
        self._lifetime = timedelta(hours=hours)
        self._now = now
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(self, caller: Caller, request_id: str, model: str, samples_T: Samples, recognition: Recognition) -> str:
        """Keep a recording if the key's owner agreed; the name of its file, empty if it was not kept.

        A full disk is logged, not raised.
        """
        if not caller.keeps_audio:
            return ""
        now = self._now()
        told = {
            "request_id": request_id,
            "caller": caller.id,
            "model": model,
            "at": now.isoformat(),
            "recognition": recognition.model_dump(),
        }
        head = json.dumps(told).encode()
        name = _name(now + self._lifetime)
        content = _LENGTH.pack(len(head)) + head + audio.flac(samples_T)
        try:
            files.write_bytes(self._folder / name, self._seal.close(content, name))
        except (OSError, DiskFullError) as error:
            log.error("%s: a recording could not be kept: %s", self._folder, type(error).__name__)
            return ""
        return name

    def read(self, name: str) -> Kept | None:
        """A recording by the name of its file; None if it is not there any more."""
        path = self._folder / name
        if _expires_at(name) <= self._now():
            return None
        try:
            return _opened(self._seal, path)
        except FileNotFoundError:
            return None

    def expire_at(self, name: str, until: datetime | None) -> str:
        """Have a recording expire at another time, or as if it were never prolonged (None); its new name.

        Empty if it is not there any more, or has to go by now. `DiskFullError` on a full disk.
        """
        known = self.read(name)
        if known is None:
            return ""
        until = until or known.at + self._lifetime
        if until <= self._now():
            self.delete(name)
            return ""
        new = _name(until)
        plain = self._seal.open((self._folder / name).read_bytes(), name)
        files.write_bytes(self._folder / new, self._seal.close(plain, new))
        self.delete(name)
        return new

    def delete(self, name: str) -> bool:
        """Delete a recording by the name of its file; whether it was there."""
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def forget(self, request_id: str, caller: str | None) -> int:
        """Delete all recordings of a request id, of one caller or (None) of all; how many. It opens every file."""
        count = 0
        for path in self._folder.glob(f"*{_SUFFIX}"):
            try:
                kept = _opened(self._seal, path)
            except (FileNotFoundError, KeptAudioError):
                continue  # it expired meanwhile, or was written with another key: it expires by its name
            if kept.request_id == request_id and caller in (None, kept.caller):
                count += self.delete(path.name)
        return count

    def sweep(self) -> int:
        """Delete what has expired, also what an interrupted process left half written; how many files."""
        count = 0
        for path in self._folder.glob(f"*{_SUFFIX}*"):
            if _expires_at(path.name) <= self._now():
                path.unlink(missing_ok=True)
                count += 1
        return count


def open_keeper(settings: Settings, now: Callable[[], datetime]) -> Keeper | None:
    """The keeper that the settings ask for; `KeptAudioError` if they lack what it needs."""
    if settings.keep_audio_dir is None:
        return None
    if settings.keep_audio_key is None:
        raise KeptAudioError("serve.keep_audio_dir: recordings are kept encrypted; name a key in serve.keep_audio_key")
    if settings.keys_file is None:
        cure = "make keys with `shoptalk keys add --keep-audio`, and name their file in serve.keys_file"
        raise KeptAudioError(f"serve.keep_audio_dir: recordings are kept of keys that agreed; {cure}")
    return Keeper(settings.keep_audio_dir, read_key(settings.keep_audio_key), settings.keep_audio_hours, now)


def read_kept(folder: Path, key: bytes) -> Iterator[Kept]:
    """The recordings of a folder, in the order in which they expire; `KeptAudioError` for another key."""
    if not folder.is_dir():
        raise KeptAudioError(f"{folder}: no such folder; give the service's keep_audio_dir")
    seal = Seal(key)
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            yield _opened(seal, path)
        except FileNotFoundError:
            continue  # it expired meanwhile


def _opened(seal: Seal, path: Path) -> Kept:
    """What a file holds; `KeptAudioError` for another key."""
    try:
        plain = seal.open(path.read_bytes(), path.name)
    except EncryptionKeyError as error:
        raise KeptAudioError(f"{path.parent}: {error}") from None
    (length,) = _LENGTH.unpack_from(plain)
    told = json.loads(plain[_LENGTH.size : _LENGTH.size + length])
    return Kept(
        path.stem,
        told["request_id"],
        told["caller"],
        told["model"],
        datetime.fromisoformat(told["at"]),
        _expires_at(path.name),
        Recognition.model_validate(told["recognition"]),
        plain[_LENGTH.size + length :],
    )


def _name(until: datetime) -> str:
    """A new name of a file that expires then."""
    return f"{until:{_EXPIRY}}-{secrets.token_hex(8)}{_SUFFIX}"


def _expires_at(name: str) -> datetime:
    """When a file of this name expires; never for a name that is none of ours."""
    try:
        return datetime.strptime(name.partition("-")[0], _EXPIRY).replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
