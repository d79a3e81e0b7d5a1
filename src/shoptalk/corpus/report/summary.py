"""What the page of a dataset says, counted from the records of stages 10 to 50."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import get_args

from shoptalk.core.recipe import CoverageSection
from shoptalk.core.records import Example, PronouncedBy, Term, Transcript, Utterance
from shoptalk.corpus import coverage, tiers, voices
from shoptalk.corpus.carriers import opening
from shoptalk.corpus.coverage import Coverage, Levels
from shoptalk.corpus.transcripts import place_of_term

UNKNOWN = "not told"


@dataclass(frozen=True)
class Part:
    """One bar: how many of a whole."""

    name: str
    count: float
    share: float
    """Of the whole, 0 to 1."""
    length: float
    """Of the bar, 0 to 1: the longest has 1."""


def parts(counts: Mapping[str, float], *, most: int | None = None) -> list[Part]:
    """Counts as bars, the largest first, at most so many; shares are of all counts."""
    total = sum(counts.values())
    largest = max(counts.values(), default=0.0)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Part(name, count, count / total, count / largest) for name, count in ranked[:most] if count]


@dataclass(frozen=True)
class Spread:
    """Some measured values, and where most of them lie."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return self.at(50)

    def at(self, percent: int) -> float:
        """The percentile; with one value, that."""
        if len(self.values) < 2:
            return self.values[0]
        return quantiles(self.values, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True)
class Manifest:
    """A manifest of the dataset."""

    name: str
    recordings: int
    hours: float
    texts: int
    voices: int
    """Those in blends count, blends do not."""
    terms: int
    patients: int
    """Recordings of consented patients."""


@dataclass(frozen=True)
class Effect:
    """What the augmented copies have of one kind."""

    name: str
    copies: int
    share: float
    """Of the copies."""
    told: str
    """Its range, or its kinds."""


@dataclass(frozen=True)
class TermRow:
    term: Term
    sentences: Mapping[str, int]
    """By split."""
    recordings: int
    """In which it is said, copies included."""

    @property
    def tier(self) -> str:
        return tiers.NAMES[self.term.pronounced_by] if self.term.pronounced_by else UNKNOWN


@dataclass(frozen=True)
class Covered:
    """The design, as the sentences that reached the training list fill it."""

    table: Coverage
    short: Sequence[str]
    """Cells below their minimum."""
    lost: int
    """Training sentences of stage 20 that are not in the dataset."""


@dataclass(frozen=True)
class Heat:
    """Training sentences by two factors."""

    rows: Sequence[str]
    columns: Sequence[str]
    counts: Mapping[tuple[str, ...], int]

    @property
    def most(self) -> int:
        return max(self.counts.values(), default=1)


@dataclass(frozen=True)
class Summary:
    """All that the page says."""

    lists: Sequence[Manifest]
    terms: Sequence[TermRow]
    sentences: int
    kinds: Sequence[Part]
    openings: Sequence[Part]
    """The commonest first two words of sentences."""
    distinct_openings: int
    contexts: Sequence[Part]
    places: Sequence[Part]
    sources: Sequence[Part]
    words: Spread | None
    durations: Spread | None
    """Of the sentences as spoken, in s."""
    rates: Spread | None
    """Words per minute of the sentences as spoken."""
    snr_db: Spread | None
    accents: Sequence[Part]
    """Minutes of training, dev and test by the language of the voice."""
    voices: Sequence[Part]
    """Likewise by voice; of a blend each by its share."""
    conditions: Sequence[Part]
    effects: Sequence[Effect]
    copies: int
    tiers: Sequence[Part]
    unheard: Sequence[str]
    """Texts of terms that nobody has listened to."""
    unheard_recordings: int
    covered: Covered | None
    heats: Sequence[tuple[str, Heat]]

    @property
    def spoken(self) -> Sequence[Manifest]:
        """The lists in which terms are said."""
        return [each for each in self.lists if each.terms]

    @property
    def hours(self) -> float:
        return sum(each.hours for each in self.lists)


def summarise(
    terms: Sequence[Term],
    lists: Mapping[str, Sequence[Example]],
    utterances: Sequence[Utterance],
    transcripts: Sequence[Transcript] = (),
    covered: Covered | None = None,
) -> Summary:
    """Count what a dataset has; `lists` are its manifests by name."""
    sentences = _sentences(utterances)
    originals = [utterance for utterance in utterances if utterance.text and not utterance.effects]
    copies = [utterance for utterance in utterances if utterance.text and utterance.effects]
    by_opening = Counter(opening(utterance.carrier or utterance.text) for utterance in sentences)
    snr_db = [float(copy.effects["snr_db"]) for copy in copies if "snr_db" in copy.effects]
    unheard = [term.text for term in terms if not term.verified_by]
    by_accent, by_voice = _minutes(utterances)
    return Summary(
        lists=[_manifest(name, examples) for name, examples in lists.items() if examples],
        terms=_term_rows(terms, sentences, utterances),
        sentences=len(sentences),
        kinds=parts(Counter(utterance.kind for utterance in sentences)),
        openings=parts(by_opening, most=12),
        distinct_openings=len(by_opening),
        contexts=parts(Counter(utterance.section or UNKNOWN for utterance in sentences)),
        places=parts(Counter(_place(utterance) for utterance in sentences)),
        sources=parts(Counter(transcript.source for transcript in transcripts)),
        words=_spread(len(utterance.text.split()) for utterance in sentences),
        durations=_spread(utterance.duration_s for utterance in originals),
        rates=_spread(60 * len(each.text.split()) / each.duration_s for each in originals),
        snr_db=_spread(snr_db),
        accents=parts(by_accent),
        voices=parts(by_voice, most=24),
        conditions=parts(Counter(condition(utterance) for utterance in utterances if utterance.split == "train")),
        effects=_effects(copies),
        copies=len(copies),
        tiers=parts(_by_tier(terms)),
        unheard=unheard,
        unheard_recordings=sum(bool(each.unverified_terms) for examples in lists.values() for each in examples),
        covered=covered,
        heats=_heats(covered.table) if covered else (),
    )


def cover(
    transcripts: Sequence[Transcript],
    utterances: Iterable[Utterance],
    training: Iterable[Example],
    terms: Sequence[Term],
    config: CoverageSection,
    levels: Levels,
) -> Covered:
    """The design, counted over the transcripts whose recordings are in the training list."""
    kept = {example.id for example in training}
    there = {utterance.transcript_id for utterance in utterances if utterance.id in kept}
    reached = [each for each in transcripts if each.split != "train" or each.id in there]
    table = coverage.counted(reached, terms, config, levels)
    return Covered(table, coverage.short_cells(table, terms, levels), len(transcripts) - len(reached))


def condition(utterance: Utterance) -> str:
    """What was done to a recording besides its voice and level: ``clean``, ``noise, room``; from its effects."""
    if utterance.kind == "wordless":
        return "without words"
    names = {
        "room": "room",
        "noise": "noise",
        "microphone_low_hz": "microphone",
        "telephone": "telephone",
        "codec": "codec",
        "packet_loss": "lost packets",
    }
    there = [name for key, name in names.items() if key in utterance.effects]
    if there:
        return ", ".join(there)
    return "level and speed" if utterance.effects else "clean"


def _sentences(utterances: Iterable[Utterance]) -> list[Utterance]:
    """One recording of each sentence."""
    by_transcript: dict[str, Utterance] = {}
    for utterance in utterances:
        if utterance.text:
            by_transcript.setdefault(utterance.transcript_id, utterance)
    return list(by_transcript.values())


def _manifest(name: str, examples: Sequence[Example]) -> Manifest:
    return Manifest(
        name=name,
        recordings=len(examples),
        hours=sum(example.duration_s for example in examples) / 3600,
        texts=len({example.text for example in examples}),
        voices=len({name for example in examples for name in voices.parts(example.voice)}),
        terms=len({term_id for example in examples for term_id in example.term_ids}),
        patients=sum(example.patient for example in examples),
    )


def _place(utterance: Utterance) -> str:
    place = place_of_term(utterance.carrier) if utterance.term_ids else "none"
    names = {"start": "first third", "middle": "middle", "end": "last third", "none": "no term"}
    return names[place]


def _spread(values: Iterable[float]) -> Spread | None:
    kept = [value for value in values if math.isfinite(value)]
    return Spread(kept) if kept else None


def _minutes(utterances: Iterable[Utterance]) -> tuple[dict[str, float], dict[str, float]]:
    """Minutes by accent and by voice."""
    by_accent: dict[str, float] = defaultdict(float)
    by_voice: dict[str, float] = defaultdict(float)
    for utterance in utterances:
        if not utterance.text:
            continue
        minutes = utterance.duration_s / 60
        for name, share in _shares(utterance.voice):
            by_voice[name] += minutes * share
            by_accent[utterance.accent or voices.accent(name) or UNKNOWN] += minutes * share
    return by_accent, by_voice


def _shares(voice: str) -> list[tuple[str, float]]:
    """The voices of a blend with their shares: ``af_sky*0.4+am_eric*0.6``; of one voice, all."""
    shares = []
    for part in voice.split("+"):
        name, _, share = part.partition("*")
        shares.append((name, float(share) if share else 1.0))
    return shares


def _by_tier(terms: Sequence[Term]) -> dict[str, float]:
    counts = Counter(term.pronounced_by for term in terms)
    named: dict[str, float] = {tiers.NAMES[tier]: counts[tier] for tier in get_args(PronouncedBy)}
    named[UNKNOWN] = counts[None]
    return named


def _term_rows(terms: Sequence[Term], sentences: Iterable[Utterance], utterances: Iterable[Utterance]) -> list[TermRow]:
    by_split: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        for term_id in sentence.term_ids:
            by_split[term_id][sentence.split] += 1
    recordings = Counter(term_id for utterance in utterances for term_id in utterance.term_ids)
    return [TermRow(term, by_split[term.id], recordings[term.id]) for term in terms]


def _effects(copies: Sequence[Utterance]) -> list[Effect]:
    """What the copies have, the commonest first."""
    numbers: dict[str, list[float]] = defaultdict(list)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for copy in copies:
        for key, value in copy.effects.items():
            if isinstance(value, str):
                kinds[key][value] += 1
            else:
                numbers[key].append(value)
    rows = []
    for key, values in numbers.items():
        if key in _MEASURED:
            name, unit = _MEASURED[key]
            told = f"{min(values):g} to {max(values):g}{unit}, median {Spread(values).median:.3g}{unit}"
            rows.append(Effect(name, len(values), len(values) / len(copies), told))
    for key, counts in kinds.items():
        if key in _NAMED:
            count = counts.total()
            rows.append(Effect(_NAMED[key], count, count / len(copies), _kinds_told(key, counts)))
    return sorted(rows, key=lambda row: (-row.copies, row.name))


_MEASURED = {
    "snr_db": ("SNR of the noise", " dB"),
    "speed": ("speed", " times"),
    "tempo": ("tempo", " times"),
    "semitones": ("pitch", " semitones"),
    "vocal_tract": ("vocal tract", " times"),
    "gain_db": ("level", " dB"),
    "microphone_tilt_db": ("microphone", " dB an octave"),
    "packet_loss": ("lost packets", " of all"),
}
_NAMED = {"noise": "noise", "room": "room", "telephone": "telephone line", "codec": "codec"}


def _kinds_told(key: str, counts: Counter[str]) -> str:
    if key == "noise":
        return f"{len(counts)} recordings of noise"
    if key == "room":
        return f"{len(counts)} rooms"
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _heats(table: Coverage) -> list[tuple[str, Heat]]:
    """Contexts and conditions against groups of voices, where the design plans voices."""
    heats = []
    for title, row_factor in (("Contexts and voices", "context"), ("Conditions and voices", "condition")):
        margin = table.margin(row_factor, "voice")
        rows = sorted({row for row, _ in margin if row})
        columns = sorted({column for _, column in margin if column})
        if rows and columns:
            heats.append((title, Heat(rows, columns, margin)))
    return heats
