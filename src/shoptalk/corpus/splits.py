"""Near duplicates count as one: the law by which carriers are kept apart, and the draw of their splits."""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from shoptalk.core.records import Split

NEAR = 0.6
"""Jaccard similarity from which two sentences count as one."""

_SLOT = re.compile(r"\{[a-z_]+\}")
_WORD = re.compile(r"[a-z']+|\d+(?:[.,]\d+)*")
_PERSON = frozenset("i we he she they it him her his hers their them your you my our its".split())


def normal_words(text: str) -> list[str]:
    """What makes a sentence what it is: slots dropped, numbers and persons made alike, case and points gone."""
    words = []
    for word in _WORD.findall(_SLOT.sub(" ", text).lower()):
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
    """Pairs of sets with Jaccard >= NEAR by prefix filtering (Chaudhuri et al., ICDE 2006).

    Two sets that similar share one of their rarest ``size - ceil(NEAR * size) + 1`` elements.
    """
    counts: Counter[str] = Counter()
    for elements in sets:
        counts.update(elements)

    def rarity(element: str) -> tuple[int, str]:
        return counts[element], element

    index: dict[str, list[int]] = defaultdict(list)
    for j, elements in enumerate(sets):
        prefix_size = len(elements) - math.ceil(NEAR * len(elements) - 1e-9) + 1
        prefix = sorted(elements, key=rarity)[:prefix_size]
        candidates: set[int] = set()
        for element in prefix:
            candidates.update(index[element])
        for i in sorted(candidates):
            if _jaccard(sets[i], elements) >= NEAR:
                yield i, j
        for element in prefix:
            index[element].append(j)
