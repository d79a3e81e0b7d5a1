"""Stage 20: sentences beside those with one term: confused terms, several terms, none, and numbers.

They train; those without a term are in dev too; none is tested. Each depends on the seed and on ids, not on the order
of the terms.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np

from shoptalk.core import terms as term_forms
from shoptalk.core.languages import ENGLISH
from shoptalk.core.recipe import TranscriptsSection
from shoptalk.core.records import Split, Term, Transcript
from shoptalk.core.terms import nearest_of_each, occurrences, occurrences_of_all, sounds_of
from shoptalk.core.text import words_unkept
from shoptalk.corpus import numerals, verbalise
from shoptalk.corpus.carriers import Carrier
from shoptalk.corpus.company import Circle, circle_of, company
from shoptalk.corpus.frames import OTHER, TERM, THIRD, Frame, phrases_of, with_phrase
from shoptalk.corpus.privacy import finding, plain_words
from shoptalk.corpus.splits import assign, draw_key, near_duplicates, near_pairs
from shoptalk.corpus.transcripts import (
    Pools,
    Problem,
    candidates,
    faults,
    pools_of,
    put,
    said_name,
    spread,
    wanted_for,
)

SOUNDS_ALIKE = 0.3
"""Phonetic distance up to which terms are confused: of hydralazine and hydroxyzine it is 0.294."""
LOOKS_ALIKE = (0.4, 0.7)
"""Terms are also confused up to this phonetic distance where so much of their spelling is the same."""
NEIGHBOURS = 3
"""Terms that a term is held against because they sound like it, at most; those that the lexicon names come on top."""
JOINS = 20
"""Pairs of carriers that are tried for an utterance with several terms, at most."""
TRIES = 20
"""Sentences with numbers that are drawn for each one that is wanted, at most."""

Pair = tuple[Term, Term]


def beside(
    terms: Sequence[Term],
    made: Sequence[Transcript],
    carriers: Sequence[Carrier],
    frames: Sequence[Frame],
    config: TranscriptsSection,
    *,
    seed: int,
    is_clinical: bool = True,
    language: str = ENGLISH,
) -> tuple[list[Transcript], list[Problem]]:
    """The further sentences that the recipe asks for beside those `made` of `carriers`, and a word on what is missing.

    None is like a sentence of another split or names a held-out term. Numbers are those of a clinic, or of anywhere;
    in English only.
    """
    pools, _ = pools_of(carriers, config, seed=seed)
    usable = _usable(frames, made)
    screen = _Screen(terms, made, config, language)
    number_frames = numerals.frames_for(is_clinical=is_clinical) if language == ENGLISH else ()
    further = [
        *_contrasts(terms, made, pools, usable, config, screen, seed),
        *_several(terms, pools, usable, config, screen, seed),
        *_without(terms, made, pools, usable, config, screen, seed),
        *_numbers(made, number_frames, config, screen, seed),
    ]
    apart = kept_apart(further, made)
    problems = [Problem("*", message) for message in screen.short]
    if len(apart) < len(further):
        problems.append(Problem("*", f"{len(further) - len(apart)} sentences are like one of another split"))
    return apart, problems


def confused_pairs(terms: Iterable[Term]) -> list[Pair]:
    """Pairs of trained terms that sound or look alike, and those that `confused_with` names; sorted by their ids.

    A name that is no term of the lexicon becomes a term of its own here; sentences say it but do not count it.
    """
    by_id = {term.id: term for term in terms}
    trained = [by_id[term_id] for term_id in sorted(by_id) if by_id[term_id].taught]
    by_name: dict[str, Term] = {}
    for term in by_id.values():
        for name in (term.id, term.text, *term.variants):
            by_name.setdefault(name.casefold(), term)
    pairs = {(left.id, right.id): (left, right) for left, right in _alike(trained)}
    for term in trained:
        for name in term.confused_with:
            uncounted = Term(id=re.sub(r"\W+", "-", name.casefold()), text=name, category=term.category)
            other = by_name.get(name.casefold(), uncounted)
            if other.taught and other.id != term.id:
                left, right = sorted((term, other), key=lambda member: member.id)
                pairs[left.id, right.id] = (left, right)
    return [pairs[key] for key in sorted(pairs)]


def kept_apart(further: Sequence[Transcript], made: Sequence[Transcript]) -> list[Transcript]:
    """The further transcripts without those that are like one of another split."""
    splits_of: dict[str, set[Split]] = defaultdict(set)
    for transcript in (*made, *further):
        splits_of[transcript.carrier].add(transcript.split)
    texts = sorted(splits_of)
    near: dict[str, set[Split]] = {text: set(splits) for text, splits in splits_of.items()}
    for i, j in near_pairs(texts):
        near[texts[i]] |= splits_of[texts[j]]
        near[texts[j]] |= splits_of[texts[i]]
    return [transcript for transcript in further if near[transcript.carrier] == {transcript.split}]


class _Screen:
    """Which further sentences are let in, and what could not be made."""

    def __init__(
        self, terms: Sequence[Term], made: Sequence[Transcript], config: TranscriptsSection, language: str
    ) -> None:
        self._by_id = {term.id: term for term in terms}
        self._config = config
        self._known = term_forms.index_of(terms)
        self._held_out = frozenset(term.id for term in terms if not term.taught)
        self._plain = plain_words(terms, config.allowed_words, language) if config.check_privacy else None
        self._texts = {transcript.text for transcript in made}
        self.short: list[str] = []

    def passes(self, transcript: Transcript) -> bool:
        """Whether it is new and faultless, tells of no person, and names no held-out term, nor any if it has none."""
        if transcript.text in self._texts or faults(transcript, self._by_id, self._config):
            return False
        if self._plain and finding(transcript.text, self._plain):
            return False
        named = {self._known.ids[place] for place in occurrences_of_all(self._known, transcript.text)}
        return not (named & self._held_out) and (bool(transcript.term_ids) or not named)

    def first(self, wanted: int, kind: str, candidates: Iterable[Transcript]) -> list[Transcript]:
        """So many that pass, from the beginning; what is short of it is noted."""
        kept: list[Transcript] = []
        for transcript in candidates:
            if len(kept) == wanted:
                break
            if self.passes(transcript):
                self._texts.add(transcript.text)
                kept.append(transcript)
        if len(kept) < wanted:
            self.short.append(f"{len(kept)} of {wanted} {kind} could be made")
        return kept

    def take(self, transcripts: Sequence[Transcript]) -> None:
        """Note what was let in together."""
        self._texts.update(transcript.text for transcript in transcripts)


def _usable(frames: Iterable[Frame], made: Iterable[Transcript]) -> list[Frame]:
    """The frames that are like no sentence that was made."""
    made_carriers = sorted({transcript.carrier for transcript in made})
    own = [frame for frame in frames if frame.kind != "phrase"]
    near = {ours for ours, _ in near_duplicates([frame.text for frame in own], made_carriers)}
    return [frame for frame in frames if frame.kind == "phrase" or frame.text not in near]


def _alike(terms: Sequence[Term]) -> Iterator[Pair]:
    """Each pair of terms, the first listed first, that sound or look alike and neither of which stands in the other."""
    farthest, same_spelling = LOOKS_ALIKE
    sounds = [sounds_of(words_unkept(term.text)) for term in terms]
    taken: set[tuple[int, int]] = set()
    for i, near in enumerate(nearest_of_each(sounds, sounds, at_most=farthest)):
        kept = 0
        for distance, j in near:
            if i == j or kept == NEIGHBOURS or _is_part(terms[i], terms[j]):
                continue
            spelling = SequenceMatcher(None, terms[i].text.casefold(), terms[j].text.casefold(), autojunk=False)
            if distance <= SOUNDS_ALIKE or spelling.ratio() >= same_spelling:
                kept += 1
                taken.add((min(i, j), max(i, j)))
    for i, j in sorted(taken):
        yield terms[i], terms[j]


def _is_part(left: Term, right: Term) -> bool:
    return bool(occurrences(left, right.text) or occurrences(right, left.text))


# ---- confused terms


def _contrasts(
    terms: Sequence[Term],
    made: Sequence[Transcript],
    pools: Pools,
    frames: Sequence[Frame],
    config: TranscriptsSection,
    screen: _Screen,
    seed: int,
) -> Iterator[Transcript]:
    known = {term.id for term in terms}
    used: dict[str, set[str]] = defaultdict(set)
    for transcript in made:
        for term_id in transcript.term_ids:
            used[term_id].add(transcript.carrier)
    count = config.contrast_per_pair
    for pair in confused_pairs(terms) if count else ():
        names = " and ".join(term.text for term in pair)
        yield from screen.first(count, f"contrasts of {names}", _with_both(pair, known, frames, seed))
        pairs_made = 0
        for either in _with_either(pair, known, pools, used, seed):
            if pairs_made == count:
                break
            if all(map(screen.passes, either)):
                pairs_made += 1
                screen.take(either)
                for term, transcript in zip(pair, either, strict=True):
                    used[term.id].add(transcript.carrier)
                yield from either


def _with_both(pair: Pair, known: set[str], frames: Sequence[Frame], seed: int) -> Iterator[Transcript]:
    """A sentence of each frame that names both."""
    names = [term.id for term in pair]
    fitting = [frame for frame in frames if frame.kind == "contrast" and frame.category in ("", pair[0].category)]
    for frame in sorted(fitting, key=lambda frame: draw_key(seed, "contrast", *names, frame.id)):
        is_turned = int(draw_key(seed, "order", *names, frame.id), 16) % 2
        first, second = pair[::-1] if is_turned else pair
        yield _of_frame(frame, {TERM: first, OTHER: second}, known)


def _with_either(
    pair: Pair, known: set[str], pools: Pools, used: Mapping[str, set[str]], seed: int
) -> Iterator[tuple[Transcript, Transcript]]:
    """The same carrier with the one and with the other, of those that neither has yet; both must be of one category."""
    left, right = pair
    if left.category != right.category or not {left.id, right.id} <= known:
        return
    free = [carrier for carrier in pools.get((left.category, "train"), ())]
    free.sort(key=lambda carrier: draw_key(seed, "either", left.id, right.id, carrier.id))
    for carrier in free:
        if carrier.text in used[left.id] | used[right.id]:
            continue
        filled = [next(candidates(term, [carrier], "train", seed=seed), None) for term in pair]
        if filled[0] and filled[1]:
            yield _as_contrast(filled[0]), _as_contrast(filled[1])


def _as_contrast(transcript: Transcript) -> Transcript:
    return transcript.model_copy(update={"kind": "contrast"})


# ---- several terms


def _several(
    terms: Sequence[Term],
    pools: Pools,
    frames: Sequence[Frame],
    config: TranscriptsSection,
    screen: _Screen,
    seed: int,
) -> Iterator[Transcript]:
    if not config.several:
        return
    trained = sorted((term for term in terms if term.taught), key=lambda term: term.id)
    circles = {category: _circle(trained, category, seed) for category in ("", *{term.category for term in trained})}
    for term in trained:
        draw = int(draw_key(seed, "several", term.id)[:12], 16) / 16**12
        wanted = int(wanted_for(term, config)["train"] * config.several + draw)
        by_frame = _framed(term, circles, frames, seed)
        joined = _joined(term, circles[""], pools, config, seed)
        yield from screen.first(wanted, f"sentences with {term.text} and other terms", _in_turn(by_frame, joined))


def _circle(trained: Iterable[Term], category: str, seed: int) -> Circle:
    return circle_of([term for term in trained if category in ("", term.category)], seed=seed)


def _in_turn(*streams: Iterator[Transcript]) -> Iterator[Transcript]:
    """One of each stream, again and again, as long as there are any."""
    waiting = list(streams)
    while waiting:
        for stream in list(waiting):
            transcript = next(stream, None)
            if transcript is None:
                waiting.remove(stream)
            else:
                yield transcript


def _framed(term: Term, circles: Mapping[str, Circle], frames: Sequence[Frame], seed: int) -> Iterator[Transcript]:
    """A sentence of each frame that has a place for the term and for which the lexicon has the other terms."""
    fitting = []
    for frame in frames:
        has_place = TERM in frame.slots and frame.category in ("", term.category) or term.category in frame.slots
        if frame.kind == "several" and has_place:
            fitting.append(frame)
    for frame in sorted(fitting, key=lambda frame: draw_key(seed, "frame", term.id, frame.id)):
        chosen = _cast(frame, term, circles, seed)
        if chosen:
            yield _of_frame(frame, chosen, {member.id for member in chosen.values()})


def _cast(frame: Frame, term: Term, circles: Mapping[str, Circle], seed: int) -> dict[str, Term]:
    """Who fills which slot; nobody twice, and nothing if a slot stays empty."""
    name = f"{term.id}.{frame.id}"
    alike = [slot for slot in (TERM, OTHER, THIRD) if slot in frame.slots]
    chosen: dict[str, Term] = {}
    own = frame.category if frame.category == term.category or not frame.category else ""
    if alike and TERM in frame.slots and frame.category in ("", term.category):
        members = company(name, term, len(alike) - 1, circles[own], seed=seed)
        chosen.update(zip(alike, members, strict=False))
    elif term.category in frame.slots:
        chosen[term.category] = term
    for slot in frame.slots:
        if slot not in chosen and slot in circles:
            others = company(f"{name}.{slot}", term, len(frame.slots), circles[slot], seed=seed)
            free = [member for member in others if member.id not in {there.id for there in chosen.values()}]
            if free:
                chosen[slot] = free[0]
    return chosen if set(chosen) == set(frame.slots) else {}


def _joined(term: Term, circle: Circle, pools: Pools, config: TranscriptsSection, seed: int) -> Iterator[Transcript]:
    """Two carriers one after the other, the first with the term, the second with another."""
    own = _ranked(term, pools, seed)
    for number in range(min(JOINS, len(own))):
        partners = company(f"{term.id}.joined.{number}", term, 1, circle, seed=seed)[1:]
        for other in partners:
            theirs = _ranked(other, pools, seed)
            if not theirs:
                continue
            first = next(candidates(term, [own[number]], "train", seed=seed), None)
            second = next(candidates(other, [theirs[number % len(theirs)]], "train", seed=seed), None)
            if not (first and second and first.language == second.language):
                continue
            if first.carrier != second.carrier:
                yield first.model_copy(
                    update={
                        "id": f"{first.id}.{second.id}",
                        "text": f"{first.text} {second.text}",
                        "spoken": f"{first.spoken} {second.spoken}",
                        "term_ids": (term.id, other.id),
                        "carrier": f"{first.carrier} {second.carrier}",
                        "kind": "several",
                    }
                )


def _ranked(term: Term, pools: Pools, seed: int) -> list[Carrier]:
    pool = pools.get((term.category, "train"), ())
    return sorted(pool, key=lambda carrier: draw_key(seed, "joined", term.id, carrier.id))


def _of_frame(frame: Frame, chosen: Mapping[str, Term], known: set[str]) -> Transcript:
    """The sentence of a frame with these terms in its slots; those that are `known` count."""
    members = list(chosen.values())
    text, spoken = put(
        frame.text,
        {slot: term.text for slot, term in chosen.items()},
        {slot: said_name(term) for slot, term in chosen.items()},
        language=frame.language,
    )
    return Transcript(
        id=".".join([*(member.id for member in members), frame.id]),
        text=text,
        spoken=spoken,
        term_ids=tuple(member.id for member in members if member.id in known),
        carrier=frame.text,
        split="train",
        source=frame.source,
        section=frame.section,
        specialty=frame.specialty,
        language=frame.language,
        kind="contrast" if frame.kind == "contrast" else "several",
    )


# ---- no term


def _without(
    terms: Sequence[Term],
    made: Sequence[Transcript],
    pools: Pools,
    frames: Sequence[Frame],
    config: TranscriptsSection,
    screen: _Screen,
    seed: int,
) -> Iterator[Transcript]:
    categories = sorted({term.category for term in terms})
    sentences = [frame for frame in frames if frame.kind == "without" and frame.category in ("", *categories)]
    splits = _for_training_and_dev([frame.text for frame in sentences], config, seed)
    for split, wanted in _wanted(made, config.without).items():
        plain = []
        for frame, own_split in zip(sentences, splits, strict=True):
            if own_split == split:
                plain.append(_plain(frame, split))
        filled = list(_with_phrases(categories, split, pools, frames, seed))
        ranked = sorted([*plain, *filled], key=lambda draft: draw_key(seed, "without", draft.id))
        by_carrier = spread(ranked, lambda draft: draft.carrier)
        yield from screen.first(wanted, f"{split} sentences without a term", spread(by_carrier, _section))


def _section(transcript: Transcript) -> str:
    return transcript.section


def _with_phrases(
    categories: Iterable[str], split: Split, pools: Pools, frames: Sequence[Frame], seed: int
) -> Iterator[Transcript]:
    """The carriers of a split, each with each phrase that can stand in its slot."""
    for category in categories:
        phrases = phrases_of(category, frames)
        for carrier in pools.get((category, split), ()):
            for number, phrase in enumerate(phrases):
                instead = with_phrase(carrier, phrase)
                if not instead:
                    continue
                values = {carrier.category: instead}
                text, spoken = put(carrier.text, values, {carrier.category: verbalise.spoken(instead)})
                yield Transcript(
                    id=f"without.{carrier.id}.{number}",
                    text=text,
                    spoken=spoken,
                    term_ids=(),
                    carrier=carrier.text,
                    split=split,
                    source=carrier.source,
                    section=carrier.section,
                    specialty=carrier.specialty,
                    kind="without",
                )


def _plain(frame: Frame, split: Split) -> Transcript:
    return Transcript(
        id=f"without.{frame.id}",
        text=frame.text,
        spoken=verbalise.spoken(frame.text, frame.language),
        term_ids=(),
        carrier=frame.text,
        split=split,
        source=frame.source,
        section=frame.section,
        specialty=frame.specialty,
        language=frame.language,
        kind="without",
    )


# ---- numbers


def _numbers(
    made: Sequence[Transcript], frames: Sequence[str], config: TranscriptsSection, screen: _Screen, seed: int
) -> Iterator[Transcript]:
    splits = _for_training_and_dev(frames, config, seed)
    for split, wanted in _wanted(made, config.numbers).items():
        own = [frame for frame, own_split in zip(frames, splits, strict=True) if own_split == split]
        yield from screen.first(wanted, f"{split} sentences with numbers", _with_numbers(own, split, wanted, seed))


def _with_numbers(frames: Sequence[str], split: Split, wanted: int, seed: int) -> Iterator[Transcript]:
    for number in range(TRIES * wanted if frames else 0):
        sentence = numerals.sentence(np.random.default_rng([seed, *split.encode(), number]), frames)
        yield Transcript(
            id=f"numbers.{split}.{number:05d}",
            text=sentence.written,
            spoken=sentence.spoken,
            term_ids=(),
            carrier=sentence.frame,
            split=split,
            source="shipped:numerals",
            kind="numbers",
        )


def _wanted(made: Iterable[Transcript], part: float) -> dict[Split, int]:
    """How many sentences without a term each split gets, of which those with one are given."""
    counts = Counter(transcript.split for transcript in made)
    splits: tuple[Split, ...] = ("train", "dev")
    return {split: round(part * counts[split]) for split in splits}


def _for_training_and_dev(texts: Sequence[str], config: TranscriptsSection, seed: int) -> list[Split]:
    wanted: dict[Split, int] = {"train": config.train_per_term, "dev": config.dev_per_term, "test": 0}
    return assign(texts, [""] * len(texts), wanted, seed=seed)
