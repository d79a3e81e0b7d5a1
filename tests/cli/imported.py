"""The same utterances as a folder of each format that `shoptalk import` reads."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shoptalk.core.files import read_lines

ASSETS = Path(__file__).parents[2] / "assets" / "general"
WORDS = [["this", 0.1, 0.35], ["is", 0.4, 0.5]]
"""Word times of the first utterance; invented, as only their passing through is tested."""


def utterances(count: int = 4) -> list[dict[str, Any]]:
    """Lines of the general set, with absolute paths, the first with word times."""
    lines = read_lines(ASSETS / "test.jsonl")[:count]
    found = [line | {"audio_filepath": str(ASSETS / line["audio_filepath"])} for line in lines]
    return [found[0] | {"words": WORDS}, *found[1:]]


def nemo(folder: Path) -> Path:
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in utterances()), encoding="utf-8")
    return path


def table(folder: Path) -> Path:
    path = folder / "set.tsv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["path", "sentence", "client_id", "id"])
        writer.writerows([line["audio_filepath"], line["text"], line["speaker"], line["id"]] for line in utterances())
    return path


def kaldi(folder: Path) -> Path:
    lines = utterances()
    contents = {
        "wav.scp": "".join(f"{line['id']} {line['audio_filepath']}\n" for line in lines),
        "text": "".join(f"{line['id']} {line['text']}\n" for line in lines),
        "utt2spk": "".join(f"{line['id']} {line['speaker']}\n" for line in lines),
        "ctm": "".join(f"{lines[0]['id']} 1 {start} {end - start:.3f} {word}\n" for word, start, end in WORDS),
    }
    (folder / "set").mkdir()
    for name, content in contents.items():
        (folder / "set" / name).write_text(content, encoding="utf-8")
    return folder / "set"


def lhotse(folder: Path) -> Path:
    from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet
    from lhotse.supervision import AlignmentItem

    recordings, supervisions = [], []
    for line in utterances():
        recording = Recording.from_file(line["audio_filepath"], recording_id=f"rec-{line['id']}")
        words = [AlignmentItem(word, start, round(end - start, 3)) for word, start, end in line.get("words", ())]
        recordings.append(recording)
        supervisions.append(
            SupervisionSegment(
                id=line["id"],
                recording_id=recording.id,
                start=0.0,
                duration=recording.duration,
                text=line["text"],
                speaker=line["speaker"],
                alignment={"word": words} if words else None,
            )  # fmt: skip
        )
    (folder / "set").mkdir()
    RecordingSet.from_recordings(recordings).to_file(folder / "set" / "recordings.jsonl.gz")
    SupervisionSet.from_segments(supervisions).to_file(folder / "set" / "supervisions.jsonl.gz")
    return folder / "set"


def arrow(lines: list[dict[str, Any]]) -> Any:
    """An Arrow table as `datasets` writes it, with the bytes of the audio files; made without torchcodec."""
    import pyarrow
    from datasets import Audio, Features, Value

    features = Features(
        {"id": Value("string"), "text": Value("string"), "speaker_id": Value("string"), "audio": Audio()}
    )
    columns = {
        "id": [line["id"] for line in lines],
        "text": [line["text"] for line in lines],
        "speaker_id": [line["speaker"] for line in lines],
        "audio": [{"bytes": Path(line["audio_filepath"]).read_bytes(), "path": "a.opus"} for line in lines],
    }
    return pyarrow.Table.from_pydict(columns, schema=features.arrow_schema)


def parquet(folder: Path) -> Path:
    from pyarrow import parquet as files

    (folder / "set" / "data").mkdir(parents=True)
    lines = utterances()
    files.write_table(arrow(lines[:2]), folder / "set" / "data" / "test-00000-of-00002.parquet")
    files.write_table(arrow(lines[2:]), folder / "set" / "data" / "test-00001-of-00002.parquet")
    return folder / "set"


def saved(folder: Path) -> Path:
    from datasets import Dataset, DatasetDict

    DatasetDict({"test": Dataset(arrow(utterances()))}).save_to_disk(folder / "set")
    return folder / "set"


MAKE: Mapping[str, tuple[str, Callable[[Path], Path]]] = {
    "nemo": ("nemo", nemo),
    "table": ("csv", table),
    "kaldi": ("kaldi", kaldi),
    "lhotse": ("lhotse", lhotse),
    "parquet": ("hf", parquet),
    "saved": ("hf", saved),
}
