"""Stage 70: from the hypotheses of the base and of the tuned model to scores.

Shapes: N utterances, T terms.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoptalk.config import EvaluateSection
from shoptalk.errors import ScoringError
from shoptalk.records import Hypothesis, Term
from shoptalk.scoring.bootstrap import Draws, Interval, Kind, draw, paired
from shoptalk.scoring.scores import Change, Example, GroupRow, Misheard, Rate, Scores, SetScores, TermRow, Verdict
from shoptalk.scoring.term_scores import TermTable, join, tabulate
from shoptalk.scoring.wer import Counts, count_characters, count_words, pair
from shoptalk.terms import occurrences, phonetic_distance

SETS = ("taught", "untaught", "general")
"""Test sets in the order of the report; the first two are domain sentences."""

MISHEARD = 5
"""So many of the forms heard instead of a term are kept."""

Pairs = list[tuple[Hypothesis, Hypothesis]]
Counted = npt.NDArray[np.int64]
Ratio = tuple[Counted, Counted]
"""Numerators and denominators, each (N,)."""


@dataclass(frozen=True)
class _Tables:
    """The counts of one or all sets, before and after tuning."""

    words: tuple[list[Counts], ...]
    characters: tuple[list[Counts], ...]
    terms: tuple[TermTable, ...]
    draws: Draws

    @property
    def reference_words_N(self) -> Counted:
        return np.array([one.reference for one in self.words[0]], np.int64)


def evaluate(
    before: Iterable[Hypothesis],
    after: Iterable[Hypothesis],
    terms: Sequence[Term],
    config: EvaluateSection,
    *,
    seed: int,
    known: frozenset[str] | None = None,
) -> Scores:
    """Score what the base heard (`before`) against what the tuned model heard (`after`) on the same utterances.

    `known` are the ids of the terms that stand in the base's training text (see `terms.occurring`). `ScoringError`:
    the two sides do not pair by id, nothing to score, or an unknown set.
    """
    pairs = pair(before, after)
    strange = sorted({one.set for one, _ in pairs} - set(SETS))
    if strange or not pairs:
        raise ScoringError(f"unknown test set {strange}; known: {SETS}" if strange else "no hypotheses to score")
    terms = sorted(terms, key=lambda term: (not term.taught, term.id))
    by_set = {name: chosen for name in SETS if (chosen := [both for both in pairs if both[0].set == name])}
    tables = {name: _tables(chosen, terms, config, seed) for name, chosen in by_set.items()}
    everything = _joined(list(tables.values()), [both for chosen in by_set.values() for both in chosen], config, seed)
    return Scores(
        sets={name: _set_scores(name, by_set[name], terms, tables[name]) for name in by_set},
        terms=tuple(_term_rows(terms, tables, everything, known)),
        categories=tuple(_groups(terms, tables, {term.id: term.category for term in terms})),
        knowledge=tuple(
            _groups(terms, tables, {term.id: "known" if term.id in known else "unknown" for term in terms})
            if known is not None
            else ()
        ),
        examples=tuple(_examples(by_set)),
        unfound=tuple(_unfound(pairs, terms)),
        confidence=config.confidence,
        bootstrap=config.bootstrap,
        seed=seed,
    )


def _tables(pairs: Pairs, terms: Sequence[Term], config: EvaluateSection, seed: int) -> _Tables:
    texts = tuple([(both[side].reference, both[side].heard) for both in pairs] for side in (0, 1))
    return _Tables(
        words=tuple([count_words(*text) for text in side] for side in texts),
        characters=tuple([count_characters(*text) for text in side] for side in texts),
        terms=tuple(tabulate(terms, side) for side in texts),
        draws=_draws(pairs, config, seed),
    )


def _joined(tables: Sequence[_Tables], pairs: Pairs, config: EvaluateSection, seed: int) -> _Tables:
    """The tables of several sets, whose pairs follow each other, as one."""
    return _Tables(
        words=tuple([one for table in tables for one in table.words[side]] for side in (0, 1)),
        characters=tuple([one for table in tables for one in table.characters[side]] for side in (0, 1)),
        terms=tuple(join([table.terms[side] for table in tables]) for side in (0, 1)),
        draws=_draws(pairs, config, seed),
    )


def _draws(pairs: Pairs, config: EvaluateSection, seed: int) -> Draws:
    clusters = [one.cluster or one.id for one, _ in pairs]
    return draw(clusters, draws=config.bootstrap, confidence=config.confidence, seed=seed)


# --- changes ---------------------------------------------------------------------------------------------------


def _change(
    before: Ratio, after: Ratio, draws: Draws, *, kind: Kind = "ratio", per: int = 1, rising: bool = False
) -> Change:
    """`per`: the rate is in so many of the denominator. `rising`: more is better."""
    one, two, difference = paired(
        (before[0].astype(float), before[1] / per), (after[0].astype(float), after[1] / per), draws, kind=kind
    )
    counts = int(before[0].sum()), int(after[0].sum())
    return Change(
        before=_as_rate(one, counts[0], int(before[1].sum())),
        after=_as_rate(two, counts[1], int(after[1].sum())),
        difference=_as_rate(difference, counts[1] - counts[0], None),
        verdict=_verdict(difference, rising),
    )


def _as_rate(interval: Interval, count: int, of: int | None) -> Rate:
    return Rate(value=interval.value, low=interval.low, high=interval.high, count=count, of=of)


def _verdict(difference: Interval, rising: bool) -> Verdict:
    if difference.low is None or difference.high is None or difference.low <= 0.0 <= difference.high:
        return "unclear"
    return "better" if (difference.low > 0.0) == rising else "worse"


def _error_change(counts: tuple[list[Counts], ...], draws: Draws) -> Change:
    before, after = (
        (np.array([one.errors for one in side], np.int64), np.array([one.reference for one in side], np.int64))
        for side in counts
    )
    return _change(before, after, draws)


def _recall(tables: _Tables, chosen: Sequence[int]) -> tuple[Change, Change]:
    """Recall, and term error, which is 1 − recall."""
    both = [(one.found_NT[:, chosen].sum(1), one.reference_NT[:, chosen].sum(1)) for one in tables.terms]
    missed = [(reference - found, reference) for found, reference in both]
    return (
        _change(both[0], both[1], tables.draws, kind="proportion", rising=True),
        _change(missed[0], missed[1], tables.draws, kind="proportion"),
    )


def _precision(tables: _Tables, chosen: Sequence[int]) -> Change:
    both = [(one.found_NT[:, chosen].sum(1), one.heard_NT[:, chosen].sum(1)) for one in tables.terms]
    return _change(both[0], both[1], tables.draws, kind="proportion", rising=True)


def _false_insertions(tables: _Tables, chosen: Sequence[int]) -> Change:
    both = [(one.inserted_NT[:, chosen].sum(1), tables.reference_words_N) for one in tables.terms]
    return _change(both[0], both[1], tables.draws, per=1_000)


# --- rows ------------------------------------------------------------------------------------------------------


def _set_scores(name: str, pairs: Pairs, terms: Sequence[Term], tables: _Tables) -> SetScores:
    taught = [place for place, term in enumerate(terms) if term.taught]
    own = [place for place, term in enumerate(terms) if _home(term) == name]
    recall, term_error = _recall(tables, own) if own else (None, None)
    return SetScores(
        utterances=len(pairs),
        clusters=tables.draws.count,
        words=int(tables.reference_words_N.sum()),
        wer=_error_change(tables.words, tables.draws),
        cer=_error_change(tables.characters, tables.draws),
        false_insertions=_false_insertions(tables, taught),
        term_error=term_error,
        recall=recall,
        precision=_precision(tables, own) if own else None,
    )


def _home(term: Term) -> str:
    """The set in which a term's recall is measured."""
    return "taught" if term.taught else "untaught"


def _term_rows(
    terms: Sequence[Term], tables: dict[str, _Tables], everything: _Tables, known: frozenset[str] | None
) -> Iterable[TermRow]:
    for place, term in enumerate(terms):
        home = tables.get(_home(term))
        if home is None or not home.terms[0].reference_NT[:, place].any():
            continue
        yield TermRow(
            id=term.id,
            text=term.text,
            category=term.category,
            taught=term.taught,
            known=None if known is None else term.id in known,
            recall=_recall(home, [place])[0],
            precision=_precision(everything, [place]),
            false_insertions=_false_insertions(everything, [place]),
            instead_before=_misheard(term, home.terms[0].instead[place]),
            instead_after=_misheard(term, home.terms[1].instead[place]),
        )


def _misheard(term: Term, heard: Counter[str]) -> tuple[Misheard, ...]:
    ranked = sorted(heard.items(), key=lambda item: (-item[1], item[0]))[:MISHEARD]
    return tuple(
        Misheard(words=words, count=count, distance=round(phonetic_distance(term.text, words), 3))
        for words, count in ranked
    )


def _groups(terms: Sequence[Term], tables: dict[str, _Tables], names: dict[str, str]) -> Iterable[GroupRow]:
    members: dict[tuple[bool, str], list[int]] = {}
    for place, term in enumerate(terms):
        home = tables.get(_home(term))
        if home is not None and home.terms[0].reference_NT[:, place].any():
            members.setdefault((not term.taught, names[term.id]), []).append(place)
    for (untaught, name), chosen in sorted(members.items()):
        own = tables["untaught" if untaught else "taught"]
        recall, term_error = _recall(own, chosen)
        yield GroupRow(
            name=name,
            taught=not untaught,
            terms=len(chosen),
            term_error=term_error,
            recall=recall,
            precision=_precision(own, chosen),
        )


def _unfound(pairs: Pairs, terms: Sequence[Term]) -> Iterable[str]:
    by_id = {term.id: term for term in terms}
    for one, _ in pairs:
        for term_id in one.term_ids:
            if term_id in by_id and not occurrences(by_id[term_id], one.reference):
                yield f"{one.id}: {term_id}"


def _examples(by_set: dict[str, Pairs]) -> Iterable[Example]:
    """The same rule for every run: where tuning helped most, where it did not, and where it did harm."""
    for name, pairs in by_set.items():
        few = 4 if name == "taught" else 2
        rows = []
        for before, after in pairs:
            errors = (
                count_words(before.reference, before.heard).errors,
                count_words(after.reference, after.heard).errors,
            )
            rows.append((errors[1] - errors[0], errors[1], before, after))
        improved = sorted((row for row in rows if row[0] < 0), key=lambda row: (row[0], row[1], row[2].id))
        worse = sorted((row for row in rows if row[0] > 0), key=lambda row: (-row[0], row[2].id))
        stuck = sorted((row for row in rows if row[0] == 0 and row[1]), key=lambda row: (-row[1], row[2].id))
        for kind, chosen in (("improved", improved[:few]), ("still wrong", stuck[:2]), ("worse", worse[:2])):
            for _, _, before, after in chosen:
                yield Example.model_validate(
                    {
                        "id": before.id,
                        "set": name,
                        "kind": kind,
                        "reference": before.reference,
                        "before": before.heard,
                        "after": after.heard,
                    }
                )
