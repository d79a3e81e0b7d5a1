"""Stage 20: carriers filled with terms and facts, written and spoken, checked, and split by carrier."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from shoptalk.core import terms as term_forms
from shoptalk.core.errors import CoverageError
from shoptalk.core.languages import ENGLISH
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import TERMLESS, Split, Term, Transcript
from shoptalk.core.terms import occurrences
from shoptalk.corpus import verbalise
from shoptalk.corpus.carriers import OPENING_CAP, Carrier, opening
from shoptalk.corpus.splits import SLOT, assign, draw_key, near_duplicates
from shoptalk.corpus.weights import HIGHEST, LOWEST

_MARKUP = re.compile(r"[{}\[\]*_#`|~\\]|</?[a-zA-Z!]|\.\.\.|…|https?:")
_UNSPEAKABLE = re.compile(r"[<>=@&+^]")
"""Signs that `verbalise.spoken` has no words for where they stand."""
_ARTICLE = re.compile(r"\b([Aa])n? $")
LONG = 7
"""Words of a carrier; half of those that ship have more."""

Place = Literal["start", "middle", "end", "none"]
"""Third of a sentence in which its first term stands; none: it has no term."""
T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """What could not be made, for which term (or ``*``), said so that the user can mend it."""

    term_id: str
    message: str


def compose(
    terms: Sequence[Term], carriers: Sequence[Carrier], config: TranscriptsSection, *, seed: int
) -> tuple[list[Transcript], list[Problem]]:
    """The transcripts of all terms, and what is missing.

    Splits are drawn for clusters of near-duplicate carriers. Carriers written in this run only train where a bank
    covers the category, so that test lists do not depend on what a model wrote. Held-out terms are only tested.
    """
    pools, problems = pools_of(carriers, config, seed=seed)
    held_out = term_forms.index_of([term for term in terms if not term.taught])
    transcripts: list[Transcript] = []
    fewer = 0
    for term in terms:
        seen: set[str] = set()
        required = required_for(term, config)
        for split, wanted in wanted_for(term, config).items():
            made = _fill_pool(term, pools[term.category, split], split, wanted, config, seed, seen, held_out)
            transcripts += made
            if len(made) < required[split]:
                cure = f"add carriers of category {term.category!r} or facts to the term"
                problems.append(Problem(term.id, f"{len(made)} of {required[split]} {split} transcripts; {cure}"))
            elif len(made) < wanted:
                fewer += 1
    if fewer:
        problems.append(Problem("*", f"{fewer} terms have fewer training sentences than their weight asks for"))
    return transcripts, problems + diversity_problems(transcripts)


def wanted_for(term: Term | None, config: TranscriptsSection) -> dict[Split, int]:
    """How many transcripts a term gets in each split; None stands for a trained term of weight 1.

    A trained term has `train_per_term` times its weight, which counts within `weights.LOWEST` and `weights.HIGHEST`,
    and one training sentence at least.
    """
    wanted: dict[Split, int] = {"test": config.test_per_term}
    if term is None or term.taught:
        weight = min(max(term.weight, LOWEST), HIGHEST) if term else 1.0
        wanted |= {"dev": config.dev_per_term, "train": max(1, round(config.train_per_term * weight))}
    return wanted


def required_for(term: Term, config: TranscriptsSection) -> dict[Split, int]:
    """How many transcripts a term must have in each split: what a weight above 1 adds is wanted, not required."""
    wanted = wanted_for(term, config)
    if "train" in wanted:
        wanted["train"] = min(wanted["train"], config.train_per_term)
    return wanted


def require_coverage(problems: Iterable[Problem]) -> None:
    """Raise `CoverageError` with the full list if a term is short of transcripts."""
    short = [f"{problem.term_id}: {problem.message}" for problem in problems if problem.term_id != "*"]
    if short:
        raise CoverageError("terms that could not be covered:\n  " + "\n  ".join(short))


def fill(carrier: Carrier, term: Term, facts: Mapping[str, str]) -> tuple[str, str]:
    """The sentence as written and as spoken."""
    said_facts = {slot: verbalise.spoken(value, term.language) for slot, value in facts.items()}
    names = {carrier.category: term.text, **facts}
    said = {carrier.category: said_name(term), **said_facts}
    return put(carrier.text, names, said, language=carrier.language)


def put(text: str, written: Mapping[str, str], said: Mapping[str, str], *, language: str = ENGLISH) -> tuple[str, str]:
    """A text with its slots filled, as written and as spoken."""
    return _put(text, written, language), _put(verbalise.spoken(text, language), said, language)


def said_name(term: Term) -> str:
    return verbalise.spoken(term.as_spoken, term.language)


def has_terms(transcript: Transcript, terms: Mapping[str, Term]) -> str:
    missing = [name for name in transcript.term_ids if not occurrences(terms[name], transcript.text)]
    if missing:
        return f"does not contain {', '.join(missing)}"
    if not transcript.term_ids and transcript.kind not in TERMLESS:
        return f"names no term, but is of kind {transcript.kind!r}"
    return ""


def has_length(transcript: Transcript, config: TranscriptsSection) -> str:
    count = len(transcript.text.split())
    if config.min_words <= count <= config.max_words:
        return ""
    return f"has {count} words, not {config.min_words} to {config.max_words}"


def is_clean(transcript: Transcript) -> str:
    """No leftover slot, no markup around the terms, and nothing in `spoken` that a TTS would have to guess.

    A term itself may be written with any sign (``Tylenol #3``), because `spoken` has it in words.
    """
    around = SLOT.sub(" ", transcript.carrier)
    odd = SLOT.search(transcript.text) or _MARKUP.search(around) or _MARKUP.search(transcript.spoken)
    odd = odd or _UNSPEAKABLE.search(transcript.spoken)
    return f"has leftover {odd.group()!r}" if odd else ""


def duplicates(transcripts: Iterable[Transcript]) -> list[str]:
    """Ids of transcripts whose text, case and points aside, came before."""
    seen: set[str] = set()
    repeated = []
    for transcript in transcripts:
        text = " ".join(re.sub(r"[^\w ]", "", transcript.text.lower()).split())
        if text in seen:
            repeated.append(transcript.id)
        seen.add(text)
    return repeated


def opening_share(texts: Sequence[str]) -> float:
    """Part of the texts that begin with the most common first two words."""
    counts = Counter(opening(text) for text in texts)
    return counts.most_common(1)[0][1] / len(texts) if texts else 0.0


def faults(transcript: Transcript, terms: Mapping[str, Term], config: TranscriptsSection) -> list[str]:
    """What is wrong with a transcript by itself; empty: nothing."""
    checked = (has_terms(transcript, terms), has_length(transcript, config), is_clean(transcript))
    return [fault for fault in checked if fault]


def diversity_problems(transcripts: Sequence[Transcript]) -> list[Problem]:
    """A problem for each split whose openings are monotonous."""
    problems = []
    for split in ("train", "dev", "test"):
        carriers = sorted({transcript.carrier for transcript in transcripts if transcript.split == split})
        share = opening_share(carriers)
        if len(carriers) >= 1 / OPENING_CAP and share > OPENING_CAP:
            cure = "add carriers that begin otherwise"
            problems.append(Problem("*", f"{share:.0%} of the {split} carriers begin alike; {cure}"))
    return problems


Pools = Mapping[tuple[str, str], Sequence[Carrier]]


def pools_of(carriers: Sequence[Carrier], config: TranscriptsSection, *, seed: int) -> tuple[Pools, list[Problem]]:
    """The carriers of each (category, split), and a word on live carriers that are fewer than asked for."""
    bank = [carrier for carrier in carriers if not carrier.is_live]
    covered = {carrier.category for carrier in bank}
    live = [carrier for carrier in carriers if carrier.is_live]
    drawn = bank + [carrier for carrier in live if carrier.category not in covered]
    wanted = wanted_for(None, config)
    texts = [carrier.text for carrier in drawn]
    categories = [carrier.category for carrier in drawn]
    splits = assign(texts, categories, wanted, seed=seed)
    pools: dict[tuple[str, str], list[Carrier]] = defaultdict(list)
    kept_apart = []
    for carrier, split in zip(drawn, splits, strict=True):
        pools[carrier.category, split].append(carrier)
        if split != "train":
            kept_apart.append(carrier.text)
    train_only = [carrier for carrier in live if carrier.category in covered]
    near = {mine for mine, _ in near_duplicates([carrier.text for carrier in train_only], kept_apart)}
    varied = _monotony_capped(train_only)
    for carrier in varied:
        if carrier.text not in near:
            pools[carrier.category, "train"].append(carrier)
    problems = []
    if len(live) < config.live_carriers:
        problems.append(Problem("*", f"{len(live)} of {config.live_carriers} live carriers were usable"))
    if len(varied) < len(train_only):
        alike = len(train_only) - len(varied)
        problems.append(Problem("*", f"{alike} live carriers are left out: too many begin alike"))
    if repeating := [carrier for carrier in varied if carrier.text in near]:
        problems.append(Problem("*", f"{len(repeating)} live carriers are left out: they repeat one of dev or test"))
    return pools, problems


def _monotony_capped(carriers: Sequence[Carrier]) -> list[Carrier]:
    """Without those whose first two words were there too often before."""
    most = max(2, round(OPENING_CAP * len(carriers)))
    counts: Counter[str] = Counter()
    kept = []
    for carrier in carriers:
        counts[opening(carrier.text)] += 1
        if counts[opening(carrier.text)] <= most:
            kept.append(carrier)
    return kept


def _fill_pool(
    term: Term,
    pool: Sequence[Carrier],
    split: Split,
    wanted: int,
    config: TranscriptsSection,
    seed: int,
    seen: set[str],
    held_out: term_forms.Index,
) -> list[Transcript]:
    """Up to `wanted` transcripts; every carrier once before any is used again with other facts.

    Sentences that name a held-out term are for testing only, also where the carrier itself names it.
    """
    made: list[Transcript] = []
    ranked = sorted(pool, key=lambda carrier: draw_key(seed, "carrier", term.id, carrier.id))
    if split == "train":
        ranked = varied(ranked)
    for transcript in candidates(term, ranked, split, seed=seed):
        if len(made) == wanted:
            break
        leaks = split != "test" and term_forms.occurrences_of_all(held_out, transcript.text)
        if transcript.text not in seen and not leaks and not faults(transcript, {term.id: term}, config):
            seen.add(transcript.text)
            made.append(transcript)
    return made


def varied(carriers: Sequence[Carrier]) -> list[Carrier]:
    """The carriers in an order of which every beginning has contexts spread evenly.

    As far as that goes, places of the term, lengths, and carriers with doses or other facts are spread evenly, too.
    """
    return spread(spread(carriers, _shape), lambda carrier: carrier.section)


def _shape(carrier: Carrier) -> tuple[Place, bool, bool]:
    has_facts = len(SLOT.findall(carrier.text)) > 1
    return place_of_term(carrier.text), len(carrier.text.split()) > LONG, has_facts


def spread(items: Sequence[T], kind_of: Callable[[T], object]) -> list[T]:
    """In rounds with one item of each kind, as long as a kind has any; otherwise in the order given."""
    counts: Counter[object] = Counter()
    rounds = []
    for item in items:
        kind = kind_of(item)
        rounds.append(counts[kind])
        counts[kind] += 1
    order = sorted(range(len(items)), key=rounds.__getitem__)
    return [items[index] for index in order]


def place_of_term(carrier: str) -> Place:
    """In which third of a carrier its first slot stands."""
    words = carrier.split()
    place = next((number for number, word in enumerate(words) if SLOT.search(word)), None)
    if place is None:
        return "none"
    thirds: tuple[Place, ...] = ("start", "middle", "end")
    return thirds[3 * place // len(words)]


def candidates(term: Term, ranked: Iterable[Carrier], split: Split, *, seed: int) -> Iterator[Transcript]:
    """The carriers filled with a term: each with facts of a draw, then again with the next ones."""
    ranked = list(ranked)
    rounds = max([1, *(len(values) for values in term.facts.values())])
    for turn in range(rounds):
        for carrier in ranked:
            slots = [slot for slot in SLOT.findall(carrier.text) if slot != carrier.category]
            if not all(term.facts.get(slot) for slot in slots) or (turn and not slots):
                continue
            facts = {slot: _choice(term.facts[slot], seed, term.id, carrier.id, slot, turn=turn) for slot in slots}
            text, spoken = fill(carrier, term, facts)
            name = f"{term.id}.{carrier.id}"
            if turn:
                name += f".{turn}"
            yield Transcript(
                id=name,
                text=text,
                spoken=spoken,
                term_ids=(term.id,),
                carrier=carrier.text,
                split=split,
                source=carrier.source,
                section=carrier.section,
                specialty=carrier.specialty,
                language=carrier.language,
            )


def _choice(values: Sequence[str], seed: int, *names: str, turn: int) -> str:
    draw = int(draw_key(seed, "fact", *names)[:12], 16)
    return values[(draw + turn) % len(values)]


def _put(text: str, values: Mapping[str, str], language: str) -> str:
    """Fill the slots; mend English's article before a slot, and the capital at the start."""
    filled = ""
    position = 0
    for match in SLOT.finditer(text):
        filled += text[position : match.start()]
        value = values[match.group(1)]
        article = r"\g<1>n " if _has_vowel_sound(value) else r"\g<1> "
        if language.startswith(ENGLISH):
            filled = _ARTICLE.sub(article, filled)
        filled += value
        position = match.end()
    filled += text[position:]
    first_word = filled.split(" ", 1)[0]
    if first_word.islower():
        return filled[0].upper() + filled[1:]
    return filled


def _has_vowel_sound(text: str) -> bool:
    """Whether `an` goes before it: by sound, so that it is *an MRI* but *a ureter* and *a unit*."""
    first = re.split(r"[ -]", text, maxsplit=1)[0]
    if re.match(r"[A-Z]{2}", first):
        return first[0] in "AEFHILMNORSX"
    begins_with_vowel = re.match(r"(?i)[aeiou]", text) is not None
    sounds_like_consonant = re.match(r"(?i)(?:eu|uni|ur[ea]|us[eu]|ut[ei]|one\b)", text) is not None
    return begins_with_vowel and not sounds_like_consonant
