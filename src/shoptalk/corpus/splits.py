"""Near duplicates count as one: the law by which carriers are kept apart, and the draw of their splits.

Shapes: S sets, P pairs of sets.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shoptalk.core.records import Split

NEAR = 0.6
"""Jaccard similarity from which two sentences count as one."""

SHARED = 3
"""Of 1 to 6 the one with which 8,000 sentences take least time: more leave fewer pairs, but longer prefixes."""
BLOCK = 512
"""So many sets are held against all others at once."""

Integers = npt.NDArray[np.int64]

SLOT = re.compile(r"\{([a-z_]+)\}")
"""A slot of a sentence, such as ``{drug}``; the group is its name."""
_WORD = re.compile(r"[a-z']+|\d+(?:[.,]\d+)*")
_PERSON = frozenset("i we he she they it him her his hers their them your you my our its".split())


def normal_words(text: str) -> list[str]:
    """What makes a sentence what it is: slots dropped, numbers and persons made alike, case and points gone."""
    words = []
    for word in _WORD.findall(SLOT.sub(" ", text).lower()):
        if word[0].isdigit():
            words.append("#")
        elif word in _PERSON:
            words.append("they")
        else:
            words.append(word)
    return words


def normal_form(text: str) -> str:
    return " ".join(normal_words(text))


def similarity(a: str, b: str) -> float:
    """0..1: the larger Jaccard similarity of the normal forms, by words or by character trigrams."""
    return max(_jaccard(features(a), features(b)) for features in (_word_features, _trigram_features))


def near_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Every pair of indices i < j with `similarity` >= NEAR, possibly twice; exact, without comparing all pairs."""
    for features in (_word_features, _trigram_features):
        yield from _joined([features(text) for text in texts])


def near_duplicates(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs (a text of ours, a text of theirs) that are near duplicates of each other."""
    pairs = set()
    for i, j in near_pairs([*ours, *theirs]):
        if i < len(ours) <= j:
            pairs.add((ours[i], theirs[j - len(ours)]))
    return sorted(pairs)


class NearTexts:
    """Texts against which others are held one by one: the features are counted once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._parts = [_Features(texts, features) for features in (_word_features, _trigram_features)]

    def has_near(self, text: str) -> bool:
        """Whether one of the texts is a near duplicate of this one."""
        return any(part.highest(text) >= NEAR for part in self._parts)


class _Features:
    """The sets of one kind of features of many texts, as a sparse matrix."""

    def __init__(self, texts: Sequence[str], features: Callable[[str], frozenset[str]]) -> None:
        self._features = features
        sets = [features(text) for text in texts]
        names = sorted(frozenset[str]().union(*sets))
        self._columns = {name: column for column, name in enumerate(names)}
        self._size_S = np.array([len(elements) for elements in sets], np.int64)
        self._matrix = _as_matrix([_columns_of(elements, self._columns) for elements in sets]) if sets else None

    def highest(self, text: str) -> float:
        """The largest Jaccard similarity of any text with this one; 0 without texts."""
        if self._matrix is None:
            return 0.0
        own = self._features(text)
        asked = np.zeros(self._matrix.shape[1], np.int64)
        asked[_columns_of(own, self._columns)] = 1
        common_S = self._matrix @ asked
        return float((common_S / (self._size_S + len(own) - common_S)).max())


def _columns_of(elements: frozenset[str], columns: Mapping[str, int]) -> Integers:
    return np.array(sorted(columns[element] for element in elements if element in columns), np.int64)


def clusters(texts: Sequence[str]) -> list[list[int]]:
    """Indices grouped so that near duplicates, and what they are linked to by others, stand together."""
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for i, j in near_pairs(texts):
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(texts)):
        groups[root(index)].append(index)
    return list(groups.values())


def assign(texts: Sequence[str], kinds: Sequence[str], wanted: Mapping[Split, int], *, seed: int) -> list[Split]:
    """A split for each text, near duplicates together, each kind divided in the proportion of `wanted`.

    `kinds` names a group for each text (its category). Within a group, clusters are ranked by a draw from (seed,
    normal form); the first go to test, the next to dev, the rest to train, so that as far as there are enough,
    `wanted["test"]` clusters are for testing. A group with fewer than three clusters is all train.
    """
    splits: list[Split] = ["train"] * len(texts)
    ranked: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for cluster in clusters(texts):
        draw, first = min((draw_key(seed, normal_form(texts[index])), index) for index in cluster)
        ranked[kinds[first]].append((draw, cluster))
    for group in ranked.values():
        group.sort()
        test, dev = _shares(len(group), wanted)
        for place, (_, cluster) in enumerate(group):
            split: Split = "train"
            if place < test:
                split = "test"
            elif place < test + dev:
                split = "dev"
            for index in cluster:
                splits[index] = split
    return splits


def draw_key(seed: int, *names: str) -> str:
    """A draw as a sortable string; depends on the seed and the names only."""
    return hashlib.sha256("\0".join((str(seed), *names)).encode()).hexdigest()


def _shares(count: int, wanted: Mapping[Split, int]) -> tuple[int, int]:
    """How many of `count` clusters are for test and for dev."""
    if count < 3:
        return 0, 0
    total = sum(wanted.values())
    test = max(round(count * wanted["test"] / total), min(wanted["test"], count // 3))
    dev = max(round(count * wanted["dev"] / total), min(wanted["dev"], max(1, count // 6)))
    return test, dev


def _word_features(text: str) -> frozenset[str]:
    return frozenset(normal_words(text)) or frozenset([""])


def _trigram_features(text: str) -> frozenset[str]:
    padded = f"  {normal_form(text)} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b)


def _joined(sets: Sequence[frozenset[str]]) -> Iterator[tuple[int, int]]:
    """Pairs of sets with Jaccard >= NEAR by prefix filtering (Chaudhuri et al., ICDE 2006; Wang et al., SIGMOD 2012).

    Two such sets share `SHARED` of their rarest ``size - ceil(NEAR * size) + SHARED`` elements, or all that they
    share where that is less. A product of sparse matrices counts what the prefixes share; what is left is compared.
    """
    if not sets:
        return
    size_S = np.array([len(elements) for elements in sets])
    rarest_first = _numbered(sets)
    whole = _as_matrix(rarest_first)
    longest_S = size_S - _least_shared(size_S) + SHARED
    prefix = _as_matrix([numbers[:most] for numbers, most in zip(rarest_first, longest_S, strict=True)])
    sets_with = prefix.T.tocsr()
    for start in range(0, len(sets), BLOCK):
        shared = (prefix[start : start + BLOCK] @ sets_with).tocoo()
        i_P, j_P = shared.col, shared.row + start
        larger_P, smaller_P = np.maximum(size_S[i_P], size_S[j_P]), np.minimum(size_S[i_P], size_S[j_P])
        least_P = _least_shared(larger_P)
        may_be_near_P = (i_P < j_P) & (smaller_P >= least_P) & (shared.data >= np.minimum(SHARED, least_P))
        i_P, j_P = i_P[may_be_near_P], j_P[may_be_near_P]
        common_P = np.asarray(whole[i_P].multiply(whole[j_P]).sum(axis=1)).ravel()
        is_near_P = common_P / (size_S[i_P] + size_S[j_P] - common_P) >= NEAR
        yield from zip(i_P[is_near_P].tolist(), j_P[is_near_P].tolist(), strict=True)


def _least_shared(size: Integers) -> Integers:
    """So many elements does a set of this size share with a similar one, at least."""
    shared: Integers = np.ceil(NEAR * size - 1e-9).astype(np.int64)
    return shared


def _numbered(sets: Sequence[frozenset[str]]) -> list[Integers]:
    """The elements of each set as numbers, the rarest first."""
    counts: Counter[str] = Counter()
    for elements in sets:
        counts.update(elements)
    ranked = sorted(counts, key=lambda element: (counts[element], element))
    number = {element: place for place, element in enumerate(ranked)}
    return [np.sort(np.array([number[element] for element in elements], np.int64)) for elements in sets]


def _as_matrix(rows: Sequence[Integers]) -> Any:
    """A sparse matrix with a row for each set and a 1 for each of its elements."""
    from scipy.sparse import csr_matrix

    starts = np.cumsum([0, *map(len, rows)])
    columns = np.concatenate(rows)
    ones = np.ones(len(columns), np.int32)
    return csr_matrix((ones, columns, starts), shape=(len(rows), int(columns.max()) + 1))
