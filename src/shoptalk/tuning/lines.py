"""Every line of the manifests is checked before training: its place in the recording, its length, its text.

A text with a character that the tokenizer lacks would train on "⁇". Where there is an equivalent it is written
instead; texts that can be written stay as they are.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from shoptalk.core.errors import ManifestError
from shoptalk.core.examples import listed, numbered_manifest
from shoptalk.core.recordings import problem_of_audio

PHRASES = {
    "µg": "mcg", "μg": "mcg", "°C": " degrees Celsius", "°F": " degrees Fahrenheit",
}  # fmt: skip
"""What is folded before its characters are."""
EQUIVALENTS: dict[str, tuple[str, ...]] = {
    "‘": ("'", ""), "’": ("'", ""), "‚": ("'", ""), "ʼ": ("'", ""), "′": ("'", ""), "`": ("'", ""), "'": ("",),
    "“": ('"', ""), "”": ('"', ""), "„": ('"', ""), "«": ('"', ""), "»": ('"', ""), "″": ('"', ""), '"': ("",),
    "‐": ("-", " "), "‑": ("-", " "), "‒": ("-", " "), "–": ("-", " "), "—": (" - ", " "), "―": (" - ", " "),
    "−": ("-", " minus "), "-": (" ",), "…": ("...", " "), "⁄": ("/",),
    "(": (" ",), ")": (" ",), "[": ("(", " "), "]": (")", " "), "{": ("(", " "), "}": (")", " "),
    ".": ("",), ",": ("",), "?": ("",), "!": ("",), ";": (",", ""), ":": (",", ""), "¿": ("",), "¡": ("",),
    "µ": ("micro",), "μ": ("micro",), "°": (" degrees ",), "×": ("x",), "÷": (" divided by ",),
    "½": (" 1/2 ", " half "), "¼": (" 1/4 ", " a quarter "), "¾": (" 3/4 ", " three quarters "),
    "⅓": (" 1/3 ", " a third "), "⅔": (" 2/3 ", " two thirds "),
    "≥": (" greater than or equal to ",), "≤": (" less than or equal to ",), "<": (" less than ",),
    ">": (" greater than ",), "=": (" equals ",), "±": (" plus or minus ",), "≈": (" about ",), "~": (" about ",),
    "+": (" plus ",), "%": (" percent ",), "&": (" and ",), "€": (" euros ",), "£": (" pounds ",), "$": (" dollars ",),
    "α": ("alpha",), "β": ("beta",), "γ": ("gamma",), "δ": ("delta",), "κ": ("kappa",), "λ": ("lambda",),
    "ω": ("omega",), "Δ": ("delta",), "Ω": (" ohms ",),
    "ß": ("ss",), "æ": ("ae",), "œ": ("oe",), "ø": ("o",), "ł": ("l",), "đ": ("d",), "Æ": ("Ae",), "Œ": ("Oe",),
    "Ø": ("O",), "Ł": ("L",), "Đ": ("D",), "™": ("",), "®": ("",), "©": ("",),
}  # fmt: skip
"""What is written for a character, the best first; an empty text leaves it out."""


class Spelling:
    """Texts as a tokenizer can write them."""

    def __init__(self, tokenize: Callable[[str], list[int]], *, unknown: int):
        self._tokenize = tokenize
        self._unknown = unknown
        self._known: dict[str, bool] = {}

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, folded if need be; `ManifestError` if it cannot be written."""
        written, lacking = self.fold(text)
        if lacking:
            raise ManifestError(f"{text!r}: the tokenizer cannot write {_shown(lacking)}; spell it in other characters")
        return self._tokenize(written)

    def fold(self, text: str) -> tuple[str, str]:
        """The text as it can be written, and the characters without an equivalent, which are left out of it."""
        if self._can_write(text):
            return text, ""
        text = unicodedata.normalize("NFC", text)
        for phrase, spelled in PHRASES.items():
            if not self._can_write(phrase):
                text = text.replace(phrase, spelled)
        parts, lacking = [], []
        for character in text:
            part = self._folded(character)
            parts.append(part or "")
            if part is None and character not in lacking:
                lacking.append(character)
        written = " ".join("".join(parts).split())
        if not lacking and not self._can_write(written):
            lacking = sorted({character for character in written if not character.isascii()} or set(written))
        return written, "".join(lacking)

    def _folded(self, character: str) -> str | None:
        """A character, or the first equivalent of it that can be written; None if there is none."""
        plain = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
        is_invisible = unicodedata.category(character) in ("Cf", "Cc")
        candidates = (character, *EQUIVALENTS.get(character, ()), plain or character, plain.lower() or character)
        writable = (candidate for candidate in candidates if self._known_character(candidate))
        return "" if is_invisible else next(writable, None)

    def _known_character(self, character: str) -> bool:
        if character not in self._known:
            self._known[character] = self._can_write(character)
        return self._known[character]

    def _can_write(self, text: str) -> bool:
        return self._unknown not in self._tokenize(text)


def check(manifests: Iterable[Path], *, shortest_s: float, spelling: Spelling, say: Callable[[str], object]) -> None:
    """`ManifestError` with the lines that cannot be used, and why; folded and empty texts are counted and told."""
    for path in manifests:
        problems: list[str] = []
        folded: list[str] = []
        wordless: list[int] = []
        lengths: dict[Path, float] = {}
        number = 0
        for number, example in numbered_manifest(path):
            if problem := problem_of_audio(example, shortest_s, lengths):
                problems.append(f"line {number}: {problem}")
            written, lacking = spelling.fold(example.text)
            if lacking:
                problems.append(f"line {number}: the tokenizer cannot write {_shown(lacking)}; spell it otherwise")
            elif written != example.text:
                folded.append(f"line {number}: {written!r}")
            if not example.text.strip() and not example.wordless:
                wordless.append(number)
        if problems:
            raise ManifestError(f"{path}: {len(problems)} faults; correct or remove these lines:\n{listed(problems)}")
        for told in _changes(number, folded, wordless):
            say(f"{path}: {told}")


def _changes(lines: int, folded: Sequence[str], wordless: Sequence[int]) -> Iterator[str]:
    """What of a manifest is used otherwise than it stands there."""
    if not lines:
        yield "has no lines; nothing of it is used"
    if wordless:
        yield f"{len(wordless)} lines have no text, as line {wordless[0]}; taken as recordings without words"
    if folded:
        yield f"{len(folded)} texts are written in characters that the tokenizer has, as in {folded[0]}"


def _shown(characters: Sequence[str]) -> str:
    return ", ".join(f"{character!r} (U+{ord(character):04X})" for character in characters)
