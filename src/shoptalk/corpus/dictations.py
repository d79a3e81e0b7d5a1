"""Stage 20 with a large model: whole dictations around one to three terms, with carriers derived from them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from shoptalk.core.errors import LlmAnswerError, LlmUselessError
from shoptalk.core.protocols import Llm
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Split, Term, Transcript
from shoptalk.core.terms import Index, index_of, occurrences, occurrences_of_all
from shoptalk.corpus import privacy, verbalise
from shoptalk.corpus.answers import fault, told
from shoptalk.corpus.carriers import OPENINGS, SETTINGS
from shoptalk.corpus.company import Circle, circle_of, company
from shoptalk.corpus.splits import clusters, draw_key
from shoptalk.corpus.transcripts import Problem, diversity_problems, duplicates, has_terms, is_clean, wanted_for

ATTEMPTS = 3
"""Of one dictation."""
ROUNDS = 3
"""In which dictations are asked for: what is missing after one, the next asks for anew."""
GIVE_UP = 30
"""So many useless answers in a row, and the model is taken to write nothing else."""
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
    llm: Llm,
    terms: Sequence[Term],
    config: TranscriptsSection,
    *,
    seed: int,
    done: Sequence[Transcript],
    refused: Counter[str],
    workers: int = 1,
) -> Iterator[Transcript]:
    """The dictations that the recipe asks for and that pass the checks, in a fixed order, without those already `done`.

    `workers` requests are under way at once. Answers that do not pass are counted in `refused` by what is wrong with
    them. For dictations that `settle` would miss, further ones are asked for, in `ROUNDS` at most. `LlmUselessError` if
    `GIVE_UP` answers in a row are refused.
    """
    held_out = index_of([term for term in terms if not term.taught])
    plain = privacy.plain_words(terms, config.allowed_words) if config.check_privacy else None
    ask = partial(_answers, llm, held_out=held_out, plain=plain, seed=seed)
    made = list(done)
    orders = list(_orders(terms, config, seed))
    turn = rounds = 0
    while orders and rounds < ROUNDS:
        known = {transcript.id for transcript in made}
        missing = [order for order in orders if order.id not in known]
        rounds += bool(missing)  # rounds of earlier runs, of which all is there, do not count
        for transcript in _asked(ask, missing, refused, llm.name, workers):
            made.append(transcript)
            yield transcript
        turn += 1
        orders = _further(made, terms, config, seed, turn)


def _asked(
    ask: Callable[[_Order], "_Answers"], orders: Sequence[_Order], refused: Counter[str], name: str, workers: int
) -> Iterator[Transcript]:
    """The transcripts of the orders of which one came about; `name` is the model's."""
    in_a_row: Counter[str] = Counter()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for answers in pool.map(ask, orders):
            refused.update(answers.refused)
            in_a_row.update(answers.refused)
            if answers.transcript:
                in_a_row.clear()
                yield answers.transcript
            elif in_a_row.total() >= GIVE_UP:
                raise LlmUselessError(
                    f"{name}: of {in_a_row.total()} answers in a row none is a dictation ({told(in_a_row)}); the "
                    f"last was {answers.last[:200]!r}; take another model, or mend `transcripts.llm`"
                )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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
    made = _counts(kept)
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
    circles = _circles(terms, seed)
    for term in terms:
        for split, wanted in wanted_for(term, config).items():
            for number in range(wanted):
                yield _order(f"{term.id}.{split}.{number}", term, split, circles[split], seed)


def _further(
    made: Sequence[Transcript], terms: Sequence[Term], config: TranscriptsSection, seed: int, turn: int
) -> list[_Order]:
    """Orders for what is missing of what was made, with numbers that no order of an earlier round has."""
    kept, _ = settle(made, terms, config)
    counts = _counts(kept)
    circles = _circles(terms, seed)
    orders = []
    for term in terms:
        for split, wanted in wanted_for(term, config).items():
            for number in range(wanted - counts[term.id, split]):
                name = f"{term.id}.{split}.{turn * wanted + number}"
                orders.append(_order(name, term, split, circles[split], seed))
    return orders


def _counts(transcripts: Sequence[Transcript]) -> Counter[tuple[str, Split]]:
    """How many of them name a term, in each split."""
    counts: Counter[tuple[str, Split]] = Counter()
    for transcript in transcripts:
        counts.update((term_id, transcript.split) for term_id in transcript.term_ids)
    return counts


def _circles(terms: Sequence[Term], seed: int) -> Mapping[Split, Circle]:
    """For each split the terms that its dictations may name: held-out ones only for testing."""
    trained = circle_of([term for term in terms if term.taught], seed=seed)
    return {"train": trained, "dev": trained, "test": circle_of(terms, seed=seed)}


def _order(name: str, term: Term, split: Split, circle: Circle, seed: int) -> _Order:
    def draw(what: str) -> int:
        return int(draw_key(seed, "dictation", name, what)[:12], 16)

    together = company(name, term, draw("count") % 3, circle, seed=seed)
    section, specialty = SETTINGS[draw("setting") % len(SETTINGS)]
    beginning = OPENINGS[draw("opening") % len(OPENINGS)]
    shown, shown_section = _STYLES[draw("shot") % len(_STYLES)]
    facts = ""
    if term.facts:
        first_values = ", ".join(values[0] for values in term.facts.values())
        facts = f" ({term.text}: {first_values})"
    texts = "; ".join(member.text for member in together)
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
    return _Order(name, split, together, section, specialty, messages)


class _Answers(NamedTuple):
    """What came of one order."""

    transcript: Transcript | None
    refused: tuple[str, ...]
    """What was wrong with the answers before it."""
    last: str
    """The last of these answers."""


def _answers(llm: Llm, order: _Order, *, held_out: Index, plain: privacy.PlainWords | None, seed: int) -> _Answers:
    """The first answer that passes the checks, and what was wrong with those before."""
    refused: list[str] = []
    last = ""
    for attempt in range(ATTEMPTS):
        answer_seed = int(draw_key(seed, "answer", order.id, str(attempt))[:8], 16)
        try:
            answer = llm.complete(order.messages, seed=answer_seed, max_tokens=MAX_TOKENS)
        except LlmAnswerError as error:
            refused.append(error.kind)
            last = str(error)
            continue
        kind = fault(answer)
        transcript = None if kind else _transcript(" ".join(answer.split()), order, source=f"llm:{llm.name}")
        if transcript:
            kind = _fault(transcript, order, held_out, plain)
        if not kind:
            return _Answers(transcript, tuple(refused), last)
        refused.append(kind)
        last = answer
    return _Answers(None, tuple(refused), last)


def _transcript(text: str, order: _Order, *, source: str) -> Transcript:
    spoken_forms = [(term, verbalise.spoken(term.spoken[0])) for term in order.terms if term.spoken]
    return Transcript(
        id=order.id,
        text=text,
        spoken=verbalise.spoken(_replaced(text, spoken_forms)),
        term_ids=tuple(term.id for term in order.terms),
        carrier=emptied(text, order.terms),
        split=order.split,
        source=source,
        section=order.section,
        specialty=order.specialty,
        kind="dictation",
    )


def _fault(transcript: Transcript, order: _Order, held_out: Index, plain: privacy.PlainWords | None) -> str:
    """The kind of what is wrong with a transcript; empty if nothing."""
    sentences = len(_SENTENCE_END.findall(transcript.text))
    leaks = order.split != "test" and occurrences_of_all(held_out, transcript.text)
    checks = (
        ("a term is missing or misspelt", has_terms(transcript, {term.id: term for term in order.terms})),
        ("markup", is_clean(transcript)),
        (f"not {MIN_SENTENCES} to {MAX_SENTENCES} sentences", not MIN_SENTENCES <= sentences <= MAX_SENTENCES),
        ("too long", len(transcript.text.split()) > MAX_WORDS),
        ("names a held-out term", leaks),
        ("a term in an unknown form", any(occurrences(term, transcript.carrier) for term in order.terms)),
        ("may tell who a person is", plain and privacy.finding(transcript.text, plain)),
    )
    return next((kind for kind, is_wrong in checks if is_wrong), "")


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
