"""Stage 50: NeMo manifests of speech that leaks nothing from test to training, and test lists that are fixed.

What counts as a leak: a near-duplicate carrier on both sides, a test voice (also as part of a blend) on the training
side, a held-out term in anything that is trained on, a sentence or a speaker of the general test set in rehearsal, a
speaker of the user's own recordings (`recordings`) on both sides.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shoptalk.core import terms as term_forms
from shoptalk.core.errors import LeakError, ManifestError
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.files import write_text
from shoptalk.core.recipe import DatasetSection
from shoptalk.core.records import TERMLESS, Example, Split, Term, Utterance
from shoptalk.core.sets import TEST_LISTS, TESTS, digest
from shoptalk.corpus import recordings
from shoptalk.corpus.recordings import OwnSet
from shoptalk.corpus.splits import near_duplicates, normal_form
from shoptalk.corpus.voices import TEST_VOICES, parts

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True)
class General:
    """The general set that ships: what is rehearsed, and what shows that nothing was forgotten."""

    rehearsal: Sequence[Example]
    test: Sequence[Example]


def read_general(folder: Path | None) -> General:
    """``rehearsal.jsonl`` and ``test.jsonl`` of a folder: NeMo manifests whose lines have an id and a speaker too.

    None: there is no general speech.
    """
    if folder is None:
        return General((), ())
    return General(_lines(folder / "rehearsal.jsonl"), _lines(folder / "test.jsonl"))


def build(
    terms: Sequence[Term],
    utterances: Sequence[Utterance],
    general: General,
    config: DatasetSection,
    *,
    source: Path,
    folder: Path,
    own: Sequence[OwnSet] = (),
    left_out: Counter[str] | None = None,
) -> dict[str, str]:
    """Write the manifests below `folder` (whole or not at all) and return the sha256 of each test list.

    `source` is the folder that the utterances' audio paths are relative to. `own` are the user's recordings; how many
    of them were left out, and why, is counted in `left_out`. `LeakError` lists every leak found, and
    names a test list that is not the one the recipe was made for. `ManifestError`: see `require_terms_in_tests` and
    `require_texts`.
    """
    require_texts(utterances)
    require_terms_in_tests(utterances)
    leaks = [*carrier_leaks(utterances), *voice_leaks(utterances, general)]
    leaks += [*term_leaks(terms, utterances, general), *general_leaks(general)]
    lists = {**_domain(terms, utterances, source), **_general(general, config)}
    placed = recordings.place(own, terms, [line.text for name in TESTS for line in lists[f"test-{name}"]])
    leaks += recordings.leaks(
        placed.lists,
        tested_speakers=frozenset(line.speaker for line in general.test),
        rehearsed_speakers=frozenset(line.speaker for line in general.rehearsal),
        trained_texts=[line.text for name in ("train", "dev", "rehearsal", "dev-general") for line in lists[name]],
    )
    if leaks:
        raise LeakError("test data reached the training data:\n  " + "\n  ".join(leaks[:20]))
    for name, lines in placed.lists.items():
        lists[name] = [*lists.get(name, ()), *lines]
    if left_out is not None:
        left_out.update(placed.left_out)
    tests = [*TESTS, *(name for name in (own_set.name for own_set in own) if recordings.test_list(name) in lists)]
    digests = {name: digest(lists[f"test-{name}"]) for name in tests}
    _require_pinned(digests, config.test_lists)
    for name, lines in lists.items():
        write_manifest(folder / f"{name}.jsonl", lines)
    write_text(folder / TEST_LISTS, json.dumps(digests, indent=1) + "\n")
    return digests


def require_terms_in_tests(utterances: Sequence[Utterance]) -> None:
    """`ManifestError` names sentences without a term that would be in the lists on which terms are scored."""
    names = []
    for utterance in utterances:
        if utterance.split == "test" and utterance.kind in TERMLESS and not utterance.term_ids:
            names.append(utterance.id)
    if names:
        raise ManifestError(
            f"{len(names)} utterances of the test split are of a kind that names no term ({', '.join(names[:5])}); "
            "sentences without a term belong to train or dev"
        )


def require_texts(utterances: Sequence[Utterance]) -> None:
    """`ManifestError` names utterances without a text that are not recordings of silence and noise for training."""
    names = []
    for utterance in utterances:
        is_wordless = utterance.kind == "wordless" and utterance.split == "train"
        if bool(utterance.text.strip()) == is_wordless:
            names.append(utterance.id)
    if names:
        raise ManifestError(
            f"{len(names)} utterances have no text, or have one though they are `wordless` ({', '.join(names[:5])}); "
            "only training recordings of kind `wordless` are without words. Correct their lines"
        )


def carrier_leaks(utterances: Sequence[Utterance]) -> list[str]:
    """Carriers that are trained on and tested with, near duplicates counting as the same."""
    train, dev, test = (_carriers_of(utterances, split) for split in SPLITS)
    pairs = [*near_duplicates(train, test), *near_duplicates(dev, test), *near_duplicates(train, dev)]
    return [f"carrier {ours!r} is also in another split, as {theirs!r}" for ours, theirs in pairs]


def _carriers_of(utterances: Sequence[Utterance], split: Split) -> list[str]:
    return sorted({utterance.carrier for utterance in utterances if utterance.split == split and utterance.text})


def voice_leaks(utterances: Sequence[Utterance], general: General) -> list[str]:
    """Test voices in training, dev or rehearsal, alone or blended, and any voice of dev in training."""
    voices: dict[str, set[str]] = {"train": set(), "dev": set(), "test": set(), "rehearsal": set()}
    for utterance in utterances:
        voices[utterance.split].update(parts(utterance.voice))
    for line in general.rehearsal:
        voices["rehearsal"].update(parts(line.speaker))
    tested = voices["test"] | set(TEST_VOICES)
    leaks = []
    for part in ("train", "dev", "rehearsal"):
        for voice in sorted(voices[part] & tested):
            leaks.append(f"test voice {voice} is in {part}")
    for voice in sorted((voices["train"] & voices["dev"]) - tested):
        leaks.append(f"dev voice {voice} is in train")
    return leaks


def term_leaks(terms: Sequence[Term], utterances: Sequence[Utterance], general: General) -> list[str]:
    """Held-out terms in a sentence that is trained on."""
    texts = {utterance.text for utterance in utterances if utterance.split != "test"}
    texts |= {line.text for line in general.rehearsal}
    known = term_forms.index_of([term for term in terms if not term.taught])
    leaks_by_place: dict[int, list[str]] = {}
    for text in sorted(texts):
        for place in term_forms.occurrences_of_all(known, text):
            leak = f"held-out term {known.ids[place]!r} is in the training sentence {text!r}"
            leaks_by_place.setdefault(place, []).append(leak)
    return [leak for place in sorted(leaks_by_place) for leak in leaks_by_place[place]]


def general_leaks(general: General) -> list[str]:
    """Speakers and sentences of the general test part in the rehearsal part."""
    tested = {normal_form(line.text) for line in general.test}
    speakers = {line.speaker for line in general.test} & {line.speaker for line in general.rehearsal}
    sentences = [line.text for line in general.rehearsal if normal_form(line.text) in tested]
    leaks = [f"speaker {name} is rehearsed and tested" for name in sorted(speakers)]
    leaks += [f"sentence {text!r} is rehearsed and tested" for text in sentences]
    return leaks


def unverified(terms: Sequence[Term]) -> frozenset[str]:
    """Ids of the terms whose pronunciation nobody has listened to."""
    return frozenset(term.id for term in terms if not term.verified_by)


def _domain(terms: Sequence[Term], utterances: Sequence[Utterance], source: Path) -> Mapping[str, list[Example]]:
    trained = {term.id for term in terms if term.taught}
    unheard = unverified(terms)
    lists: dict[str, list[Example]] = {"train": [], "dev": [], "test-taught": [], "test-untaught": []}
    for utterance in utterances:
        name: str = utterance.split
        if name == "test":
            name = "test-taught" if trained.issuperset(utterance.term_ids) else "test-untaught"
        line = Example(
            id=utterance.id,
            audio=source / utterance.audio,
            duration_s=utterance.duration_s,
            text=utterance.text,
            term_ids=utterance.term_ids,
            cluster=utterance.carrier,
            voice=utterance.voice,
            unverified_terms=tuple(id_ for id_ in utterance.term_ids if id_ in unheard),
            wordless=utterance.kind == "wordless",
            accent=utterance.accent,
        )
        if utterance.split != "train":
            line = line.model_copy(update={"context": utterance.section, "words": utterance.words})
        lists[name].append(line)
    return lists


def _general(general: General, config: DatasetSection) -> Mapping[str, list[Example]]:
    tested = _drawn(general.test, config.general_test_utterances or len(general.test))
    kept = _drawn(general.rehearsal, min(config.general_dev_utterances, len(general.rehearsal) // 2))
    return {
        "rehearsal": [_as_speaker(line) for line in general.rehearsal if line.id not in kept],
        "dev-general": [_as_speaker(line) for line in general.rehearsal if line.id in kept],
        "test-general": [_as_speaker(line) for line in general.test if line.id in tested],
    }


def _drawn(lines: Sequence[Example], count: int) -> frozenset[str]:
    """Ids of so many lines, drawn by their sha256."""
    ranked = sorted((line.id for line in lines), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return frozenset(ranked[:count])


def _as_speaker(line: Example) -> Example:
    """A line of general speech, whose speaker is its voice and its cluster."""
    return line.model_copy(update={"cluster": line.speaker, "voice": line.speaker, "context": line.source})


def _require_pinned(digests: Mapping[str, str], pinned: Mapping[str, str]) -> None:
    changed = [name for name, wanted in pinned.items() if digests.get(name) != wanted]
    if changed:
        raise LeakError(
            f"test list {', '.join(changed)} is not the one that the recipe was made for; a test set is not changed to "
            "reach a goal. If the change is meant, write the new sha256 into dataset.test_lists: "
            + json.dumps({name: digests.get(name) for name in changed})
        )


def _lines(path: Path) -> list[Example]:
    if not path.is_file():
        raise ManifestError(f"{path}: not there; `dataset.general` names a folder with rehearsal.jsonl and test.jsonl")
    return read_manifest(path, needs=("id", "speaker"))
