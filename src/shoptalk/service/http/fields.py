"""The fields of a transcription request: OpenAI's, ours, and what of them cannot be had.

A list may come as ``name[]``, ``name[0]``, ``name`` several times, or as JSON: clients differ. What changes the result
and cannot be honoured is refused by name. `IGNORED` names what is accepted without effect; an unknown field is told in
a warning, or refused under `Settings.strict_fields`.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shoptalk.core.protocols import MAX_ALTERNATIVES
from shoptalk.service.http.answers import FORMS, Asked
from shoptalk.service.problems import Problem

ENGLISH = frozenset({"", "auto", "en", "eng", "english"})
"""Languages that this model understands, and what clients send where they do not know one."""
TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"", "false", "0", "no", "off"})
GRANULARITIES = ("word", "segment")
STRUCTURED = ("json", "verbose_json", "diarized_json")
"""Forms that can carry more than the text."""
STREAMED = ("json", "text", "verbose_json", "diarized_json")
"""Forms that ``stream=true`` takes: its events are of one form, to which verbose_json adds times (ours)."""
IGNORED = frozenset({"temperature", "chunking_strategy"})
"""Checked, and without effect: decoding is no sampling, and the engine chooses its own windows."""
SPEAKERS = ("known_speaker_names", "known_speaker_references")
LISTS = frozenset({"keywords", "languages", "include", "timestamp_granularities", "vocabulary", "channel_names"})
SINGLE = frozenset(
    {
        "model",
        "language",
        "prompt",
        "response_format",
        "temperature",
        "stream",
        "chunking_strategy",
        "channels",
        "review",
        "alternatives",
    }
)
MAX_TOLD = 5
"""Unknown fields that are named."""
MAX_NAME = 60
"""Characters of a channel's name."""
TOLD = 40
"""Characters of an unknown field's name that a warning repeats."""
_INDEXED = re.compile(r"([^\[\]]+)\[(\d*)\]")
_WITHIN = re.compile(r"([^\[\]]+)\[([a-z_]+)\]")

Items = Sequence[tuple[str, str]]
"""Names and values of a form, in the order in which they came."""


@dataclass(frozen=True)
class Wanted:
    """What a client asks for, beside its audio."""

    asked: Asked = Asked()
    """Of the answer."""
    model: str | None = None
    """As it was sent; None: the default model."""
    stream: bool = False
    """Answer with events while the recording is transcribed."""
    keywords: tuple[str, ...] = ()
    prompt: str = ""
    vocabularies: tuple[str, ...] = ()
    """Names of lists of phrases that the caller stored."""
    warnings: tuple[str, ...] = ()
    """What the client should know; nothing of it was spoken."""


def read(items: Items, *, is_strict: bool = False) -> Wanted:
    """The fields as they are meant; `Problem` 400 names the first that is wrong."""
    values, lists, within, unknown = _sorted(items)
    if unknown and is_strict:
        raise Problem(400, f"`{_shown(unknown[0])}` is unknown; leave it out", code="unknown_field")
    _refuse_speakers(lists)
    _check_temperature(values.get("temperature") or "0")
    _check_chunking(values.get("chunking_strategy", ""), within)
    for name, languages in (("language", [values.get("language", "")]), ("languages", lists.get("languages", []))):
        check_languages(name, languages)
    form = values.get("response_format") or "json"
    is_separate = _is_separate(values.get("channels") or "mix")
    _check_form(form, is_separate=is_separate)
    asked = Asked(
        form=form,
        granularities=_granularities(lists.get("timestamp_granularities", []), form),
        logprobs=_logprobs(lists.get("include", [])),
        alternatives=_count(values, "alternatives", MAX_ALTERNATIVES),
        review=_flag(values, "review"),
        each_channel=is_separate,
        channel_names=_names(lists.get("channel_names", [])),
    )
    stream = _flag(values, "stream")
    _check_together(asked, stream=stream)
    return Wanted(
        asked,
        model=values.get("model") or None,
        stream=stream,
        keywords=tuple(lists.get("keywords", [])),
        prompt=values.get("prompt", ""),
        vocabularies=tuple(dict.fromkeys(lists.get("vocabulary", []))),
        warnings=tuple(f"the field {_shown(name)!r} is unknown and has no effect" for name in unknown[:MAX_TOLD]),
    )


def _sorted(items: Items) -> tuple[dict[str, str], dict[str, list[str]], dict[str, str], list[str]]:
    """Single values, lists, the keys within `chunking_strategy`, and the names of unknown fields.

    Of a single value that comes several times the last one counts, as in every form.
    """
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    within: dict[str, str] = {}
    unknown: list[str] = []
    for name, value in items:
        indexed, inner = _INDEXED.fullmatch(name), _WITHIN.fullmatch(name)
        base = indexed.group(1) if indexed else name
        if base in LISTS or base in SPEAKERS:
            lists.setdefault(base, []).extend(_listed(value))
        elif name in SINGLE:
            values[name] = value.strip() if name != "prompt" else value
        elif inner and inner.group(1) == "chunking_strategy":
            within[inner.group(2)] = value
        elif name not in unknown:
            unknown.append(name)
    return values, lists, within, unknown


def _listed(value: str) -> list[str]:
    """The items of a list that came as JSON, or the value as its only item; an empty one is none."""
    if value.lstrip().startswith("["):
        try:
            items = json.loads(value)
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return items
    return [value] if value.strip() else []


def _check_form(form: str, *, is_separate: bool) -> None:
    if form == "diarized_json" and not is_separate:
        cure = "send a recording with a channel for each and `channels=each`"
        message = f"'diarized_json' is not offered: speakers of one channel are not told apart; {cure}"
        raise _wrong("response_format", message, code="unsupported_value")
    if form not in FORMS:
        raise _wrong("response_format", f"{_shown(form)!r} is unknown; choose from {', '.join(FORMS)}")


def check_languages(name: str, languages: Sequence[str]) -> None:
    """Where several may be spoken, English must be among them."""
    spoken = [language.strip().lower().replace("_", "-").partition("-")[0] for language in languages]
    if spoken and not ENGLISH.intersection(spoken):
        message = "this model understands English only; send 'en', or leave the field out"
        raise Problem(400, f"`{name}`: {message}", code="unsupported_language", param=name)


def _granularities(asked: Sequence[str], form: str) -> tuple[str, ...]:
    name = "timestamp_granularities"
    if not set(asked) <= set(GRANULARITIES):
        raise _wrong(name, f"is {' or '.join(GRANULARITIES)}")
    if "word" in asked and form != "verbose_json":  # some clients send `segment`, the default, with every form
        raise _wrong(name, "with 'word' needs response_format verbose_json")
    return tuple(dict.fromkeys(asked)) or ("segment",)


def _logprobs(include: Sequence[str]) -> bool:
    for value in include:
        if value != "logprobs":
            raise _wrong("include", f"{_shown(value)!r} is unknown; there is 'logprobs'")
    return bool(include)


def _is_separate(channels: str) -> bool:
    if channels not in ("mix", "each"):
        raise _wrong(
            "channels", f"{_shown(channels)!r} is unknown; 'mix' mixes them, 'each' transcribes each for itself"
        )
    return channels == "each"


def _names(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if len(name) > MAX_NAME or not name.isprintable():
            raise _wrong("channel_names", f"are printable texts of {MAX_NAME} characters at most")
    return tuple(name.strip() for name in names)


def _flag(values: dict[str, str], name: str) -> bool:
    value = values.get(name, "").lower()
    if value not in TRUE | FALSE:
        raise _wrong(name, "is 'true' or 'false'")
    return value in TRUE


def _count(values: dict[str, str], name: str, most: int) -> int:
    value = values.get(name) or "0"
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) <= most):
        raise _wrong(name, f"is a whole number from 0 to {most}")
    return int(value)


def _check_temperature(value: str) -> None:
    if not _is_between(value, 0.0, 1.0):
        raise _wrong("temperature", "is a number from 0 to 1")


def _check_chunking(value: str, within: dict[str, str]) -> None:
    """`auto`, or the settings of a VAD, as JSON or a field each. OpenAI's are known, and none has an effect."""
    name = "chunking_strategy"
    settings: dict[str, Any] = dict(within)
    if value.startswith("{"):
        try:
            settings |= json.loads(value)
        except (ValueError, RecursionError):
            raise _wrong(name, "is no JSON") from None
    elif value not in ("", "auto", "server_vad", "null"):
        raise _wrong(name, f"{_shown(value)!r} is unknown; leave it out, or send 'auto'")
    checks: dict[str, Callable[[str], bool]] = {
        "type": lambda told: told == "server_vad",
        "threshold": lambda told: _is_between(told, 0.0, 1.0),
        "prefix_padding_ms": lambda told: _is_between(told, 0.0, 1e6),
        "silence_duration_ms": lambda told: _is_between(told, 0.0, 1e6),
    }
    for key, told in settings.items():
        if key not in checks or not checks[key](str(told)):
            raise _wrong(name, f"{_shown(key)!r} is not as OpenAI describes it")


def _refuse_speakers(lists: dict[str, list[str]]) -> None:
    for name in SPEAKERS:
        if lists.get(name):
            cure = "send a recording with a channel for each, `channels=each` and `channel_names[]`"
            message = f"is not offered: speakers of one channel are not told apart; {cure}"
            raise _wrong(name, message, code="unsupported_value")


def _check_together(asked: Asked, *, stream: bool) -> None:
    """What a form of the answer has no place for."""
    if stream and asked.form not in STREAMED:
        message = f"gives events of text; leave `response_format` {asked.form} out"
        raise _wrong("stream", message, code="unsupported_value")
    if asked.logprobs and asked.form != "json" and not stream:
        raise _wrong("include", "with 'logprobs' needs response_format json, as OpenAI describes it")
    if asked.channel_names and not asked.each_channel:
        raise _wrong("channel_names", "needs `channels=each`")
    wanted = {"alternatives": bool(asked.alternatives), "review": asked.review}
    for name, is_wanted in wanted.items():
        if is_wanted and asked.form not in STRUCTURED and not stream:
            raise _wrong(name, f"needs response_format {' or '.join(STRUCTURED)}")


def _is_between(value: str, low: float, high: float) -> bool:
    try:
        return low <= float(value) <= high
    except ValueError:
        return False


def _shown(text: str) -> str:
    """So much of a client's own word that it knows its mistake, and that a header can carry it."""
    plain = "".join(character if " " <= character <= "~" else "?" for character in text)
    return plain[:TOLD] + ("..." if len(plain) > TOLD else "")


def _wrong(name: str, message: str, code: str = "invalid_value") -> Problem:
    return Problem(400, f"`{name}` {message}", code=code, param=name)
