"""The same scores for parts of a test: kinds of terms, voices, accents, contexts, and a curve over SNR."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Slice
from shoptalk.core.sets import TAUGHT, UNTAUGHT, clean_id
from shoptalk.scoring.rates import Pairs, change, joined, term_scores, terms_of

MOST_NAMES = 12
"""With more voices than this, one says little about each: speakers are the clusters of the intervals anyway."""
CLEAN = "clean"

_OF_UTTERANCE: dict[str, Callable[[Hypothesis], str]] = {
    "voice": lambda one: one.voice,
    "accent": lambda one: one.accent,
    "context": lambda one: one.context,
}


def tier(term: Term) -> str:
    """Where the synthesiser's pronunciation of a term comes from."""
    if term.ipa:
        return "ipa"
    return "respelled" if term.spoken else "rules"


def slices(
    sets: Mapping[str, Pairs], noisy: Pairs | None, terms: Sequence[Term], known: frozenset[str] | None
) -> Iterable[Slice]:
    """All slices of all sets; one that holds everything of its set is left out."""
    for name, pairs in sets.items():
        if name in (TAUGHT, UNTAUGHT):
            yield from _by_terms(name, pairs, terms, known)
        for by, key in _OF_UTTERANCE.items():
            yield from _by_utterances(by, name, pairs, terms, key)
    if noisy:
        yield from _by_snr(sets, noisy, terms)


def _by_terms(name: str, pairs: Pairs, terms: Sequence[Term], known: frozenset[str] | None) -> Iterable[Slice]:
    own = terms_of(name, terms)
    keys: dict[str, Callable[[Term], str]] = {"category": lambda term: term.category, "tier": tier}
    if known is not None:
        keys["known"] = lambda term: "known" if term.id in known else "unknown"
    for by, key in keys.items():
        members: dict[str, list[int]] = {}
        for place in own:
            members.setdefault(key(terms[place]), []).append(place)
        for value, chosen in sorted(members.items()):
            if scores := term_scores(pairs, chosen):
                yield Slice.model_validate(
                    {"by": by, "name": value, "set": name, "count": len(chosen), "wer": None, "terms": scores}
                )


def _by_utterances(
    by: str, name: str, pairs: Pairs, terms: Sequence[Term], key: Callable[[Hypothesis], str]
) -> Iterable[Slice]:
    members: dict[str, list[int]] = {}
    for row, (one, _) in enumerate(pairs.hypotheses):
        members.setdefault(key(one), []).append(row)
    members.pop("", None)
    if 2 <= len(members) <= MOST_NAMES:
        for value, rows in sorted(members.items()):
            yield _slice(by, value, name, pairs.of(rows), terms)


def _by_snr(sets: Mapping[str, Pairs], noisy: Pairs, terms: Sequence[Term]) -> Iterable[Slice]:
    """Each SNR, loudest noise first, and the same sentences without noise."""
    by_snr: dict[float, list[int]] = {}
    for row, (one, _) in enumerate(noisy.hypotheses):
        by_snr.setdefault(one.snr_db or 0.0, []).append(row)
    for snr_db, rows in sorted(by_snr.items()):
        yield _slice("snr", f"{snr_db:g} dB", noisy.hypotheses[0][0].set, noisy.of(rows), terms)
    same = {clean_id(one.id) for one, _ in noisy.hypotheses}
    everything = joined(list(sets.values()))
    if rows := [row for row, (one, _) in enumerate(everything.hypotheses) if one.id in same]:
        yield _slice("snr", CLEAN, noisy.hypotheses[0][0].set, everything.of(rows), terms)


def _slice(by: str, value: str, name: str, pairs: Pairs, terms: Sequence[Term]) -> Slice:
    scores = term_scores(pairs, terms_of(name, terms))
    return Slice.model_validate(
        {"by": by, "name": value, "set": name, "count": len(pairs.hypotheses), "wer": change(pairs, "words"),
         "terms": scores}
    )  # fmt: skip
