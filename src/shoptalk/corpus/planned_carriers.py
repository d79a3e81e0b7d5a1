"""Carriers for categories that no bank covers: how many are asked for, the prompts, and what of the answers is kept."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

from shoptalk.core.errors import CoverageError, LlmAnswerError
from shoptalk.core.protocols import Llm
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Term
from shoptalk.core.terms import Index, index_of, occurrences_of_all
from shoptalk.corpus import carriers
from shoptalk.corpus.answers import told
from shoptalk.corpus.carriers import LINES_PER_PROMPT, Carrier, Prompt
from shoptalk.corpus.disfluencies import stumbled
from shoptalk.corpus.domain_texts import DomainTexts
from shoptalk.corpus.proposals import Proposed, is_written
from shoptalk.corpus.splits import SLOT, draw_key, near_duplicates
from shoptalk.corpus.transcripts import wanted_for

SPARE = 1.15
"""More carriers than are needed, for some do not fit some terms: too long with them, or the name of a held-out one."""
SHARED_BY = 8
"""Training sentences that one carrier is to be in, on average, where a category has many terms."""
MOST = 200
"""Carriers of one category."""
BARREN = 15
"""So many answers in a row without a usable sentence, and the model is taken to write no other."""
STUMBLED = 0.2
"""Part of the sentences of a conversation in which somebody searches for words."""
MAX_TOKENS = 120
PREFIX = "planned-"

T = TypeVar("T")

OPENINGS = (
    "Actually,",
    "After",
    "Another",
    "Are you sure",
    "Because",
    "Before",
    "Can I",
    "Could you",
    "Did you",
    "Do you",
    "Does the",
    "Every",
    "For",
    "He",
    "How",
    "I",
    "I think",
    "I would",
    "If",
    "Instead of",
    "Is",
    "It",
    "Last time",
    "Let me",
    "Make sure",
    "Maybe",
    "My",
    "Next time",
    "No",
    "Nobody",
    "Not",
    "Only",
    "Our",
    "Please",
    "She",
    "Should we",
    "So",
    "Some",
    "Sorry,",
    "That",
    "The",
    "The one with",
    "There is",
    "They",
    "This",
    "Today",
    "Tomorrow",
    "We",
    "We need",
    "What",
    "When",
    "Where",
    "Which",
    "While",
    "Why",
    "With",
    "Without",
    "Would you",
    "Yes,",
    "Yesterday",
    "You",
    "Your",
    "The {slot}",
    "This {slot}",
    "A {slot}",
    "{slot}",
)
"""Beginnings that the prompts ask for; some have the slot itself, so that terms stand at the start, too."""

_UNFINISHED = re.compile(r"\b(?:a|an|the|and|or)[.?]$")
_SYSTEM = (
    "You write what people really say at work: short, plain, sensible sentences. Each has the given slot exactly once, "
    "where a word of that kind belongs."
)
_SHOTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Place: a hardware store. Situation: a customer asks at the counter.\n"
        "{tool} stands for words such as claw hammer, angle grinder.",
        "tool",
        (
            "Do you still have the {tool} that was on sale last week?",
            "My neighbor told me to buy a {tool} for this.",
            "I need something smaller than that {tool}.",
            "Which {tool} would you take for an old oak door?",
            "The {tool} broke.",
        ),
    ),
    (
        "Place: a sailing boat. Situation: the skipper calls to the crew.\n"
        "{rope} stands for words such as halyard, mainsheet.",
        "rope",
        (
            "Let go of the {rope} as soon as we turn into the wind.",
            "Nobody touches the {rope} before I say so.",
            "Please check once more that the {rope} is dry.",
            "{rope} first, then the anchor.",
            "Is somebody holding the {rope}?",
        ),
    ),
    (
        "Place: a bakery kitchen. Situation: a baker leaves a note for the next shift.\n"
        "{bread} stands for words such as rye loaf, baguette.",
        "bread",
        (
            "Yesterday we ran out of {bread} before noon, so bake twelve more.",
            "The {bread} needs ten minutes longer in the old oven.",
            "No {bread} on Sunday.",
            "If a customer asks for {bread}, send them to the other shop.",
            "We sold every {bread} we had.",
        ),
    ),
)


@dataclass(frozen=True)
class Writer:
    """What every prompt for planned carriers needs."""

    llm: Llm
    proposed: Proposed
    terms: Sequence[Term]
    bank: Sequence[Carrier]
    texts: DomainTexts
    seed: int
    refused: Counter[str]


def uncovered(terms: Sequence[Term], bank: Sequence[Carrier]) -> list[str]:
    """The categories of the terms that no carrier of the bank is for."""
    covered = {carrier.category for carrier in bank}
    return list(dict.fromkeys(term.category for term in terms if term.category not in covered))


def plan(terms: Sequence[Term], categories: Sequence[str], config: TranscriptsSection) -> dict[str, int]:
    """How many carriers each category needs.

    A term never says a carrier twice, so there are at least as many as the term with most sentences has; and where many
    terms share a category, so many that a carrier is in `SHARED_BY` training sentences on average, up to `MOST`.
    """
    counts = {}
    for category in categories:
        least, training = 0, 0
        for term in terms:
            if term.category == category:
                wanted = wanted_for(term, config)
                least = max(least, sum(wanted.values()))
                training += wanted.get("train", 0)
        varied = min(MOST, ceil(training / SHARED_BY))
        counts[category] = ceil(SPARE * max(least, varied))
    return counts


def write_planned(writer: Writer, counts: Mapping[str, int], *, done: Sequence[Carrier]) -> Iterator[Carrier]:
    """Carriers of each category up to its count, without those already `done`; fewer where the model knows no more.

    An id is ``planned-CATEGORY-PROMPT-DIGEST``: the answer to a prompt depends on (seed, category, prompt) only, so a
    stream that was cut off goes on with the prompt that it was cut off in. `CoverageError` if a category gets none.
    """
    kept = list(done)
    index = index_of(writer.terms)
    for category, count in counts.items():
        own = [carrier for carrier in kept if carrier.id.startswith(f"{PREFIX}{category}-")]
        digests = {_digest(carrier) for carrier in own}
        number = max((int(carrier.id.split("-")[-2]) for carrier in own), default=0)
        barren = 0
        while len(own) < count and barren < BARREN:
            barren += 1
            for carrier in _answered(writer, number, category):
                if len(own) == count or _digest(carrier) in digests:
                    continue
                reason = _fault(carrier, writer, index, kept)
                if reason:
                    writer.refused[reason] += 1
                    continue
                barren = 0
                carrier = _as_said(carrier, writer.seed)
                digests.add(_digest(carrier))
                own.append(carrier)
                kept.append(carrier)
                yield carrier
            number += 1
        if not own:
            raise CoverageError(by_hand(writer, category, f"wrote no usable sentence in {BARREN} answers"))


def by_hand(writer: Writer, category: str, what: str) -> str:
    """What a user can do where the model writes too little for a category."""
    example = f'{{"id": "{category}-1", "text": "… {{{category}}} …", "category": "{category}", "source": "hand"}}'
    return (
        f"category {category!r}: {writer.llm.name} {what} (refused: {told(writer.refused) or 'nothing'}); write "
        f"sentences of this category into a file of `transcripts.carrier_files`, one on each line, e.g. {example}, "
        "or take a larger model with `transcripts.llm`"
    )


def make_prompt(writer: Writer, number: int, category: str) -> Prompt:
    """The prompt of this number: context, beginnings, terms that it names and examples all rotate."""
    own = [term for term in writer.terms if term.category == category]
    trained = [term for term in own if term.taught] or own
    name = f"{category} {number}"
    named = _drawn([term.text for term in trained], writer.seed, name, "term")[:3]
    contexts = writer.proposed.contexts
    offset = int(draw_key(writer.seed, "context", category)[:12], 16)
    context = contexts[(number + offset) % len(contexts)]
    openings = [text.replace("slot", category) for text in _drawn(OPENINGS, writer.seed, name, "opening")]
    place = f"Place: {writer.proposed.trade}. Situation: {context}."
    meaning = f"{{{category}}} stands for words such as {', '.join(named)}."
    messages = [{"role": "system", "content": _SYSTEM}]
    shown, alike = _examples(writer, category, trained, context, name)
    for question, slot, sentences in shown:
        beginnings = [" ".join(sentence.split()[:2]) for sentence in sentences]
        messages.append({"role": "user", "content": f"{question}\n{_asked(slot, beginnings)}"})
        messages.append({"role": "assistant", "content": _numbered(sentences)})
    style = "People there talk like this:\n" + "\n".join(alike) + "\n" if alike else ""
    asked = f"{place}\n{meaning}\n{style}{_asked(category, openings[:LINES_PER_PROMPT])}"
    messages.append({"role": "user", "content": asked})
    return Prompt(number, category, context, writer.proposed.trade, tuple(messages))


def _examples(
    writer: Writer, category: str, trained: Sequence[Term], context: str, name: str
) -> tuple[list[tuple[str, str, tuple[str, ...]]], list[str]]:
    """Exchanges that are shown before the question, and sentences that are shown in it as a manner of speaking.

    They are the domain's own where there are texts, else the bank's of the category, else those of other trades.
    """
    own = [carrier.text for carrier in writer.bank if carrier.category == category]
    shots = _drawn(_SHOTS, writer.seed, name, "shot")
    if len(writer.texts):
        about = f"{category} {context}"
        sentences = writer.texts.examples(trained, about, LINES_PER_PROMPT, seed=writer.seed, name=name)
        with_slot = tuple(sentence for sentence in sentences if SLOT.search(sentence))
        plain = [sentence for sentence in sentences if not SLOT.search(sentence)]
        if len(with_slot) >= 3:
            return [(f"Place: {writer.proposed.trade}.", category, with_slot)], plain
        return shots[:1], [*with_slot, *plain]
    if len(own) >= LINES_PER_PROMPT:
        sentences = _drawn(own, writer.seed, name, "own")[:LINES_PER_PROMPT]
        return [(f"Place: {writer.proposed.trade}.", category, tuple(sentences))], []
    return shots[:1], []


def _asked(slot: str, beginnings: Sequence[str]) -> str:
    return f"Complete these sentences, each with {{{slot}}}:\n" + _numbered([f"{words} ..." for words in beginnings])


def _numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def _drawn(items: Sequence[T], seed: int, *names: str) -> list[T]:
    return sorted(items, key=lambda item: draw_key(seed, *names, str(item)))


def _answered(writer: Writer, number: int, category: str) -> Iterator[Carrier]:
    prompt = make_prompt(writer, number, category)
    draw = int(draw_key(writer.seed, "planned", category, str(number))[:8], 16)
    try:
        answer = writer.llm.complete(prompt.messages, seed=draw, max_tokens=MAX_TOKENS)
    except LlmAnswerError as error:
        writer.refused[error.kind] += 1
        answer = error.text.rpartition("\n")[0]  # lines before the one that was cut off are whole
    for carrier in carriers.parse(answer, prompt, source=f"llm:{writer.llm.name}"):
        yield carrier.model_copy(update={"id": f"{PREFIX}{category}-{number:04d}-{_digest(carrier)}"})


def _digest(carrier: Carrier) -> str:
    return carrier.id.rpartition("-")[2]


def _fault(carrier: Carrier, writer: Writer, index: Index, kept: Sequence[Carrier]) -> str:
    """Why a sentence cannot be used; empty if it can."""
    own_bank = [example for example in writer.bank if example.category == carrier.category]
    reason = carriers.screen(carrier, writer.terms, own_bank, clinical=writer.proposed.is_clinical)
    if reason:
        return reason
    shown = [sentence for _, _, sentences in _SHOTS for sentence in sentences]
    bare = SLOT.sub(" ", carrier.text)
    if occurrences_of_all(index, bare):
        return "names a term"
    if near_duplicates([carrier.text], shown):
        return "near duplicate of an example"
    if near_duplicates([carrier.text], [other.text for other in kept]):
        return "near duplicate of another"
    if writer.texts.has_copy_of(bare):
        return "copy of the domain's texts"
    if _UNFINISHED.search(carrier.text):
        return "unfinished"
    return ""


def _as_said(carrier: Carrier, seed: int) -> Carrier:
    """The carrier, in some conversations as somebody says it who searches for words."""
    share = int(draw_key(seed, "stumbles", carrier.id)[:12], 16) / 16**12
    if share >= STUMBLED or is_written(carrier.section):
        return carrier
    return carrier.model_copy(update={"text": stumbled(carrier.text, seed=seed, name=carrier.id)})
