"""Telling callers by their API keys; what a request must have before anything else of it is looked at."""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import Request

from shoptalk.core.config import check_api_key
from shoptalk.service.access.callers import ANONYMOUS, SCOPES, Caller, Scope, key_of
from shoptalk.service.access.keyring import KeyRing
from shoptalk.service.access.rates import Rates
from shoptalk.service.account import account_of
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

SINGLE_KEY = Caller("default", SCOPES)
"""Whoever has the one key of SHOPTALK_API_KEY: no limits, all scopes."""


def _now() -> datetime:
    return datetime.now(UTC)


class Access:
    """Who may use the service, and how much of it; with neither a key nor a file of keys, everyone may."""

    def __init__(
        self,
        api_key: str | None = None,
        keys_file: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """`api_key` is one key with all scopes (SHOPTALK_API_KEY); `keys_file` is made by `shoptalk keys`.

        `ApiKeyError` for a key that no request could carry, and for a file that cannot be read. `clock` gives seconds
        and never goes back; `now` is compared with the time at which keys expire.
        """
        check_api_key(api_key or "", "the API key")
        self._api_key = api_key or None
        self._ring = KeyRing(keys_file, clock) if keys_file is not None else None
        self._now = now
        self._rates = Rates(clock)

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for; such a service belongs on loopback addresses alone."""
        return self._api_key is None and self._ring is None

    @property
    def keys_are_broken(self) -> bool:
        """Whether the file of keys was changed into one that cannot be read; the keys before it are in force."""
        return self._ring is not None and self._ring.is_broken

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """Who sends a request with these headers (names in lower case); `Problem` 401 if the key is missing or wrong.

        `ANONYMOUS` where no key is asked for.
        """
        if self.is_open:
            return ANONYMOUS
        given = key_of(headers)
        if self._api_key is not None and hmac.compare_digest(given.encode(), self._api_key.encode()):
            return SINGLE_KEY
        key = self._ring.holds(given) if self._ring is not None else None
        if key is None or key.revoked_at is not None:
            raise _refused("the API key is missing or wrong; send it as `Authorization: Bearer KEY`", "invalid_api_key")
        if key.expires_at is not None and key.expires_at <= self._now():
            raise _refused("this API key has expired; ask whoever runs the server for another", "expired_api_key")
        return key.caller()

    def require(self, scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency for FastAPI: the caller, who has the `scope` and a request left; `Problem` 401, 403 or 429.

        Use it as ``caller: Annotated[Caller, Depends(access.require("transcribe"))]``, or in ``dependencies=[...]``.
        The caller also stands in ``request.state.caller``.
        """

        async def caller_with_scope(request: Request) -> Caller:
            caller = self.identify(request.headers)
            request.state.caller = caller
            account_of(request).caller = caller.id
            if scope not in caller.scopes:
                message = f"this API key lacks the scope {scope!r}; ask whoever runs the server for one that has it"
                raise Problem(403, message, code="insufficient_scope")
            self._rates.count_request(caller)
            return caller

        return caller_with_scope

    def recording(self, caller: Caller) -> AbstractContextManager[None]:
        """Holds one of the recordings that the caller may have at the same time; `Problem` 429 if none is left.

        Enter it before the upload is read, leave it after the answer.
        """
        return self._rates.recording(caller)

    def count_audio(self, caller: Caller, audio_s: float) -> None:
        """Take a recording's seconds of what the caller has a minute; to be called once it is decoded."""
        self._rates.count_audio(caller, audio_s)


def open_access(settings: Settings, api_key: str | None) -> Access:
    """The access that the settings ask for, beside the one key of SHOPTALK_API_KEY."""
    return Access(api_key, settings.keys_file)


def _refused(message: str, code: str) -> Problem:
    return Problem(401, message, code=code, headers={"WWW-Authenticate": "Bearer"})
