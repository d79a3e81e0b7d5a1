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

    def keep(self, caller: Caller, request_id: str, model: str, samples_T: Samples, recognition: Recognition) -> bool:
        """Keep a recording if the key's owner agreed; whether it was kept. A full disk is logged, not raised."""
        if not caller.keeps_audio:
            return False
        now = self._now()
        told = {
            "request_id": request_id,
            "caller": caller.id,
            "model": model,
            "at": now.isoformat(),
            "recognition": recognition.model_dump(),
        }
        head = json.dumps(told).encode()
        name = f"{now + self._lifetime:{_EXPIRY}}-{secrets.token_hex(8)}{_SUFFIX}"
        content = _LENGTH.pack(len(head)) + head + audio.flac(samples_T)
        try:
            files.write_bytes(self._folder / name, self._seal.close(content, name))
        except (OSError, DiskFullError) as error:
            log.error("%s: a recording could not be kept: %s", self._folder, type(error).__name__)
            return False
        return True

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
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # it expired meanwhile
        try:
            plain = seal.open(content, path.name)
        except EncryptionKeyError as error:
            raise KeptAudioError(f"{path.parent}: {error}") from None
        (length,) = _LENGTH.unpack_from(plain)
        told = json.loads(plain[_LENGTH.size : _LENGTH.size + length])
        yield Kept(
            path.stem,
            told["request_id"],
            told["caller"],
            told["model"],
            datetime.fromisoformat(told["at"]),
            _expires_at(path.name),
            Recognition.model_validate(told["recognition"]),
            plain[_LENGTH.size + length :],
        )


def _expires_at(name: str) -> datetime:
    """When a file of this name expires; never for a name that is none of ours."""
    try:
        return datetime.strptime(name.partition("-")[0], _EXPIRY).replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
