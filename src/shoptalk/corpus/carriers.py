"""Carrier sentences: written sentences with slots, read from banks or written live by a small language model."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from shoptalk.core import files
from shoptalk.core.errors import CoverageError, LlmAnswerError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.protocols import Llm
from shoptalk.core.records import Record, Term
from shoptalk.corpus import privacy
from shoptalk.corpus.answers import chatter, told
from shoptalk.corpus.splits import SLOT, draw_key, near_duplicates, normal_form, normal_words

MIN_WORDS, MAX_WORDS = 4, 16
LINES_PER_PROMPT = 5
MAX_TOKENS = 100
"""Room for `LINES_PER_PROMPT` sentences of `MAX_WORDS` words."""
OPENING_CAP = 0.08
"""The largest part of the live carriers that may share their first two words."""

SETTINGS = (
    ("plan", "cardiology"),
    ("history", "primary care"),
    ("assessment", "nephrology"),
    ("hospital course", "surgery"),
    ("discharge", "general medicine"),
    ("plan", "neurology"),
    ("history", "rheumatology"),
    ("counseling", "oncology"),
    ("assessment", "infectious disease"),
    ("nursing", "critical care"),
    ("plan", "endocrinology"),
    ("history", "psychiatry"),
    ("consult", "hematology"),
    ("discharge", "gastroenterology"),
    ("hospital course", "pulmonology"),
    ("plan", "geriatrics"),
    ("history", "emergency medicine"),
    ("assessment", "primary care"),
    ("counseling", "obstetrics"),
    ("plan", "urology"),
)
"""Note sections and specialties that the prompts go through."""

OPENINGS = (
    "After",
    "Although",
    "At home",
    "At this point",
    "Because of",
    "Before",
    "Currently",
    "Despite",
    "During",
    "For now",
    "Given",
    "He",
    "He denies",
    "Her",
    "His",
    "I",
    "I recommend",
    "If",
    "In clinic",
    "In the past",
    "It",
    "Last month",
    "Most likely",
    "My",
    "No",
    "Not",
    "On arrival",
    "Once",
    "Our",
    "Overnight",
    "Please",
    "She",
    "She reports",
    "Since",
    "So far",
    "The",
    "The family",
    "The nurse",
    "There is",
    "They",
    "This",
    "Today",
    "Two days ago",
    "Unless",
    "Until",
    "We",
    "We discussed",
    "When",
    "While",
    "With",
    "Without",
    "Yesterday",
    "You",
    "Your",
)
"""Beginnings that the prompts ask for."""

_LINE = re.compile(r"^\s*(?:[-*•]|\d+[.)])?\s*(.*?)\s*$")
_PLAIN = re.compile(r"[A-Z{][A-Za-z ,;'{}_-]*[.?]")
_DRUG_LIKE = re.compile(
    r"\b\w{2,}(?:pril|sartan|olol|statin|azole|idone|mycin|cillin|xaban|gliptin|gliflozin|formin|semide|thiazide|dipine"
    r"|azepam|oxetine|afil|cycline|floxacin|prazole|parin|mab|nib|vir|sone|profen)s?\b|\b(?:aspirin|insulin|warfarin"
    r"|heparin|ibuprofen|morphine|acetaminophen|penicillin|digoxin|lithium|steroids?|prednisolone)\b",
    re.IGNORECASE,
)


class Carrier(Record):
    """A sentence with slots: ``{drug}`` or another category for the term, ``{dose}`` … for its facts."""

    text: str = Field(min_length=1)
    category: str
    """Of the term that fills it; the name of its term slot."""
    source: str
    """``shipped:hand``, ``shipped:llm:MODEL``, or ``llm:MODEL`` for one written in this run."""
    section: str = ""
    specialty: str = ""
    language: str = ENGLISH
    """Of its words; where a bank gives none, it is the recipe's."""

    @property
    def is_live(self) -> bool:
        return self.source.startswith("llm:")


@dataclass(frozen=True)
class Prompt:
    """One request for a few carriers; everything in it is drawn from (seed, number)."""

    number: int
    category: str
    section: str
    specialty: str
    messages: tuple[dict[str, str], ...]


def read_banks(banks: Sequence[Path], language: str = ENGLISH) -> list[Carrier]:
    """The carriers of all files, of this language where they tell none.

    `CoverageError` lists those that could never be filled.
    """
    carriers: list[Carrier] = []
    for bank in banks:
        carriers += in_language(files.read(bank, Carrier), language)
    problems = []
    for carrier in carriers:
        if _term_slots(carrier) != 1:
            problems.append(f"{carrier.id}: needs the slot {{{carrier.category}}} exactly once")
    for name, count in Counter(carrier.id for carrier in carriers).items():
        if count > 1:
            problems.append(f"{name}: id occurs twice")
    if problems:
        raise CoverageError("carrier banks cannot be used; mend these:\n  " + "\n  ".join(problems))
    return carriers


OfLanguage = TypeVar("OfLanguage", bound=Record)


def in_language(records: Iterable[OfLanguage], language: str) -> Iterator[OfLanguage]:
    """The records, those that tell no language being of this one."""
    for record in records:
        told = "language" in record.model_fields_set
        yield record if told else record.model_copy(update={"language": language})


def write_carriers(
    llm: Llm,
    count: int,
    *,
    seed: int,
    done: frozenset[str],
    terms: Sequence[Term],
    examples: Sequence[Carrier],
    refused: Counter[str],
) -> Iterator[Carrier]:
    """Up to `count` carriers that the model writes and `screen` lets pass, without those already `done`.

    What does not pass is counted in `refused` by what is wrong with it.

    An id is ``live-PROMPT-DIGEST``: the answer to a prompt depends on (seed, prompt) only, so a stream that was cut off
    goes on with the prompt it was cut off in and ends up the same. Stops after ``4 * count`` prompts at the latest;
    `CoverageError` if not one sentence was usable.
    """
    kept = {name.rpartition("-")[2] for name in done}
    first = max((int(name.split("-")[1]) for name in done), default=0)
    for number in range(first, 4 * count):
        if len(kept) >= count:
            return
        prompt = make_prompt(number, terms, examples, seed=seed)
        try:
            answer = llm.complete(prompt.messages, seed=_number_seed(seed, number), max_tokens=MAX_TOKENS)
        except LlmAnswerError as error:
            refused[error.kind] += 1
            answer = error.text.rpartition("\n")[0]  # lines before the one that was cut off are whole
        for carrier in parse(answer, prompt, source=f"llm:{llm.name}"):
            digest = carrier.id.rpartition("-")[2]
            if len(kept) >= count or digest in kept:
                continue
            if reason := screen(carrier, terms, examples):
                refused[reason] += 1
                continue
            kept.add(digest)
            yield carrier
    if count and not kept:
        raise CoverageError(
            f"{llm.name} wrote no usable carrier in {4 * count} prompts ({told(refused)}); choose another model"
        )


def make_prompt(number: int, terms: Sequence[Term], examples: Sequence[Carrier], *, seed: int) -> Prompt:
    """The prompt of this number: category of a drawn trained term, setting, openings and few-shots all rotate."""
    term_draw = int(draw_key(seed, "prompt", str(number), "term")[:12], 16)
    setting_draw = int(draw_key(seed, "prompt", str(number), "setting")[:12], 16)
    trained = [term for term in terms if term.taught] or list(terms)
    term = trained[term_draw % len(trained)]
    section, specialty = SETTINGS[(number + setting_draw) % len(SETTINGS)]
    openings = sorted(OPENINGS, key=lambda word: draw_key(seed, "opening", str(number), word))[:LINES_PER_PROMPT]
    messages = [{"role": "system", "content": _SYSTEM.format(category=term.category)}]
    shown = _shown(number, term.category, examples, seed)
    if shown:
        beginnings = [" ".join(carrier.text.split()[:2]) for carrier in shown]
        asked = _ask(term.category, shown[0].section, shown[0].specialty, beginnings)
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": _listed(shown)})
    messages.append({"role": "user", "content": _ask(term.category, section, specialty, openings)})
    return Prompt(number, term.category, section, specialty, tuple(messages))


def parse(answer: str, prompt: Prompt, *, source: str) -> Iterator[Carrier]:
    """A carrier for each line of the answer; bullets and numbers taken off, nothing judged yet."""
    for line in answer.splitlines()[: 2 * LINES_PER_PROMPT]:
        text = " ".join(_LINE.sub(r"\1", line).split())
        if text:
            digest = hashlib.sha256(normal_form(text).encode()).hexdigest()[:10]
            yield Carrier(
                id=f"live-{prompt.number:04d}-{digest}",
                text=text,
                category=prompt.category,
                source=source,
                section=prompt.section,
                specialty=prompt.specialty,
            )


def screen(carrier: Carrier, terms: Sequence[Term], examples: Sequence[Carrier], *, clinical: bool = True) -> str:
    """Why this live carrier cannot be used; empty if it can. Only a clinic's are searched for drugs by their stems."""
    slots = SLOT.findall(carrier.text)
    words = carrier.text.split()
    bare = SLOT.sub("", carrier.text)
    known_slots = {carrier.category}
    for term in terms:
        if term.category == carrier.category:
            known_slots.update(term.facts)
    example_texts = [example.text for example in examples]
    checks = (
        ("no sentence", not _PLAIN.fullmatch(carrier.text)),
        ("term slot missing or twice", _term_slots(carrier) != 1),
        ("unknown or repeated slot", len(set(slots)) != len(slots) or not set(slots) <= known_slots),
        ("slot glued to a word", re.search(r"[\w}-]\{|\}[\w{-]", carrier.text) is not None),
        ("length", not MIN_WORDS <= len(words) <= MAX_WORDS),
        ("names its category beside the slot", re.search(rf"\b{carrier.category}s?\b", bare) is not None),
        ("names a drug", clinical and _DRUG_LIKE.search(carrier.text) is not None),
        ("refusal or remark", bool(chatter(carrier.text))),
        ("may tell who a person is", bool(privacy.finding(carrier.text, privacy.plain_words(terms)))),
        ("repeats words", re.search(r"\b(\w+) \1\b", carrier.text, re.IGNORECASE) is not None),
        ("names a term", _names_term(carrier.text, terms)),
        ("near duplicate of a bank's", bool(near_duplicates([carrier.text], example_texts))),
    )
    return next((reason for reason, failed in checks if failed), "")


def opening(text: str) -> str:
    """The first two words in lower case, the measure of monotony."""
    return " ".join(re.sub(r"[^\w{} ]", "", text).lower().split()[:2])


_SYSTEM = (
    "You write what doctors dictate: short, plain, medically sensible sentences. Each has {{{category}}} exactly once, "
    "where the name of a {category} belongs."
)


def _ask(category: str, section: str, specialty: str, openings: Sequence[str]) -> str:
    numbered = "\n".join(f"{number}. {words} ..." for number, words in enumerate(openings, start=1))
    return f"Complete these {specialty} sentences ({section}), each with {{{category}}} for the {category}:\n{numbered}"


def _listed(sentences: Sequence[Carrier]) -> str:
    return "\n".join(f"{number}. {carrier.text}" for number, carrier in enumerate(sentences, start=1))


def _shown(number: int, category: str, examples: Sequence[Carrier], seed: int) -> list[Carrier]:
    """The few-shots of a prompt; where a category has none, those of others stand in with their slot renamed."""
    own = [carrier for carrier in examples if carrier.category == category]
    if len(own) < LINES_PER_PROMPT:
        plain = [carrier for carrier in examples if len(SLOT.findall(carrier.text)) == 1]
        own = [carrier.model_copy(update={"text": SLOT.sub(f"{{{category}}}", carrier.text)}) for carrier in plain]
    return sorted(own, key=lambda carrier: draw_key(seed, "shot", str(number), carrier.id))[:LINES_PER_PROMPT]


def _term_slots(carrier: Carrier) -> int:
    return SLOT.findall(carrier.text).count(carrier.category)


def _names_term(text: str, terms: Sequence[Term]) -> bool:
    forms: list[str] = []
    for term in terms:
        forms += (term.text, *term.variants)
    names = _normal_names(tuple(forms))
    longest = max(map(len, names), default=0)
    words = normal_words(text)
    for start in range(len(words)):
        for end in range(start + 1, min(start + longest, len(words)) + 1):
            if tuple(words[start:end]) in names:
                return True
    return False


@lru_cache(maxsize=2)
def _normal_names(forms: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(normal_words(form)) for form in forms) - {()}


def _number_seed(seed: int, number: int) -> int:
    return int(draw_key(seed, "completion", str(number))[:8], 16)
