"""Stage 50: NeMo manifests of speech that leaks nothing from test to training, and test lists that are fixed.

What counts as a leak: a near-duplicate carrier on both sides, a test voice (also as part of a blend) on the training
side, an untaught term in anything that is trained on, a sentence or a speaker of the general test set in rehearsal.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shoptalk.core import terms as term_forms
from shoptalk.core.errors import LeakError, ManifestError
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.files import write_text
from shoptalk.core.recipe import DatasetSection
from shoptalk.core.records import Example, Split, Term, Utterance
from shoptalk.core.sets import TEST_LISTS, TESTS, digest
from shoptalk.corpus.splits import near_duplicates, normal_form
from shoptalk.corpus.voices import TEST_VOICES, parts

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True)
class General:
    """The general set that ships: what is rehearsed, and what shows that nothing was forgotten."""

    rehearsal: Sequence[Example]
    test: Sequence[Example]


def read_general(folder: Path) -> General:
    """``rehearsal.jsonl`` and ``test.jsonl`` of a folder: NeMo manifests whose lines have an id and a speaker too."""
    return General(_lines(folder / "rehearsal.jsonl"), _lines(folder / "test.jsonl"))


def build(
    terms: Sequence[Term],
    utterances: Sequence[Utterance],
    general: General,
    config: DatasetSection,
    *,
    source: Path,
    folder: Path,
) -> dict[str, str]:
    """Write the manifests below `folder` (whole or not at all) and return the sha256 of each test list.

    `source` is the folder that the utterances' audio paths are relative to. `LeakError` lists every leak found, and
    names a test list that is not the one the recipe was made for.
    """
    leaks = [*carrier_leaks(utterances), *voice_leaks(utterances, general)]
    leaks += [*term_leaks(terms, utterances, general), *general_leaks(general)]
    if leaks:
        raise LeakError("test data reached the training data:\n  " + "\n  ".join(leaks[:20]))
    lists = {**_domain(terms, utterances, source), **_general(general, config)}
    digests = {name: digest(lists[f"test-{name}"]) for name in TESTS}
    _require_pinned(digests, config.test_lists)
    for name, lines in lists.items():
        write_manifest(folder / f"{name}.jsonl", lines)
    write_text(folder / TEST_LISTS, json.dumps(digests, indent=1) + "\n")
    return digests


def carrier_leaks(utterances: Sequence[Utterance]) -> list[str]:
    """Carriers that are trained on and tested with, near duplicates counting as the same."""
    carriers = {split: sorted({u.carrier for u in utterances if u.split == split}) for split in SPLITS}
    pairs = [
        *near_duplicates(carriers["train"], carriers["test"]),
        *near_duplicates(carriers["dev"], carriers["test"]),
        *near_duplicates(carriers["train"], carriers["dev"]),
    ]
    return [f"carrier {ours!r} is also in another split, as {theirs!r}" for ours, theirs in pairs]


def voice_leaks(utterances: Sequence[Utterance], general: General) -> list[str]:
    """Test voices in training, dev or rehearsal, alone or blended, and any voice of dev in training."""
    heard: dict[str, set[str]] = {
        split: {v for u in utterances if u.split == split for v in parts(u.voice)} for split in SPLITS
    }
    heard["rehearsal"] = {v for line in general.rehearsal for v in parts(line.speaker)}
    tested = heard.pop("test") | set(TEST_VOICES)
    leaks = [
        f"test voice {voice} is in {split}" for split, voices in heard.items() for voice in sorted(voices & tested)
    ]
    return leaks + [f"dev voice {voice} is in train" for voice in sorted(heard["train"] & heard["dev"] - tested)]


def term_leaks(terms: Sequence[Term], utterances: Sequence[Utterance], general: General) -> list[str]:
    """Untaught terms in a sentence that is trained on."""
    untaught = [term for term in terms if not term.taught]
    texts = {u.text for u in utterances if u.split != "test"} | {line.text for line in general.rehearsal}
    return [
        f"untaught term {term.id!r} is in the training sentence {text!r}"
        for term in untaught
        for text in sorted(texts)
        if term_forms.occurring([term], [text])
    ]


def general_leaks(general: General) -> list[str]:
    """Speakers and sentences of the general test part in the rehearsal part."""
    tested = {normal_form(line.text) for line in general.test}
    speakers = {line.speaker for line in general.test} & {line.speaker for line in general.rehearsal}
    sentences = [line.text for line in general.rehearsal if normal_form(line.text) in tested]
    return [f"speaker {name} is rehearsed and tested" for name in sorted(speakers)] + [
        f"sentence {text!r} is rehearsed and tested" for text in sentences
    ]


def _domain(terms: Sequence[Term], utterances: Sequence[Utterance], source: Path) -> Mapping[str, list[Example]]:
    taught = {term.id for term in terms if term.taught}
    lists: dict[str, list[Example]] = {"train": [], "dev": [], "test-taught": [], "test-untaught": []}
    for one in utterances:
        name: str = one.split
        if name == "test":
            name = "test-taught" if taught.issuperset(one.term_ids) else "test-untaught"
        line = Example(
            id=one.id,
            audio=source / one.audio,
            duration_s=one.duration_s,
            text=one.text,
            term_ids=one.term_ids,
            cluster=one.carrier,
            voice=one.voice,
        )
        if one.split != "train":
            line = line.model_copy(update={"context": one.section, "words": one.words})
        lists[name].append(line)
    return lists


def _general(general: General, config: DatasetSection) -> Mapping[str, list[Example]]:
    tested = _drawn(general.test, config.general_test_utterances or len(general.test))
    kept = _drawn(general.rehearsal, min(config.general_dev_utterances, len(general.rehearsal) // 2))
    chosen = {
        "rehearsal": [line for line in general.rehearsal if line.id not in kept],
        "dev-general": [line for line in general.rehearsal if line.id in kept],
        "test-general": [line for line in general.test if line.id in tested],
    }
    return {name: [_as_speaker(line) for line in lines] for name, lines in chosen.items()}


def _drawn(lines: Sequence[Example], count: int) -> frozenset[str]:
    """Ids of so many lines, drawn by their sha256."""
    return frozenset(
        sorted((line.id for line in lines), key=lambda one: hashlib.sha256(one.encode()).hexdigest())[:count]
    )


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
