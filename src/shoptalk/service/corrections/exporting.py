"""Consented corrections as what the loop needs: training data, and the terms that the recogniser missed.

A folder gets, readable for whoever may read it:

| file | what |
|---|---|
| `corrections.jsonl` | a manifest for `train.manifests`: the id of the correction, its text, its recording |
| `audio/` | the recordings, or passages of them around the parts that were corrected |
| `terms.csv` | a lexicon of the words that corrections added, to be looked through |
| `changes.jsonl` | each of them with what the recogniser wrote instead |

Nothing in it tells whose key it was, or the request. Only the store knows to which request a correction belongs.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shoptalk.core import audio, examples, files
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import StoreError
from shoptalk.core.recordings import segment
from shoptalk.core.records import CORRECTION, Example
from shoptalk.service.access.kept import Kept, open_keeper
from shoptalk.service.corrections.changes import Added, added
from shoptalk.service.corrections.corrections import Corrections
from shoptalk.service.corrections.passages import Part, Passage, parts_of, passages
from shoptalk.service.corrections.records import Asked, Correction
from shoptalk.service.settings import Settings
from shoptalk.service.store import open_store

MANIFEST, TERMS, CHANGES, AUDIO = "corrections.jsonl", "terms.csv", "changes.jsonl", "audio"
CATEGORY = "corrected"
SHORTEST_S = 0.3
"""A shorter passage gives terms alone."""


@dataclass
class Exported:
    """What an export wrote and left out."""

    examples: list[Example] = field(default_factory=list)
    terms: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Ids of corrections, each with why it is no example."""
    without_consent: int = 0
    removed: list[str] = field(default_factory=list)
    """Ids of copies of an earlier export that were deleted, because their corrections are gone."""


def export_of(settings: Settings, folder: Path) -> Exported:
    """`export` of the store that a service with these settings has; `StoreError` if they name none."""
    store = open_store(settings)
    if store is None:
        raise StoreError("serve.store_dir: give the service's settings, with its store, to --settings or --set")
    try:
        return export(Corrections(store, settings, open_keeper(settings, store.now)), folder)
    finally:
        store.close()


def export(corrections: Corrections, folder: Path) -> Exported:
    """Write all consented corrections to a folder; each file is whole or absent.

    The copies are noted in the store before they are made. An interrupted export is taken up again: recordings that are
    there stay. An earlier export is brought up to date, and what has expired or was deleted meanwhile goes.
    """
    done = Exported(skipped=[(id_, "it has expired") for id_ in corrections.expired()])
    consented = []
    for correction in corrections.all(Asked()):
        if correction.consent:
            consented.append(correction)
        else:
            done.without_consent += 1
    if consented:
        corrections.note_export(consented, str(folder.resolve()))
    changes: list[tuple[str, Added]] = []
    for of_request in _by_request(corrections.all(Asked())):
        consented = [correction for correction in of_request if correction.consent]
        if not consented:
            continue
        kept = _recording(corrections, consented[0])
        for correction in consented:
            original = _original(correction, kept)
            if original is not None:
                changes += [(correction.id, term) for term in added(original, correction.text)]
        if isinstance(kept, str):
            done.skipped += [(correction.id, kept) for correction in consented]
            continue
        refused = [correction for correction in of_request if not correction.consent]
        for example in _examples(kept, consented, parts_of(refused), folder, done):
            done.examples.append(example)
    _remove_old(folder, done)
    _write(folder, done, changes)
    return done


def _recording(corrections: Corrections, correction: Correction) -> Kept | str:
    """The recording of a correction, or why there is none."""
    if not correction.recordings or corrections.keeper is None:
        return "no recording was kept; it gives terms alone"
    if len(correction.recordings) > 1:
        return "its request has several channels; it gives terms alone"
    kept = corrections.keeper.read(correction.recordings[0])
    return kept or "its recording is not there any more; it gives terms alone"


def _original(correction: Correction, kept: Kept | str) -> str | None:
    """What the recogniser wrote where the correction is; None where nobody knows."""
    if correction.original is not None or isinstance(kept, str):
        return correction.original
    if correction.start_s is None or correction.end_s is None:
        return kept.recognition.text
    middle_s = [(word, (word.start_s + word.end_s) / 2) for word in kept.recognition.words]
    return " ".join(word.word for word, at_s in middle_s if correction.start_s <= at_s < correction.end_s)


def _by_request(each: Iterable[Correction]) -> list[list[Correction]]:
    """Corrections of the same recording together, in the order in which the first of each came."""
    together: dict[tuple[str, str, tuple[str, ...]], list[Correction]] = {}
    for correction in each:
        request = correction.caller, correction.request_id, correction.recordings
        together.setdefault(request, []).append(correction)
    return list(together.values())


def _examples(
    kept: Kept, consented: Sequence[Correction], refused: Sequence[Part], folder: Path, done: Exported
) -> Iterator[Example]:
    """Lines of the manifest for a recording, their audio written; what is no example is told in `done.skipped`."""
    samples_T = audio.decode(kept.flac)
    duration_s = samples_T.size / SAMPLE_RATE_HZ
    parts = parts_of(consented)
    if parts:
        own_passages = list(passages(kept.recognition.words, parts, duration_s))
    else:
        own_passages = [Passage(0.0, duration_s, correction.text.strip(), (correction.id,)) for correction in consented]
    for passage in own_passages:
        reason = _reason_against(passage, refused)
        if reason:
            done.skipped += [(id_, reason) for id_ in passage.ids]
            continue
        id_ = passage.ids[0]
        # other parts that are corrected later change the passage, and so the name
        place = f"-{1000 * passage.start_s:.0f}-{1000 * passage.end_s:.0f}" if parts else ""
        path = folder / AUDIO / f"{id_}{place}.flac"
        cut_T = segment(samples_T, passage.start_s, passage.end_s - passage.start_s) if parts else samples_T
        if not path.is_file():
            files.write_bytes(path, audio.flac(cut_T))
        length_s = round(cut_T.size / SAMPLE_RATE_HZ, 4)
        yield Example(id=id_, audio=path, duration_s=length_s, text=passage.text, source=CORRECTION, patient=True)


def _reason_against(passage: Passage, refused: Sequence[Part]) -> str:
    """Why a passage is no example; empty: it is one."""
    if not passage.text:
        return "it has no words"
    if passage.end_s - passage.start_s < SHORTEST_S:
        return f"its passage is shorter than {SHORTEST_S:g} s; it gives terms alone"
    if any(part.start_s < passage.end_s and passage.start_s < part.end_s for part in refused):
        return "a correction beside it has no consent; it gives terms alone"
    return ""


def _remove_old(folder: Path, done: Exported) -> None:
    """Delete recordings of an earlier export that belong to no line any more."""
    wanted = {example.audio.name for example in done.examples}
    for path in sorted((folder / AUDIO).glob("corr_*.flac")):
        if path.name not in wanted:
            path.unlink()
            done.removed.append(path.stem.partition("-")[0])


def _write(folder: Path, done: Exported, changes: Sequence[tuple[str, Added]]) -> None:
    """The manifest and the terms; without any examples an earlier manifest goes, since none can train on nothing."""
    if done.examples:
        examples.write_manifest(folder / MANIFEST, done.examples)
    else:
        (folder / MANIFEST).unlink(missing_ok=True)
    spelled: dict[str, str] = {}
    for _, term in changes:
        done.terms[spelled.setdefault(term.text.casefold(), term.text)] += 1
    if not (done.terms or folder.is_dir()):
        return
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["text", "category"])
    rows.writerows([text, CATEGORY] for text, _ in done.terms.most_common())
    files.write_text(folder / TERMS, out.getvalue())
    files.write_text(folder / CHANGES, "".join(_change_lines(changes)))


def _change_lines(changes: Sequence[tuple[str, Added]]) -> Iterator[str]:
    for id_, term in changes:
        line = {"id": id_, "added": term.text, "instead_of": term.instead_of}
        yield json.dumps(line, ensure_ascii=False) + "\n"
