"""What is known of a request while it is served: the one source of metrics, spans and audit log.

Nothing that was spoken is in it, nor anything that a client may write freely: no text, no phrase, no file name, and no
path.
"""

from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from shoptalk.core import review
from shoptalk.core.records import Recognition

OTHER = "other"
"""Stands for every route, method and model that the service does not have."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other method counts as `OTHER`: it may be any word that a client writes."""


@dataclass
class Account:
    """Of one request; whoever serves it fills in what it learns."""

    request_id: str = ""
    trace_id: str = ""
    method: str = ""
    route: str = OTHER
    """The path with its variable parts named, such as ``/v1/models/{model}``."""
    address: str = ""
    """Of the client, as the server sees it."""
    caller: str = ""
    """Id of the API key; empty where none was told."""
    model: str = ""
    """A name that the service has; empty as long as none is known."""
    status: int = 0
    code: str = ""
    """Of the error that was answered; empty if there was none."""
    seconds: float = 0.0
    """From the request's first byte to the answer's last one."""
    first_byte_s: float | None = None
    """From the request's first byte to the first byte of the answer's body."""
    audio_s: float = 0.0
    words: int = 0
    unsure_words: int = 0
    """Of a confidence below `review.CONFIDENCE`."""
    gaps: int = 0
    subject: str = ""
    """Request id that a correction or a deletion is about."""
    kept: list[str] = field(default_factory=list)
    """Names of the files in which its recordings were kept."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds of each stage."""

    def recognised(self, model: str, audio_s: float, recognition: Recognition) -> None:
        """Note what was recognised, in numbers alone; channels of one recording may be noted one after the other."""
        self.model = model
        self.audio_s += audio_s
        self.words += len(recognition.words)
        confidences = [word.confidence for word in recognition.words if word.confidence is not None]
        self.unsure_words += sum(confidence < review.CONFIDENCE for confidence in confidences)
        self.gaps += len(recognition.gaps)


def account_of(request: HTTPConnection) -> Account:
    """The account of a request; one that nobody reads where the app is not watched."""
    state = request.scope.setdefault("state", {})
    account: Account = state.setdefault("account", Account())
    return account
