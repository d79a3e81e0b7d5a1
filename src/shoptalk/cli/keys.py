"""`shoptalk keys`: the API keys of the service."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shoptalk.cli.parsing import Commands

if TYPE_CHECKING:
    from shoptalk.service.access.keys import Key


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the parsers of the group."""
    parser = commands.add_parser("keys", help="API keys of the service: add, list, revoke")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = actions.add_parser("add", help="make a key; it is printed once, the file has only a hash of it")
    adding.add_argument("label", metavar="LABEL", help="whose key it is; for people")
    scopes = "transcribe,vocabularies,models, which it has without this option; also admin, metrics"
    adding.add_argument("--scopes", default="", metavar="SCOPES", help=scopes)
    adding.add_argument("--requests-per-minute", type=float, metavar="N", help="no limit without")
    adding.add_argument("--audio-per-minute", type=float, metavar="S", help="seconds of audio; no limit without")
    adding.add_argument("--concurrent", type=int, metavar="N", help="recordings at the same time; no limit without")
    adding.add_argument("--days", type=float, help="the key expires after so many; never without")
    agreed = "its owner agrees that recordings are kept, encrypted"
    adding.add_argument("--keep-audio", action="store_true", help=agreed)
    listing = actions.add_parser("list", help="ids, labels, scopes and limits; never the keys")
    revoking = actions.add_parser("revoke", help="refuse a key from now on")
    revoking.add_argument("id", metavar="ID", help="as `shoptalk keys list` shows it")
    for action, call in {adding: make, listing: show, revoking: revoke}.items():
        action.add_argument("--keys", required=True, metavar="FILE", help="the service's setting keys_file")
        action.set_defaults(call=call)


def make(parsed: argparse.Namespace) -> None:
    """Make a key and print it."""
    from shoptalk.service.access import keys
    from shoptalk.service.access.callers import Limits

    limits = Limits(parsed.requests_per_minute, parsed.audio_per_minute, parsed.concurrent)
    named = [scope.strip() for scope in parsed.scopes.split(",") if scope.strip()]
    key = keys.add(
        Path(parsed.keys),
        parsed.label,
        named or keys.USUAL_SCOPES,
        limits,
        now=datetime.now(UTC),
        days=parsed.days,
        keep_audio=parsed.keep_audio,
    )
    print(key)


def show(parsed: argparse.Namespace) -> None:
    """One line for each key."""
    from shoptalk.service.access import keys

    now = datetime.now(UTC)
    for key in keys.read(Path(parsed.keys)).values():
        print(f"{key.id}  {_state(key, now):18}  {','.join(key.scopes)}  {_limits(key)}  {key.label}")


def revoke(parsed: argparse.Namespace) -> None:
    """Mark a key as revoked."""
    from shoptalk.service.access import keys

    key = keys.revoke(Path(parsed.keys), parsed.id, now=datetime.now(UTC))
    print(f"{key.id}  revoked  {key.label}")


def _state(key: "Key", now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    word = "until" if key.expires_at > now else "expired"
    return f"{word} {key.expires_at:%Y-%m-%d}"


def _limits(key: "Key") -> str:
    limits = []
    if key.requests_per_minute is not None:
        limits.append(f"{key.requests_per_minute:g} requests/min")
    if key.audio_s_per_minute is not None:
        limits.append(f"{key.audio_s_per_minute:g} s audio/min")
    if key.concurrent is not None:
        limits.append(f"{key.concurrent} at the same time")
    return ", ".join(limits) or "no limits"
