"""Telling callers by their API keys; what a request must have before anything else of it is looked at."""

import hmac
from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request

from shoptalk.core.config import check_api_key
from shoptalk.service.access.callers import ANONYMOUS, SCOPES, Caller, key_of
from shoptalk.service.problems import Problem


class Access:
    """Who may use the service; with neither a key nor a file of keys, everyone may."""

    def __init__(self, api_key: str | None = None) -> None:
        """`api_key` is one key with all scopes (SHOPTALK_API_KEY); `ApiKeyError` if no request could carry it."""
        check_api_key(api_key or "", "the API key")
        self._api_key = api_key or None

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for; such a service belongs on loopback addresses alone."""
        return self._api_key is None

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """Who sends a request with these headers (names in lower case); `Problem` 401 if the key is missing or wrong.

        `ANONYMOUS` where no key is asked for.
        """
        if self.is_open:
            return ANONYMOUS
        given = key_of(headers)
        if self._api_key is not None and hmac.compare_digest(given.encode(), self._api_key.encode()):
            return Caller("default", SCOPES)
        message = "the API key is missing or wrong; send it as `Authorization: Bearer KEY`"
        raise Problem(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    def require(self, scope: str) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency for FastAPI: the caller, who has the `scope`; `Problem` 401 or 403 otherwise.

        Use it as ``caller: Annotated[Caller, Depends(access.require("transcribe"))]``, or in ``dependencies=[...]``.
        The caller also stands in ``request.state.caller``.
        """

        async def caller_with_scope(request: Request) -> Caller:
            caller = self.identify(request.headers)
            if scope not in caller.scopes:
                message = f"this API key lacks the scope {scope!r}; ask whoever runs the server for one that has it"
                raise Problem(403, message, code="insufficient_scope")
            request.state.caller = caller
            return caller

        return caller_with_scope
