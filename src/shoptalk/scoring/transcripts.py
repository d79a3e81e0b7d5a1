"""Scores of transcripts from anywhere, against references: text alone, without a run and without audio.

Two recognisers may be compared; their difference is paired, and whole clusters (speakers, consultations) are drawn.

Terms are counted over the whole lexicon by `core.terms`: a mention belongs to one term, in any of its written forms. On
both sides each mention is written as its term; it is right where the alignment pairs all its words with the same words.
Of equally short alignments, that one is taken which pairs words wherever it can, from the end. Published medical word
error rates are counted in this way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoptalk.core.errors import ScoringError
from shoptalk.core.recipe import EvaluateSection
from shoptalk.core.records import Term
from shoptalk.core.scores import Change, Part, Rate, Verdict
from shoptalk.core.terms import Index, Mention, folded, index_as_listed, index_of, mentions
from shoptalk.core.text import Rules, words
from shoptalk.scoring import equal_words
from shoptalk.scoring.bootstrap import Counts, Draws, draw, ranges
from shoptalk.scoring.equal_words import EqualWords
from shoptalk.scoring.rates import ratio_change
from shoptalk.scoring.term_scores import Ratio
from shoptalk.scoring.wer import count_all

WER, WER_EQUAL, MEAN, TERMS = "wer", "wer_equal", "mean_of_files", "terms"
_PAIRED, _DELETED, _INSERTED = 0, 1, 2


@dataclass(frozen=True)
class Texts:
    """One reference, and what each recogniser made of it."""

    id: str
    cluster: str
    """What is drawn together: the speaker or the consultation."""
    reference: str
    recognised: tuple[str, ...]
    """One text, or two of two recognisers."""
    file: str = ""
    """The recording that a segment is of; empty: the text is a file of its own."""


@dataclass(frozen=True)
class Wishes:
    """What is counted, and how."""

    rules: Rules = "leaderboard"
    equal: EqualWords | None = None
    """Words taken as equal; None: no such figure is made."""
    terms: Sequence[Term] = ()
    term_tables: Sequence[EqualWords] = ()
    """Words taken as equal where terms are counted, in clinical words; one table is applied after the other."""
    as_listed: bool = False
    """Whether terms count only as the lexicon and the tables list them, without plurals and other forms."""


class TextScores(Part):
    """Figures by name, each as a `Change`; with one recogniser both sides are the same."""

    texts: int
    clusters: int
    words: int
    """Of the references."""
    recognisers: int
    folded: tuple[tuple[str, str], ...] = ()
    """Terms of the lexicon that are counted as an earlier one, because they are forms of it; and that one."""
    figures: dict[str, Change]
    """``wer``; with a table ``wer_equal``; ``mean_of_files`` of the last of these; ``terms`` and ``terms CATEGORY``:
    the part of the occurrences that was missed; ``invented terms``: for 1,000 reference words."""
    left_out: tuple[str, ...] = ()
    """What is not scored, a sentence each."""


def score(texts: Sequence[Texts], wishes: Wishes, config: EvaluateSection, *, seed: int) -> TextScores:
    """Count all texts. `ScoringError`: there is nothing to score."""
    if not texts:
        raise ScoringError("no texts to score; give at least one reference and its transcript")
    draws = draw([text.cluster for text in texts], draws=config.bootstrap, confidence=config.confidence, seed=seed)
    references = [words(text.reference, wishes.rules) for text in texts]
    if not any(references):
        raise ScoringError("the references have no words; nothing can be scored")
    sides = range(len(texts[0].recognised))
    recognised = [[words(text.recognised[side], wishes.rules) for text in texts] for side in sides]

    by_side = [_ratio(references, own) for own in recognised]
    figures = {WER: ratio_change(by_side[0], by_side[-1], draws)}
    if wishes.equal is not None:
        references = [equal_words.replace(text, wishes.equal.reference) for text in references]
        recognised = [[equal_words.replace(text, wishes.equal.both) for text in own] for own in recognised]
        by_side = [_ratio(references, own) for own in recognised]
        figures[WER_EQUAL] = ratio_change(by_side[0], by_side[-1], draws)
    clusters, by_file = _by_file(texts, by_side)
    figures[MEAN] = _mean_of_files(by_file[0], by_file[-1], clusters, config, seed)
    wordless = int((by_file[0][1] == 0).sum())
    same_terms: list[tuple[str, str]] = []
    if wishes.terms:
        known = _index(wishes)
        same_terms = [(wishes.terms[later].text, wishes.terms[first].text) for later, first in folded(known).items()]
        figures |= _term_figures(texts, known, wishes, draws, of_N=by_side[0][1])
    return TextScores(
        texts=len(texts),
        clusters=draws.count,
        words=int(by_side[0][1].sum()),
        recognisers=len(sides),
        folded=tuple(same_terms),
        figures=figures,
        left_out=(f"{wordless} files have no reference words and are not in {MEAN}",) if wordless else (),
    )


def _term_figures(
    texts: Sequence[Texts], known: Index, wishes: Wishes, draws: Draws, *, of_N: Counts
) -> dict[str, Change]:
    """Terms missed, of all and by category, and terms invented; `of_N` are the words of the references."""
    counted: list[_Occurrences] = []
    for side in range(len(texts[0].recognised)):
        pairs = [(text.reference, text.recognised[side]) for text in texts]
        counted.append(_count_terms(pairs, known, wishes))
    figures: dict[str, Change] = {}
    categories = sorted({term.category for term in wishes.terms})
    for category in (None, *categories):
        missed = [_missed(occurrences, category) for occurrences in counted]
        if not missed[0][1].any():
            continue
        name = TERMS if category is None else f"{TERMS} {category}"
        figures[name] = ratio_change(missed[0], missed[-1], draws, kind="proportion")
    invented = [(occurrences.invented_N, of_N) for occurrences in counted]
    figures[f"invented {TERMS}"] = ratio_change(invented[0], invented[-1], draws, per=1_000)
    return figures


def _by_file(texts: Sequence[Texts], by_side: Sequence[Ratio]) -> tuple[list[str], list[Ratio]]:
    """The cluster and the counts of each file, the segments of a recording added; such a file is its own cluster."""
    names = [(text.file, "" if text.file else text.id) for text in texts]
    cluster_of = {name: text.file or text.cluster for name, text in zip(names, texts, strict=True)}
    places = {name: place for place, name in enumerate(cluster_of)}
    place_N = [places[name] for name in names]
    summed = []
    for errors_N, of_N in by_side:
        counts = [np.bincount(place_N, weights=counted_N, minlength=len(places)) for counted_N in (errors_N, of_N)]
        summed.append((counts[0].astype(np.int64), counts[1].astype(np.int64)))
    return list(cluster_of.values()), summed


def _ratio(references: Sequence[list[str]], recognised: Sequence[list[str]]) -> Ratio:
    counts_N4 = count_all(zip(references, recognised, strict=True))
    return counts_N4[:, :3].sum(axis=1), counts_N4[:, 3]


def _mean_of_files(before: Ratio, after: Ratio, clusters: Sequence[str], config: EvaluateSection, seed: int) -> Change:
    """The mean of the files' rates: a short file counts as much as a long one, one without words not at all."""
    spoken_N = before[1] > 0
    rates_2N = [np.divide(errors, of, out=np.zeros(len(of)), where=spoken_N) for errors, of in (before, after)]

    def means(rows: Sequence[int]) -> dict[str, float | None]:
        chosen = np.array(rows)[spoken_N[list(rows)]]
        if not len(chosen):
            return {"before": None, "after": None, "difference": None}
        mean_before, mean_after = (float(rates_N[chosen].mean()) for rates_N in rates_2N)
        return {"before": mean_before, "after": mean_after, "difference": mean_after - mean_before}

    bounds = ranges(means, clusters, config, seed=seed)
    counts = {"before": int(before[0].sum()), "after": int(after[0].sum())}
    counts["difference"] = counts["after"] - counts["before"]
    rates: dict[str, Rate] = {}
    for name, value in means(range(len(clusters))).items():
        low, high = bounds.get(name, (None, None))
        of = None if name == "difference" else int(before[1].sum())
        rates[name] = Rate(value=value, low=low, high=high, count=counts[name], of=of)
    low, high = rates["difference"].low, rates["difference"].high
    verdict: Verdict = "unclear"
    if low is not None and low > 0:
        verdict = "worse"
    elif high is not None and high < 0:
        verdict = "better"
    return Change(verdict=verdict, **rates)


@dataclass(frozen=True)
class _Occurrences:
    """What became of the terms of N references."""

    reference_N: Mapping[str, npt.NDArray[np.int64]]
    """By category."""
    missed_N: Mapping[str, npt.NDArray[np.int64]]
    invented_N: npt.NDArray[np.int64]
    """Occurrences in what was recognised whose words are not all paired with the same words."""


def _missed(occurrences: _Occurrences, category: str | None) -> Ratio:
    if category is not None:
        return occurrences.missed_N[category], occurrences.reference_N[category]
    return sum(occurrences.missed_N.values()), sum(occurrences.reference_N.values())  # type: ignore[return-value]


def _index(wishes: Wishes) -> Index:
    if not wishes.as_listed:
        return index_of(wishes.terms)
    return index_as_listed(wishes.terms, lambda text: _reference_words(text, wishes))


def _reference_words(text: str, wishes: Wishes) -> list[str]:
    result = words(text)
    for table in wishes.term_tables:
        result = equal_words.replace(result, table.reference)
    return result


def _recognised_words(text: str, wishes: Wishes) -> list[str]:
    result = words(text)
    for table in wishes.term_tables:
        result = equal_words.replace(result, table.both)
    return result


def _count_terms(pairs: Sequence[tuple[str, str]], known: Index, wishes: Wishes) -> _Occurrences:
    in_reference = {term.category: np.zeros(len(pairs), np.int64) for term in wishes.terms}
    missed = {category: np.zeros(len(pairs), np.int64) for category in in_reference}
    invented_N = np.zeros(len(pairs), np.int64)
    names = [_reference_words(term.text, wishes) for term in wishes.terms]
    for row, (reference, recognised) in enumerate(pairs):
        reference_words, placed = _named(_reference_words(reference, wishes), known, names)
        other_words, placed_other = _named(_recognised_words(recognised, wishes), known, names)
        same, same_other = paired_words(reference_words, other_words)
        for term, start, end in placed:
            category = wishes.terms[term].category
            in_reference[category][row] += 1
            missed[category][row] += not all(same[start:end])
        for _, start, end in placed_other:
            invented_N[row] += not all(same_other[start:end])
    return _Occurrences(in_reference, missed, invented_N)


def _named(text_words: Sequence[str], known: Index, names: Sequence[Sequence[str]]) -> tuple[list[str], list[Mention]]:
    """The words with each mention written as its term, and where the mentions then stand."""
    result: list[str] = []
    placed: list[Mention] = []
    done = 0
    for term, start, end in mentions(known, text_words):
        result += text_words[done:start]
        placed.append(Mention(term, len(result), len(result) + len(names[term])))
        result += names[term]
        done = end
    return [*result, *text_words[done:]], placed


def paired_words(reference: Sequence[str], recognised: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """Of each word of the two texts, whether the alignment pairs it with the same word."""
    numbers: dict[str, int] = {}
    reference_R = np.array([numbers.setdefault(word, len(numbers)) for word in reference], np.int32)
    other_H = np.array([numbers.setdefault(word, len(numbers)) for word in recognised], np.int32)
    moves_RH = _moves(reference_R, other_H)
    same, same_other = [False] * len(reference), [False] * len(recognised)
    row, column = len(reference), len(recognised)
    while row and column:
        move = moves_RH[row - 1, column - 1]
        if move == _PAIRED:
            same[row - 1] = same_other[column - 1] = bool(reference_R[row - 1] == other_H[column - 1])
        row -= move != _INSERTED
        column -= move != _DELETED
    return same, same_other


def _moves(reference_R: npt.NDArray[np.int32], other_H: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """For each beginning of both texts the last move of the fewest edits: a pair if it may be one, else a deletion."""
    places = np.arange(len(other_H) + 1, dtype=np.int32)
    above = places
    moves_RH = np.zeros((len(reference_R), len(other_H)), np.uint8)
    for row, word in enumerate(reference_R):
        pair = above[:-1] + (other_H != word)
        best = np.concatenate(([row + 1], np.minimum(pair, above[1:] + 1))).astype(np.int32)
        here = np.minimum.accumulate(best - places) + places  # a run of insertions costs one each
        moves_RH[row] = np.where(here[1:] == pair, _PAIRED, np.where(here[1:] == above[1:] + 1, _DELETED, _INSERTED))
        above = here
    return moves_RH
