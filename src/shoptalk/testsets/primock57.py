"""The consultations of PriMock57: one recording for each speaker, cut by the intervals of a Praat TextGrid."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shoptalk.core.errors import ImportFormatError

LFS_POINTER = b"version https://git-lfs"
NOT_UNDERSTOOD = ("<UNIN/>", "<INAUDIBLE_SPEECH/>")
"""The reference lacks words that are spoken there, so a hypothesis cannot be scored."""
_INTERVAL = re.compile(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "((?:[^"]|"")*)"')


def rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where it stands, and the row of each interval that holds text, of a clone with its audio (Git LFS).

    The words between ``<UNSURE>`` tags are kept. `context` is ``doctor`` or ``patient``; the speaker is the recording:
    which of the seven clinicians it was is not told.
    """
    grids = sorted((source / "transcripts").glob("*.TextGrid"))
    if not grids:
        raise ImportFormatError(f"{source}: has no transcripts/*.TextGrid; give a clone of babylonhealth/primock57")
    for grid in grids:
        audio = source / "audio" / f"{grid.stem}.wav"
        if audio.is_file() and audio.open("rb").read(len(LFS_POINTER)) == LFS_POINTER:
            raise ImportFormatError(f"{audio}: is a pointer of Git LFS; run `git lfs pull` in the clone")
        for number, (start_s, end_s, text) in enumerate(intervals(grid), start=1):
            if not text.strip():
                continue
            lost = any(tag in text for tag in NOT_UNDERSTOOD)
            columns = {
                "id": f"{grid.stem}-{number:04d}",
                "audio": audio,
                "offset": start_s,
                "duration": end_s - start_s,
                "text": " ".join(re.sub(r"<[^>]*>", "", text).split()),
                "speaker": grid.stem,
                "context": grid.stem.rpartition("_")[2],
                "skip": "holds what was not understood" if lost else "",
            }
            yield f"{grid}: interval {number}", columns


def intervals(path: Path) -> list[tuple[float, float, str]]:
    """Start, end and text of each interval of a TextGrid with one tier, in Praat's long text format."""
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{path}: is not text ({error}); save it as UTF-8") from None
    parsed = []
    for start_s, end_s, quoted in _INTERVAL.findall(text):
        parsed.append((float(start_s), float(end_s), quoted.replace('""', '"')))
    expected = re.search(r"intervals: size = (\d+)", text)
    if not expected or len(parsed) != int(expected[1]):
        raise ImportFormatError(f"{path}: {len(parsed)} intervals can be read; save it in Praat's long text format")
    return parsed
