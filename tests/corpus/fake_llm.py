"""A language model for tests: it answers what it is asked by the prompt and the seed, rightly or as told."""

import random
from collections.abc import Callable, Mapping, Sequence

WORDS = (
    "apron barrel basket bell bench blanket bottle bridge broom bucket button candle carpet castle "
    "ceiling chain circle cloud corner cradle curtain desert drawer engine fence field finger forest "
    "fountain garden glove hammer harbor hat island jacket kettle ladder lantern leaf letter market "
    "meadow mirror mountain needle ocean orchard paper pebble pencil piano pillow pocket puddle railway "
    "ribbon river saddle sailor school shadow shelf shovel silver spoon station stone summer table "
    "thunder ticket tower tunnel valley village wagon wheel whistle window winter yard "
).split()


class FakeLlm:
    """Answers each kind of question; `wrong` may replace an answer, and `dies_after` so many it is interrupted."""

    name = "fake"

    def __init__(
        self,
        *,
        trade: str = "a coffee bar",
        kinds: Mapping[str, str] | None = None,
        wrong: Callable[[str, int], str | None] = lambda kind, seed: None,
        dies_after: int = 10**9,
    ) -> None:
        self.trade = trade
        self.kinds = kinds or {}
        self.wrong = wrong
        self.dies_after = dies_after
        self.asked: list[str] = []
        self.prompts: list[Sequence[Mapping[str, str]]] = []

    def complete(self, messages: Sequence[Mapping[str, str]], *, seed: int, max_tokens: int) -> str:
        if len(self.asked) >= self.dies_after:
            raise KeyboardInterrupt
        system, question = messages[0]["content"], messages[-1]["content"]
        kind = _kind_of(system)
        self.asked.append(kind)
        self.prompts.append(messages)
        told = self.wrong(kind, seed)
        return told if told is not None else self._right(kind, question, seed)

    def _right(self, kind: str, question: str, seed: int) -> str:
        if kind == "trade":
            return f"{self.trade}."
        if kind == "categories":
            return ", ".join(dict.fromkeys(self.kinds.values()))
        if kind == "placing":
            words = question.partition("Words:\n")[2].splitlines()
            return "\n".join(f"{word}: {self.kinds.get(word, 'thing')}" for word in words)
        if kind == "contexts":
            return "a customer asks for something\n2. a clerk thanks a customer\na clerk writes a note"
        return _sentences(question.rpartition("{")[2].partition("}")[0], seed)


def _kind_of(system: str) -> str:
    signs = {
        "place where": "trade",
        "into kinds that": "categories",
        "each word into": "placing",
        "speaks to": "contexts",
    }
    return next((kind for sign, kind in signs.items() if sign in system), "carriers")


def _sentences(slot: str, seed: int) -> str:
    """Five lines, of which three can be used."""
    rng = random.Random(seed)
    lines = []
    for number in range(1, 6):
        words = rng.sample(WORDS, 6)
        at = rng.randrange(1, 6)
        ends = [*words[:at], f"{{{slot}}}", *words[at:]]
        ends[0] = ends[0].capitalize()
        lines.append(f"{number}. {' '.join(ends)}.")
    lines[1] = "2. Nothing of the kind was here."
    lines[3] = f"4. {{{slot}}} and {{{slot}}} once more."
    return "\n".join(lines)
