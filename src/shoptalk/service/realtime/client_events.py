"""What a client of `/v1/realtime` may send, read from its JSON; whatever else comes is an event of its own, `Wrong`."""

import json
from dataclasses import dataclass

from shoptalk.service.problems import Problem
from shoptalk.service.realtime import configuration
from shoptalk.service.realtime.formats import decode_base64

MAX_ID = 512
"""Characters of an `event_id` that an error repeats."""
MAX_TYPE = 60
"""Characters of an unknown type that an error repeats."""


@dataclass(frozen=True)
class Append:
    """Audio goes on."""

    content: bytes


@dataclass(frozen=True)
class Commit:
    """The audio so far is an item."""

    event_id: str | None = None


@dataclass(frozen=True)
class Clear:
    """The audio so far is forgotten."""


@dataclass(frozen=True)
class Update:
    """The session is set otherwise."""

    session: object
    event_id: str | None = None
    is_old: bool = False
    """Whether it came as `transcription_session.update`, the name before `session.update`."""


@dataclass(frozen=True)
class Wrong:
    """Nothing that can be done."""

    problem: Problem
    event_id: str | None = None


ClientEvent = Append | Commit | Clear | Update | Wrong
KNOWN = ("session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear")


def read(message: str | bytes) -> ClientEvent:
    """The event of a message; of a large one it takes a while, so call it in a thread."""
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        return Wrong(Problem(400, "the message is no JSON", code="invalid_json"))
    if not isinstance(content, dict):
        return Wrong(Problem(400, "the message is no JSON object", code="invalid_json"))
    event_id = content.get("event_id")
    event_id = event_id[:MAX_ID] if isinstance(event_id, str) else None
    try:
        return _of_type(content, event_id)
    except Problem as problem:
        return Wrong(problem, event_id)


def _of_type(content: dict[str, object], event_id: str | None) -> ClientEvent:
    match content.get("type"):
        case "input_audio_buffer.append":
            return Append(decode_base64(content.get("audio")))
        case "input_audio_buffer.commit":
            return Commit(event_id)
        case "input_audio_buffer.clear":
            return Clear()
        case "session.update":
            return Update(content.get("session"), event_id)
        case "transcription_session.update":
            return Update(configuration.of_old_form(content.get("session")), event_id, is_old=True)
        case str(other):
            known = ", ".join(KNOWN)
            message = f"there is no event {other[:MAX_TYPE]!r} in a transcription session; there is {known}"
            raise Problem(400, message, code="invalid_value", param="type")
        case _:
            raise Problem(400, "`type` is missing", code="missing_required_parameter", param="type")
