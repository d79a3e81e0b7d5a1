"""Named lists of phrases, each key's own: on disk if the operator gives a folder, otherwise in memory.

The terms may be sensitive. No message repeats one, nor the name of a list; a phrase that is wrong is told by its place.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from shoptalk.core import files
from shoptalk.core.disk import FULL
from shoptalk.core.errors import BoostError, DiskFullError
from shoptalk.core.protocols import MAX_CHARACTERS, MAX_WEIGHT, Phrase
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SUFFIX = ".json"


class Vocabularies:
    """The vocabularies of all keys; methods may block for the disk, and may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.vocabularies_dir
        self._most = settings.vocabularies_per_key
        self._most_phrases = settings.vocabulary_phrases
        self._in_memory: dict[str, dict[str, tuple[Phrase, ...]]] = {}
        self._lock = Lock()

    def names(self, caller: str) -> list[str]:
        """The names of a caller's vocabularies, in order."""
        if self._folder is None:
            return sorted(self._in_memory.get(caller, {}))
        return sorted(path.stem for path in (self._folder / caller).glob(f"*{_SUFFIX}"))

    def get(self, caller: str, name: str) -> tuple[Phrase, ...]:
        """The phrases of a vocabulary; `Problem` 404 if the caller has none of this name."""
        if self._folder is None:
            known = self._in_memory.get(caller, {}).get(_checked(name))
        else:
            known = _stored(self._path(caller, name))
        if known is None:
            message = "this key has no vocabulary of that name; GET /v1/vocabularies lists those it has"
            raise Problem(404, message, code="vocabulary_not_found", param="vocabulary")
        return known

    def put(self, caller: str, name: str, content: object) -> tuple[Phrase, ...]:
        """Store a vocabulary in place of one that has its name; `Problem` 400 says what is wrong with its content.

        `content` is as of JSON: ``{"phrases": [...]}``, each a text or ``{"text": ..., "weight": ...}``.
        """
        _checked(name)
        phrases = self._read(content)
        with self._lock:
            names = self.names(caller)
            if name not in names and len(names) >= self._most:
                message = f"a key has {self._most} vocabularies at most; delete one first"
                raise Problem(400, message, code="too_many_vocabularies", param="name")
            if self._folder is None:
                self._in_memory.setdefault(caller, {})[name] = phrases
            else:
                _store(self._path(caller, name), phrases)
        return phrases

    def delete(self, caller: str, name: str) -> None:
        """Forget a vocabulary; `Problem` 404 if the caller has none of this name."""
        with self._lock:
            self.get(caller, name)
            if self._folder is None:
                del self._in_memory[caller][name]
            else:
                self._path(caller, name).unlink(missing_ok=True)

    def phrases(self, caller: str, names: Sequence[str]) -> tuple[Phrase, ...]:
        """The phrases of several vocabularies of a caller, for a request that names them; `Problem` 404 as of `get`."""
        return tuple(phrase for name in names for phrase in self.get(caller, name))

    def _path(self, caller: str, name: str) -> Path:
        if self._folder is None:
            raise ValueError("vocabularies are kept in memory")
        return self._folder / caller / f"{_checked(name)}{_SUFFIX}"

    def _read(self, content: object) -> tuple[Phrase, ...]:
        listed = content.get("phrases") if isinstance(content, Mapping) else None
        if not isinstance(listed, list) or not listed:
            raise _wrong('send {"phrases": [...]}, each a text or {"text": "...", "weight": 1.0}')
        if len(listed) > self._most_phrases:
            raise _wrong(f"{len(listed)} phrases are too many; a vocabulary has {self._most_phrases} at most")
        return tuple(_phrase(number, phrase) for number, phrase in enumerate(listed, start=1))


def as_json(phrases: Sequence[Phrase]) -> list[dict[str, Any]]:
    """The phrases as they are answered and stored."""
    return [{"text": phrase.text, "weight": phrase.weight} for phrase in phrases]


def _phrase(number: int, content: object) -> Phrase:
    """A phrase of a list; the engine's rules, told without the text."""
    told = content if isinstance(content, Mapping) else {"text": content}
    text, weight = told.get("text"), told.get("weight", 1.0)
    if not isinstance(text, str) or set(told) - {"text", "weight"}:
        raise _wrong(f'phrase {number} is no text and no {{"text": "...", "weight": 1.0}}')
    if not isinstance(weight, int | float) or isinstance(weight, bool):
        raise _wrong(f"phrase {number}: its weight is no number")
    try:
        text.encode()  # JSON may hold halves of characters, which could not be written again
        return Phrase(" ".join(text.split()), float(weight))
    except (BoostError, OverflowError, UnicodeEncodeError):
        rules = f"1 to {MAX_CHARACTERS} characters, and a weight above 0, {MAX_WEIGHT:g} at most"
        raise _wrong(f"phrase {number} cannot be boosted; a phrase has {rules}") from None


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = "a name has 1 to 64 characters: small letters, digits, - and _, and starts with a letter or digit"
        raise Problem(400, message, code="invalid_value", param="name")
    return name


def _stored(path: Path) -> tuple[Phrase, ...] | None:
    """The phrases of a file; None if there is no such file."""
    try:
        content = json.loads(path.read_bytes())
        return tuple(Phrase(entry["text"], entry["weight"]) for entry in content["phrases"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        message = "this vocabulary cannot be read any more; send it again"
        raise Problem(500, message, code="vocabulary_unreadable", param="vocabulary") from None


def _store(path: Path, phrases: Sequence[Phrase]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_text(path, json.dumps({"phrases": as_json(phrases)}, ensure_ascii=False))
    except (DiskFullError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL:
            message = "the server cannot write where it stores vocabularies; whoever runs it must mend that"
            raise Problem(503, message, code="storage_failed") from None
        message = "the server has no space left to store it; whoever runs it must free some"
        raise Problem(503, message, code="storage_full") from None


def _wrong(message: str) -> Problem:
    return Problem(400, message, code="invalid_value", param="phrases")
