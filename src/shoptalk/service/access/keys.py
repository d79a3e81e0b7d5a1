"""API keys as a file holds them: hashed, each with what it allows; made and revoked by `shoptalk keys`.

A key is ``shoptalk-ID-SECRET``. The file has the id and HMAC-SHA256 of the secret under a salt of its own. The secret
has 256 random bits, so nobody can guess it from its hash. bcrypt and its like slow down guessing of passwords, which
people choose; here they would only cost a tenth of a second of processor time for every request.
"""

import hmac
import secrets
import string
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock
from pydantic import AwareDatetime, Field, ValidationError

from shoptalk.core import files
from shoptalk.core.errors import ApiKeyError, ManifestError
from shoptalk.core.records import Record
from shoptalk.service.access.callers import Caller, Limits, Scope

PREFIX = "shoptalk"
ID_CHARACTERS = 8
SECRET_BYTES = 32
SALT_BYTES = 16
USUAL_SCOPES: tuple[Scope, ...] = ("transcribe", "vocabularies", "models")


class Key(Record):
    """A line of the file of keys; the key itself is not in it."""

    id: str = Field(pattern=rf"^[a-z0-9]{{{ID_CHARACTERS}}}$")
    label: str = ""
    salt: str = Field(pattern=rf"^[0-9a-f]{{{2 * SALT_BYTES}}}$")
    hmac_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...] = Field(default=USUAL_SCOPES, min_length=1)
    requests_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    audio_s_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    concurrent: int | None = Field(default=None, ge=1)
    keep_audio: bool = False
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def caller(self) -> Caller:
        """Who sends a request with this key."""
        limits = Limits(self.requests_per_minute, self.audio_s_per_minute, self.concurrent)
        return Caller(self.id, frozenset(self.scopes), limits, self.keep_audio)


def new_secret() -> tuple[str, str]:
    """A random id and a random secret."""
    alphabet = string.ascii_lowercase + string.digits
    key_id = "".join(secrets.choice(alphabet) for _ in range(ID_CHARACTERS))
    return key_id, secrets.token_hex(SECRET_BYTES)


def write_key(key_id: str, secret: str) -> str:
    """The key as a client sends it."""
    return f"{PREFIX}-{key_id}-{secret}"


def parts(key: str) -> tuple[str, str]:
    """Id and secret of a key as a client sends it; two empty texts for what is none."""
    prefix, _, rest = key.partition("-")
    key_id, dash, secret = rest.partition("-")
    return (key_id, secret) if prefix == PREFIX and dash else ("", "")


def digest(salt: str, secret: str) -> str:
    """What the file has of a secret."""
    return hmac.digest(bytes.fromhex(salt), secret.encode(), "sha256").hex()


def read(path: Path) -> dict[str, Key]:
    """The keys of a file by their ids; `ApiKeyError` names the line that is wrong."""
    if not path.is_file():
        raise ApiKeyError(f"{path}: no such file of keys; `shoptalk keys add --keys {path}` makes it")
    keys: dict[str, Key] = {}
    try:
        for key in files.read(path, Key):
            if key.id in keys:
                raise ApiKeyError(f"{path}: the id {key.id} stands there twice; delete one of its lines")
            keys[key.id] = key
    except ManifestError as error:
        raise ApiKeyError(f"{error}; mend the line, or delete it and make the key anew") from None
    return keys


def add(
    path: Path,
    label: str,
    scopes: Sequence[str],
    limits: Limits,
    *,
    now: datetime,
    days: float | None = None,
    keep_audio: bool = False,
) -> str:
    """Write a new key into the file, which is made if it is not there; returns the key, which is told only here.

    It expires after `days`, or never. `ApiKeyError` says which value is wrong.
    """
    key_id, secret = new_secret()
    salt = secrets.token_hex(SALT_BYTES)
    content = {
        "id": key_id,
        "label": label,
        "salt": salt,
        "hmac_sha256": digest(salt, secret),
        "scopes": tuple(scopes),
        **asdict(limits),
        "keep_audio": keep_audio,
        "created_at": now,
        "expires_at": None if days is None else _after(now, days),
    }
    try:
        key = Key.model_validate(content)
    except ValidationError as error:
        raise ApiKeyError(f"no key is made: {files.first_problem(error)}") from None
    with _changing(path):
        known = read(path) if path.exists() else {}
        _write(path, [*known.values(), key])
    return write_key(key_id, secret)


def revoke(path: Path, key_id: str, *, now: datetime) -> Key:
    """Mark a key as revoked; `ApiKeyError` if the file has none with this id. A key revoked before stays as it is."""
    with _changing(path):
        known = read(path)
        if key_id not in known:
            raise ApiKeyError(f"{path}: no key has the id {key_id!r}; `shoptalk keys list` shows the ids")
        revoked = known[key_id]
        if revoked.revoked_at is None:
            revoked = revoked.model_copy(update={"revoked_at": now})
        _write(path, [revoked if key.id == key_id else key for key in known.values()])
    return revoked


def _after(now: datetime, days: float) -> datetime:
    try:
        expires_at = now + timedelta(days=days)
    except (OverflowError, ValueError):
        raise ApiKeyError(
            f"no calendar has the day in {days:g} days; leave it out, and the key never expires"
        ) from None
    if expires_at <= now:
        raise ApiKeyError(f"a key of {days:g} days would have expired already; give more than 0")
    return expires_at


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Keep other commands from changing the file meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        yield


def _write(path: Path, keys: Iterable[Key]) -> None:
    files.write_text(path, "".join(key.model_dump_json(exclude_none=True) + "\n" for key in keys))
