"""Who sends a request, and what an API key allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["transcribe", "vocabularies", "models", "admin", "metrics", "jobs"]
"""What an API key can be good for.

transcribe: recordings; vocabularies: the key's own lists of phrases; models: which models there are; admin: what
changes the service, such as swapping a model; metrics: the figures for Prometheus; jobs: many recordings at once.
"""
SCOPES = frozenset(get_args(Scope))
SUBPROTOCOL = "openai-insecure-api-key."
"""Before the key in the subprotocols of a WebSocket, the one header that a browser's script can choose."""


@dataclass(frozen=True)
class Limits:
    """What a caller may use; None for no limit."""

    requests_per_minute: float | None = None
    audio_s_per_minute: float | None = None
    concurrent: int | None = None
    """Recordings at the same time."""


@dataclass(frozen=True)
class Caller:
    """Who sends a request: the id of the API key, and what that key allows."""

    id: str
    scopes: frozenset[str]
    limits: Limits = Limits()
    keeps_audio: bool = False
    """Whether the key's owner agreed that recordings are kept, encrypted, where the service is set to keep them."""


ANONYMOUS = Caller("anonymous", SCOPES)
"""Whoever sends a request to a service that asks for no key."""


def key_of(headers: Mapping[str, str]) -> str:
    """The API key that a request carries, empty if it has none; names of `headers` are in lower case.

    It stands in ``Authorization: Bearer KEY``, or for a WebSocket of a browser in ``Sec-WebSocket-Protocol`` as
    ``openai-insecure-api-key.KEY`` among the names there.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    for name in headers.get("sec-websocket-protocol", "").split(","):
        if name.strip().startswith(SUBPROTOCOL):
            return name.strip().removeprefix(SUBPROTOCOL)
    return ""
