"""The same scores for parts of a test: kinds of terms, voices, accents, contexts, and a curve over SNR."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from shoptalk.core.records import Hypothesis, Term
from shoptalk.core.scores import Slice
from shoptalk.core.sets import TAUGHT, UNTAUGHT, clean_id
from shoptalk.scoring.rates import Pairs, change, joined, term_scores, terms_of

MOST_NAMES = 12
"""With more voices than this, a row for each says little; speakers are the clusters of the intervals anyway."""
CLEAN = "clean"

_OF_UTTERANCE: dict[str, Callable[[Hypothesis], str]] = {
    "voice": lambda hypothesis: hypothesis.voice,
    "accent": lambda hypothesis: hypothesis.accent,
    "context": lambda hypothesis: hypothesis.context,
}


def tier(term: Term) -> str:
    """Where the synthesiser's pronunciation of a term comes from."""
    if term.ipa:
        return "ipa"
    if term.pronounced_by == "stem":
        return "stem"
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
    for row, (before, _) in enumerate(pairs.hypotheses):
        members.setdefault(key(before), []).append(row)
    members.pop("", None)
    if 2 <= len(members) <= MOST_NAMES:
        for value, rows in sorted(members.items()):
            yield _slice(by, value, name, pairs.of(rows), terms)


def _by_snr(sets: Mapping[str, Pairs], noisy: Pairs, terms: Sequence[Term]) -> Iterable[Slice]:
    """Each SNR, loudest noise first, and the same sentences without noise."""
    by_snr: dict[float, list[int]] = {}
    for row, (before, _) in enumerate(noisy.hypotheses):
        by_snr.setdefault(before.snr_db or 0.0, []).append(row)
    set_name = noisy.hypotheses[0][0].set
    for snr_db, rows in sorted(by_snr.items()):
        yield _slice("snr", f"{snr_db:g} dB", set_name, noisy.of(rows), terms)
    clean_ids = {clean_id(before.id) for before, _ in noisy.hypotheses}
    everything = joined(list(sets.values()))
    clean_rows = [row for row, (before, _) in enumerate(everything.hypotheses) if before.id in clean_ids]
    if clean_rows:
        yield _slice("snr", CLEAN, set_name, everything.of(clean_rows), terms)


def _slice(by: str, value: str, name: str, pairs: Pairs, terms: Sequence[Term]) -> Slice:
    return Slice.model_validate(
        {
            "by": by,
            "name": value,
            "set": name,
            "count": len(pairs.hypotheses),
            "wer": change(pairs, "words"),
            "terms": term_scores(pairs, terms_of(name, terms)),
        }
    )
