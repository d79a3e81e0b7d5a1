"""Stage 50: a user's own recordings, put into train, dev and test lists by speaker, without what must not be trained.

A speaker is in one part only, whatever sets name them. Left out of train and dev are recordings that say a held-out
term, or a sentence that is near one of a test.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shoptalk.core import terms as term_forms
from shoptalk.core.errors import ManifestError
from shoptalk.core.records import Example, Term
from shoptalk.core.text import words
from shoptalk.corpus.splits import NearTexts, normal_form

SHORTEST_WORDS = 4
"""Shorter sentences (``Yes, I do.``) are said by everybody, and are no leak."""


@dataclass(frozen=True)
class OwnSet:
    """A set of recordings, each with its speaker, and the parts of its speakers that are for dev and test."""

    name: str
    lines: Sequence[Example]
    dev: float
    test: float


@dataclass
class Placed:
    """The recordings by the manifest that they enter, and how many were left out for which reason."""

    lists: dict[str, list[Example]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def test_list(name: str) -> str:
    """The manifest, without its ending, of the test list of a set."""
    return f"test-{name}"


def place(sets: Sequence[OwnSet], terms: Sequence[Term], tests: Sequence[str]) -> Placed:
    """The recordings of all sets, their terms found in their texts; `tests` are the sentences of the other tests.

    `ManifestError`: a set has too few speakers for its parts, or nothing of it can be trained on.
    """
    if not sets:
        return Placed()
    known = term_forms.index_of(terms)
    parts = _parts_of_speakers(sets)
    by_part: dict[str, list[tuple[str, Example]]] = {"train": [], "dev": [], "test": []}
    for own in sets:
        for line in own.lines:
            by_part[parts[line.speaker]].append((own.name, _with_terms(line, own.name, known)))
    placed = Placed()
    for name, line in by_part["test"]:
        placed.lists.setdefault(test_list(name), []).append(line)
    tested = [*tests, *(line.text for _, line in by_part["test"])]
    near = NearTexts([text for text in tested if _is_telling(text)])
    held_out = frozenset(term.id for term in terms if not term.taught)
    for part in ("train", "dev"):
        for _, line in by_part[part]:
            if held_out.intersection(line.term_ids):
                placed.left_out["says a held-out term"] += 1
            elif _is_telling(line.text) and near.has_near(line.text):
                placed.left_out["is near a sentence of a test"] += 1
            else:
                placed.lists.setdefault(part, []).append(line)
    _require_something(sets, placed)
    return placed


def _is_telling(text: str) -> bool:
    return len(words(text)) >= SHORTEST_WORDS


def _with_terms(line: Example, name: str, known: term_forms.Index) -> Example:
    """The line as one of the dataset: its speaker is voice and cluster, its set the source."""
    term_ids = tuple(known.ids[place] for place in term_forms.occurrences_of_all(known, line.text))
    changes = {
        "id": f"{name}/{line.id}",
        "term_ids": term_ids,
        "cluster": line.speaker,
        "voice": line.speaker,
        "source": name,
        "set": name,
    }
    return line.model_copy(update=changes)


def _parts_of_speakers(sets: Sequence[OwnSet]) -> dict[str, str]:
    """Train, dev or test for each speaker: a draw by the sha256 of the name; the first set that names one decides."""
    parts: dict[str, str] = {}
    for own in sets:
        speakers = sorted({line.speaker for line in own.lines}, key=lambda name: hashlib.sha256(name.encode()).digest())
        test = _share(own.test, len(speakers))
        dev = _share(own.dev, len(speakers))
        if test + dev >= len(speakers):
            raise ManifestError(
                f"{own.name}: has {len(speakers)} speakers, too few to keep {test} for test and {dev} for dev; set "
                "`dev: 0` or `test: 0` for it, or name the speakers"
            )
        for place, speaker in enumerate(speakers):
            part = "test" if place < test else "dev" if place < test + dev else "train"
            parts.setdefault(speaker, part)
    return parts


def _share(part: float, count: int) -> int:
    """So many of `count` speakers, at least one if any are asked for."""
    return max(1, round(part * count)) if part else 0


def _require_something(sets: Sequence[OwnSet], placed: Placed) -> None:
    kept = Counter(line.set for lines in placed.lists.values() for line in lines)
    for own in sets:
        if not kept[own.name]:
            reasons = ", ".join(f"{count} {reason}" for reason, count in placed.left_out.items())
            raise ManifestError(f"{own.name}: nothing of it can be used ({reasons}); leave it out of the recipe")


def leaks(
    placed: Mapping[str, Sequence[Example]],
    *,
    tested_speakers: frozenset[str],
    rehearsed_speakers: frozenset[str],
    trained_texts: Iterable[str],
) -> list[str]:
    """Speakers on both sides, and sentences of the sets' own tests that are trained on.

    `tested_speakers` and `rehearsed_speakers` are those of general speech, `trained_texts` all other sentences of train
    and dev.
    """
    parts_of: dict[str, set[str]] = {}
    for name, lines in placed.items():
        for line in lines:
            parts_of.setdefault(line.speaker, set()).add("test" if name.startswith("test-") else name)
    leaking = []
    for speaker, parts in sorted(parts_of.items()):
        also = set(parts)
        if speaker in tested_speakers:
            also.add("test")
        if speaker in rehearsed_speakers:
            also.add("rehearsal")
        if len(parts) > 1 or ("test" in also and len(also) > 1):
            leaking.append(f"speaker {speaker} of own recordings is in {' and '.join(sorted(also))}")
    trained = {normal_form(text) for text in trained_texts}
    for name, lines in placed.items():
        for line in lines:
            if name.startswith("test-") and _is_telling(line.text) and normal_form(line.text) in trained:
                leaking.append(f"sentence {line.text!r} of {name} is trained on")
    return leaking
