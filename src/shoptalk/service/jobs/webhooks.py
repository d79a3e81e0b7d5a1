"""Signed news of jobs, in the form of Standard Webhooks (https://www.standardwebhooks.com): sent until they are taken.

The body is signed with HMAC-SHA256 under a secret that the receiver knows too. News may come twice, with the same
``webhook-id``, if the server dies between sending them and noting that they were taken.
"""

import base64
import binascii
import hmac
import logging
from collections.abc import Callable
from pathlib import Path

from shoptalk.core.errors import EncryptionKeyError
from shoptalk.service.jobs.ledger import Ledger
from shoptalk.service.jobs.records import Event
from shoptalk.service.jobs.targets import TargetError, Targets

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
RETRIES_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""How long to wait after each delivery that failed, as Standard Webhooks proposes; then the news are given up."""
GONE = 410
"""Whoever answers so wants no news any more."""

log = logging.getLogger(__name__)


def signature(secret: bytes, event_id: str, at_s: int, payload: bytes) -> str:
    """The header ``webhook-signature``."""
    digest = hmac.digest(secret, f"{event_id}.{at_s}.".encode() + payload, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def read_secret(path: Path) -> bytes:
    """The secret of a file; `EncryptionKeyError` if it holds none."""
    cure = f'write one with `echo "{PREFIX}$(openssl rand -base64 32)" > {path}`'
    try:
        text = path.read_text(encoding="ascii").strip()
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except OSError as error:
        raise EncryptionKeyError(f"{path}: {error.strerror}; {cure}") from None
    except (binascii.Error, UnicodeDecodeError):
        raise EncryptionKeyError(f"{path}: no secret in base64; {cure}") from None
    if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        message = f"a secret of {len(secret)} bytes; {LEAST_BYTES} to {MOST_BYTES} are needed"
        raise EncryptionKeyError(f"{path}: {message}: {cure}")
    return secret


class Courier:
    """Sends news that are due; methods block."""

    def __init__(self, ledger: Ledger, secret: bytes, targets: Targets, now_s: Callable[[], float]) -> None:
        self._ledger = ledger
        self._secret = secret
        self._targets = targets
        self._now_s = now_s

    def deliver(self) -> str:
        """Send the news that are due first: what came of it, ``taken``, ``refused`` or ``given_up``; empty for none."""
        event = self._ledger.claim_event()
        if event is None:
            return ""
        status = self._sent(event)
        if 200 <= status < 300:
            self._ledger.event_was_taken(event)
            return "taken"
        is_last = event.attempts > len(RETRIES_S) or status == GONE
        wait_s = None if is_last else RETRIES_S[event.attempts - 1]
        self._ledger.event_was_refused(event, wait_s)
        log.warning("webhook %s: not taken (status %d), attempt %d", event.id, status, event.attempts)
        return "given_up" if is_last else "refused"

    def _sent(self, event: Event) -> int:
        """The status of the answer; 0 for none."""
        at_s = int(self._now_s())
        headers = {
            "content-type": "application/json",
            "user-agent": "shoptalk",
            "webhook-id": event.id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": signature(self._secret, event.id, at_s, event.payload),
        }
        try:
            return self._targets.post(event.url, event.payload, headers)
        except (OSError, TargetError):
            return 0
