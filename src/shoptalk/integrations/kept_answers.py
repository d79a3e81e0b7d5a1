"""Answers that were paid for, kept in a file: what was asked before is not asked again, and what was spent is counted.

A line of the file is a question's digest with the answer and its tokens. Several threads may use it.
"""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FORGOTTEN = "forgotten"
"""`id` of a line behind which the answers before it are not given again."""


class Answer(NamedTuple):
    """One answer of a model, whether it can be used or not."""

    content: str | None
    finish: str
    """Why it ended: ``stop``, or ``length`` for one that was cut."""
    prompt_tokens: int
    answer_tokens: int

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.answer_tokens


class KeptAnswers:
    """The answers of a file; without one, answers are only counted."""

    def __init__(self, path: Path | None = None) -> None:
        """A line that was torn by a kill is cut; the rest is kept."""
        self._path = path
        self._lock = threading.Lock()
        self._by_key: dict[str, Answer] = {}
        self._reserved = 0
        self.asked = 0
        """Answers of the file and of this process."""
        self.spent = 0
        """Their tokens, asked and answered."""
        if path and path.is_file():
            self._read(path)

    def get(self, key: str) -> Answer | None:
        """The answer to a question that was asked before."""
        with self._lock:
            return self._by_key.get(key)

    def reserve(self, tokens: int, *, budget: int) -> bool:
        """Set tokens aside for a request, if they are still in the budget; 0 is no budget."""
        with self._lock:
            if budget and self.spent + self._reserved + tokens > budget:
                return False
            self._reserved += tokens
            return True

    def release(self, tokens: int) -> None:
        """Give back what `reserve` set aside, whether there was an answer or not."""
        with self._lock:
            self._reserved -= tokens

    def add(self, key: str, answer: Answer) -> None:
        """Keep an answer, on disk before it is used."""
        line = json.dumps({"id": key, **answer._asdict()}, ensure_ascii=False)
        with self._lock:
            self._count(key, answer)
            self._append(line)

    def forget(self) -> None:
        """Give no answer of before again, for none of them was of use; what was spent stays counted."""
        with self._lock:
            self._by_key.clear()
            self._append(json.dumps({"id": FORGOTTEN}))

    def _append(self, line: str) -> None:
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            path.write_bytes(whole)
        for line in whole.decode("utf-8").splitlines():
            record = json.loads(line)
            key = record.pop("id")
            if key == FORGOTTEN:
                self._by_key.clear()
            else:
                self._count(key, Answer(**record))

    def _count(self, key: str, answer: Answer) -> None:
        if self._path:
            self._by_key[key] = answer
        self.asked += 1
        self.spent += answer.tokens


def key_of(model: str, messages: Sequence[Mapping[str, str]], *, seed: int, parameters: Mapping[str, Any]) -> str:
    """The digest of a question: the same for the same model, messages, seed and parameters."""
    question = json.dumps([model, [dict(message) for message in messages], seed, dict(parameters)], sort_keys=True)
    return hashlib.sha256(question.encode()).hexdigest()[:32]
