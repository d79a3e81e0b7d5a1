"""Give Kokoro recordings the times of their words: the lines of a manifest get `words`.

    python scripts/align_speech.py MANIFEST [--to TARGET]

A line is one of a training manifest with `voice` (or `speaker`) and `speed`, or an `Utterance` of stage 30. Kokoro
computes how long each phoneme lasts before it makes a sound; that part of its graph is run again. Lines with words are
left as they are, and so is a recording whose length does not fit what was computed. Without --to in place.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from shoptalk.core.files import read_lines, write_text
from shoptalk.core.models import store
from shoptalk.corpus.pool import ordered
from shoptalk.integrations.kokoro import DURATION_STEP_S, EDGE_S, BeforeVocoder

_kokoro: list[BeforeVocoder] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    rows = [_training_line(row, arguments.manifest.parent) for row in read_lines(arguments.manifest)]
    _start()  # fetches and makes what the processes share
    found = ordered(_aligned, rows, workers=0, start=_start, arguments=())
    aligned = list(tqdm(found, total=len(rows), desc=arguments.manifest.name))
    target = arguments.to or arguments.manifest
    write_text(target, "".join(json.dumps(row) + "\n" for row in aligned))
    print(f"{target}: {sum('words' in row for row in aligned)} of {len(rows)} recordings have the times of their words")


def _training_line(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    if "audio" not in row:
        return row
    names = {"id": "id", "duration_s": "duration", "text": "text", "voice": "speaker", "speed": "speed"}
    line = {new: row[old] for old, new in names.items()}
    return {**line, "source": "synthetic", "audio_filepath": str((folder / row["audio"]).resolve())}


def _start() -> None:
    _kokoro[:] = [BeforeVocoder(store.path("kokoro-voices"))]


def _aligned(row: dict[str, Any]) -> dict[str, Any]:
    if "words" in row or "speed" not in row:
        return row
    said = _kokoro[0].of(row["text"], voice=row.get("voice", row.get("speaker")), speed=row["speed"])
    words, length_s = said.words, said.length_s
    shift_s = 0.0
    if abs(length_s - row["duration"]) > 2 * DURATION_STEP_S:  # silence at both ends was cut to `EDGE_S`
        shift_s = words[0].start_s - EDGE_S
        if not -0.1 <= row["duration"] - (words[-1].end_s - words[0].start_s + 2 * EDGE_S) <= 0.4:
            return row
    placed = [[one.word, round(one.start_s - shift_s, 3), round(one.end_s - shift_s, 3)] for one in words]
    return {**row, "words": placed}


if __name__ == "__main__":
    main()
