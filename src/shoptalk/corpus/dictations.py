"""Stage 20 with a large model: whole dictations around one to three terms, with carriers derived from them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shoptalk.core.protocols import Llm
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Split, Term, Transcript
from shoptalk.core.terms import Index, index_of, occurrences, occurrences_of_all
from shoptalk.corpus import verbalise
from shoptalk.corpus.carriers import OPENINGS, SETTINGS
from shoptalk.corpus.splits import clusters, draw_key
from shoptalk.corpus.transcripts import Problem, diversity_problems, duplicates, has_terms, is_clean, wanted_for

ATTEMPTS = 3
MAX_TOKENS = 320
MIN_SENTENCES, MAX_SENTENCES = 2, 6
MAX_WORDS = 110

_SYSTEM = (
    "You write dictations as clinicians speak them into medical records: correct, plain, complete sentences with "
    "normal case and punctuation, numbers as digits with units (500 mg, 7.4%). No headings, markup or personal names."
)
_STYLES = (
    ("Blood work is due on Monday. Hold the evening dose if the pressure is below 100.", "plan"),
    ("He came in with two days of nausea and a weight loss of 3 kg. There was no fever.", "history"),
    (
        "She is improving on the present treatment. The cough is probably viral and should settle in a week.",
        "assessment",
    ),
    ("Overnight he stayed stable on 2 L of oxygen. The drain was removed at noon without bleeding.", "hospital course"),
)
_SENTENCE_END = re.compile(r"[.?!](?=\s|$)")


@dataclass(frozen=True)
class _Order:
    """One dictation to be written; everything in it is drawn from (seed, id)."""

    id: str
    split: Split
    terms: tuple[Term, ...]
    section: str
    specialty: str
    messages: tuple[dict[str, str], ...]


def write_dictations(
    llm: Llm, terms: Sequence[Term], config: TranscriptsSection, *, seed: int, done: frozenset[str], workers: int = 1
) -> Iterator[Transcript]:
    """The dictations that the recipe asks for and that pass the checks, in a fixed order, without those already `done`.

    `workers` requests are under way at once. What fails in `ATTEMPTS` attempts is left out; `settle` reports it.
    """
    orders = [order for order in _orders(terms, config, seed) if order.id not in done]
    held_out = index_of([term for term in terms if not term.taught])
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for transcript in pool.map(lambda order: _written(llm, order, held_out, seed), orders):
            if transcript:
                yield transcript
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def settle(
    transcripts: Sequence[Transcript], terms: Sequence[Term], config: TranscriptsSection
) -> tuple[list[Transcript], list[Problem]]:
    """The dictations that may stay together, and what is missing.

    Of near duplicates in several splits only those of one stay: test before dev before train. Equal texts stay once.
    """
    order: tuple[Split, ...] = ("test", "dev", "train")
    dropped = set(duplicates(transcripts))
    for cluster in clusters([transcript.carrier for transcript in transcripts]):
        first = min((transcripts[index].split for index in cluster), key=order.index)
        for index in cluster:
            if transcripts[index].split != first:
                dropped.add(transcripts[index].id)
    kept = [transcript for transcript in transcripts if transcript.id not in dropped]
    made: Counter[tuple[str, Split]] = Counter()
    for transcript in kept:
        made.update((term_id, transcript.split) for term_id in transcript.term_ids)
    cure = "ask again or take another model"
    problems = []
    for term in terms:
        for split, wanted in wanted_for(term, config).items():
            count = made[term.id, split]
            if count < wanted:
                problems.append(Problem(term.id, f"{count} of {wanted} {split} dictations; {cure}"))
    return kept, problems + diversity_problems(kept)


def emptied(text: str, terms: Sequence[Term]) -> str:
    """The text with every written form of the terms replaced by the slot of its category."""
    return _replaced(text, [(term, f"{{{term.category}}}") for term in terms])


def _orders(terms: Sequence[Term], config: TranscriptsSection, seed: int) -> Iterator[_Order]:
    for term in terms:
        for split, wanted in wanted_for(term, config).items():
            for number in range(wanted):
                yield _order(f"{term.id}.{split}.{number}", term, split, terms, seed)


def _order(name: str, term: Term, split: Split, terms: Sequence[Term], seed: int) -> _Order:
    def draw(what: str) -> int:
        return int(draw_key(seed, "dictation", name, what)[:12], 16)

    others = [other for other in terms if other.id != term.id and (split == "test" or other.taught)]
    others.sort(key=lambda other: draw_key(seed, "company", name, other.id))
    company = (term, *others[: draw("count") % 3])
    section, specialty = SETTINGS[draw("setting") % len(SETTINGS)]
    beginning = OPENINGS[draw("opening") % len(OPENINGS)]
    shown, shown_section = _STYLES[draw("shot") % len(_STYLES)]
    facts = ""
    if term.facts:
        first_values = ", ".join(values[0] for values in term.facts.values())
        facts = f" ({term.text}: {first_values})"
    texts = "; ".join(member.text for member in company)
    asked = (
        f"Write 2 to 4 sentences of a {specialty} note, section {section}, beginning with the words {beginning!r} and "
        f"containing exactly as written: {texts}{facts}."
    )
    messages = (
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": f"Write 2 sentences, section {shown_section}."},
        {"role": "assistant", "content": shown},
        {"role": "user", "content": asked},
    )
    return _Order(name, split, company, section, specialty, messages)


def _written(llm: Llm, order: _Order, held_out: Index, seed: int) -> Transcript | None:
    """The first answer that passes the checks."""
    for attempt in range(ATTEMPTS):
        answer_seed = int(draw_key(seed, "answer", order.id, str(attempt))[:8], 16)
        text = " ".join(llm.complete(order.messages, seed=answer_seed, max_tokens=MAX_TOKENS).split())
        if not text:
            continue
        spoken_forms = [(term, term.spoken[0]) for term in order.terms if term.spoken]
        transcript = Transcript(
            id=order.id,
            text=text,
            spoken=_replaced(verbalise.spoken(text), spoken_forms),
            term_ids=tuple(term.id for term in order.terms),
            carrier=emptied(text, order.terms),
            split=order.split,
            source=f"llm:{llm.name}",
            section=order.section,
            specialty=order.specialty,
        )
        if not _faults(transcript, order, held_out):
            return transcript
    return None


def _faults(transcript: Transcript, order: _Order, held_out: Index) -> list[str]:
    faults = [has_terms(transcript, {term.id: term for term in order.terms}), is_clean(transcript)]
    sentences = len(_SENTENCE_END.findall(transcript.text))
    if not MIN_SENTENCES <= sentences <= MAX_SENTENCES:
        faults.append(f"has {sentences} sentences")
    if len(transcript.text.split()) > MAX_WORDS:
        faults.append("is too long")
    if order.split != "test":
        named = [held_out.ids[place] for place in occurrences_of_all(held_out, transcript.text)]
        if named:
            faults.append(f"names the held-out {named}")
    if any(occurrences(term, transcript.carrier) for term in order.terms):
        faults.append("has a term in an unknown form")
    return [fault for fault in faults if fault]


def _replaced(text: str, replacements: Sequence[tuple[Term, str]]) -> str:
    """Put the replacement of each term where one of its written forms stands, the longest form first."""
    by_form: dict[str, str] = {}
    for term, replacement in replacements:
        for form in (term.text, *term.variants):
            by_form[form.casefold()] = replacement
    if not by_form:
        return text
    forms = "|".join(re.escape(form) for form in sorted(by_form, key=len, reverse=True))
    any_form = re.compile(rf"(?<!\w)(?:{forms})(?!\w)", re.IGNORECASE)
    return any_form.sub(lambda match: by_form[match.group().casefold()], text)
