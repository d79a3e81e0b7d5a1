"""The keys that are in force: those of a file, read again when it changes, without a restart."""

import hmac
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shoptalk.core import files
from shoptalk.core.errors import ApiKeyError
from shoptalk.service.access import keys
from shoptalk.service.access.keys import Key

LOOK_S = 1.0
"""So often it is looked whether the file changed: a key is known, or refused, at most so much later."""
_NOBODY = Key(id="nobody00", salt="0" * 32, hmac_sha256="0" * 64, created_at=datetime(2026, 1, 1, tzinfo=UTC))
"""What an unknown id is compared with, so that it takes as long as a known one."""

log = logging.getLogger(__name__)


class KeyRing:
    """The keys of a file; one that cannot be read leaves in force what was read before."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """`clock` gives seconds; `ApiKeyError` if the file cannot be read."""
        self._path = path
        self._clock = clock
        self._state = self._state_now()
        self._keys = keys.read(path)
        self._looked_s = clock()
        self.is_broken = False
        """Whether the file, as it is now, cannot be read."""

    def holds(self, key: str) -> Key | None:
        """The key with this text, also a revoked or expired one; None if there is none."""
        self._look()
        key_id, secret = keys.parts(key)
        candidate = self._keys.get(key_id, _NOBODY)
        is_right = hmac.compare_digest(keys.digest(candidate.salt, secret), candidate.hmac_sha256)
        return candidate if is_right and candidate is not _NOBODY else None

    def _look(self) -> None:
        if self._clock() - self._looked_s < LOOK_S:
            return
        self._looked_s = self._clock()
        state = self._state_now()
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = keys.read(self._path)
            self.is_broken = False
            log.warning("%s changed: %d keys", self._path, len(self._keys))
        except (ApiKeyError, OSError) as error:
            self.is_broken = True
            log.error("%s; the keys that were read before stay in force", error)

    def _state_now(self) -> tuple[int, ...]:
        """What changes with the file; empty if it is not there."""
        try:
            return files.file_state(self._path)
        except OSError:
            return ()
