"""Telling callers by their API keys; what a request must have before anything else of it is looked at."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime

from fastapi import Request
from starlette.requests import HTTPConnection

from shoptalk.core.config import check_api_key
from shoptalk.core.protocols import Phrase
from shoptalk.core.records import Recognition, Samples
from shoptalk.service.access.audit import Audit
from shoptalk.service.access.callers import ANONYMOUS, SCOPES, Caller, Scope, key_of
from shoptalk.service.access.kept import SWEEP_S, open_keeper
from shoptalk.service.access.keyring import KeyRing
from shoptalk.service.access.rates import Rates
from shoptalk.service.access.vocabularies import Vocabularies
from shoptalk.service.account import Account, account_of
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

SINGLE_KEY = Caller("default", SCOPES)
"""Whoever has the one key of SHOPTALK_API_KEY: no limits, all scopes."""


def _now() -> datetime:
    return datetime.now(UTC)


class Access:
    """Who may use the service, how much of it, and what is noted and kept for them."""

    def __init__(
        self,
        api_key: str | None = None,
        settings: Settings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """`api_key` is one key with all scopes (SHOPTALK_API_KEY), beside those of `settings.keys_file`.

        With neither, everyone may use the service. `ApiKeyError` for a key that no request could carry, and for a file
        of keys that cannot be read; `TelemetryError` and `KeptAudioError` for an audit log and a folder of recordings
        that cannot be had. `clock` gives seconds and never goes back; `now` is compared with the time at which keys
        expire.
        """
        settings = settings or Settings()
        check_api_key(api_key or "", "the API key")
        self._api_key = api_key or None
        self._ring = KeyRing(settings.keys_file, clock) if settings.keys_file is not None else None
        self._now = now
        self._rates = Rates(clock)
        self.vocabularies = Vocabularies(settings)
        self.keeper = open_keeper(settings, now)
        """Of recordings; None where none are kept."""
        self.on_answered: Callable[[Account], None] | None = None
        """Gets the account of each recording that was transcribed for a caller."""
        self._audit = Audit(settings.audit_file, settings, now) if settings.audit_file is not None else None
        self._needs_audit = settings.audit_required

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

    def require(self, *scopes: Scope) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency for FastAPI: the caller, who has one of the scopes and a request left; `Problem` 401, 403, 429.

        Use it as ``caller: Annotated[Caller, Depends(access.require("transcribe"))]``, or in ``dependencies=[...]``.
        The caller also stands in ``request.state.caller``.
        """

        async def caller_with_scope(request: Request) -> Caller:
            return self.admit(request, *scopes)

        return caller_with_scope

    def admit(self, connection: HTTPConnection, *scopes: Scope) -> Caller:
        """The caller of a request or a WebSocket, who has one of the scopes and a request left.

        `Problem` 401, 403 or 429.
        """
        caller = self.identify(connection.headers)
        connection.state.caller = caller
        account_of(connection).caller = caller.id
        if not caller.scopes.intersection(scopes):
            named = " or ".join(map(repr, scopes))
            message = f"this API key lacks the scope {named}; ask whoever runs the server for one that has it"
            raise Problem(403, message, code="insufficient_scope")
        self._rates.count_request(caller)
        return caller

    def recording(self, caller: Caller) -> AbstractContextManager[None]:
        """Holds one of the recordings that the caller may have at the same time; `Problem` 429 if none is left.

        Enter it before the upload is read, leave it after the answer.
        """
        return self._rates.recording(caller)

    def count_audio(self, caller: Caller, audio_s: float) -> None:
        """Take a recording's seconds of what the caller has a minute; to be called once it is decoded."""
        self._rates.count_audio(caller, audio_s)

    def audio_wait_s(self, caller: Caller) -> float:
        """Seconds until the caller has audio left again; 0 if it has some."""
        return self._rates.audio_wait_s(caller)

    # ---- what belongs to a caller

    async def phrases(self, caller: Caller, names: Sequence[str]) -> tuple[Phrase, ...]:
        """The phrases of the caller's vocabularies with these names; `Problem` 404 if one is not there."""
        return await asyncio.to_thread(self.vocabularies.phrases, caller.id, names) if names else ()

    def keeps(self, caller: Caller) -> bool:
        """Whether the service keeps recordings, and the caller agreed."""
        return self.keeper is not None and caller.keeps_audio

    async def keep(self, caller: Caller, account: Account, samples_T: Samples, recognition: Recognition) -> None:
        """Keep a recording and its transcript, encrypted, if the service is set to and the caller agreed."""
        if self.keeper is not None and self.keeps(caller):
            names = account.request_id, account.model
            name = await asyncio.to_thread(self.keeper.keep, caller, *names, samples_T, recognition)
            account.kept += [name] if name else []

    async def unkeep(self, account: Account) -> None:
        """Delete what `keep` kept, because nobody gets it: a request that was deleted meanwhile, or done twice."""
        if self.keeper is not None:
            for name in account.kept:
                await asyncio.to_thread(self.keeper.delete, name)
            account.kept.clear()

    def answered(self, account: Account) -> None:
        """Note that a caller gets what was recognised, so that it can correct it; after `keep`, and before the answer.

        It returns at once.
        """
        if self.on_answered is not None:
            self.on_answered(account)

    # ---- the audit log

    def note(self, account: Account) -> None:
        """Write a request that was answered into the audit log, if there is one; returns at once."""
        if self._audit is not None:
            self._audit.write(account)

    @property
    def audit_is_failing(self) -> bool:
        """Whether there is an audit log that cannot be written now."""
        return self._audit is not None and self._audit.is_failing

    @property
    def audit_lost(self) -> int:
        """Lines that the audit log lost."""
        return self._audit.lost if self._audit is not None else 0

    @property
    def is_ready(self) -> bool:
        """False only while the audit log cannot be written and the settings require it."""
        return not (self._needs_audit and self.audit_is_failing)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Around the life of the service: deletes kept recordings when they expire, and ends the audit log."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            if self._audit is not None:
                await asyncio.to_thread(self._audit.close)

    async def _sweep(self) -> None:
        while self.keeper is not None:
            await asyncio.to_thread(self.keeper.sweep)
            await asyncio.sleep(SWEEP_S)


def _refused(message: str, code: str) -> Problem:
    return Problem(401, message, code=code, headers={"WWW-Authenticate": "Bearer"})
