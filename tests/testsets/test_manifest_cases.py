"""The manifests that failed, on every entrance that is no training (that is tests/tuning/test_lines.py)."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shoptalk import cli
from shoptalk.core.audio import SAMPLE_RATE_HZ, decode, write_flac
from shoptalk.core.errors import ManifestError
from shoptalk.core.examples import read_manifest
from shoptalk.stages import text_scores
from shoptalk.testsets import clips

CASES = Path(__file__).parents[1] / "cases"
LENGTHS_S = {
    "pcm16": 1.8, "u0": 1.8, "u1": 0.3891875, "u2": 2.7243125, "u3": 0.6810625, "short12ms": 0.0125,
    "long": 8.3, "min": 60.0,
}  # fmt: skip
SEGMENTS_S = [(0.0, 1.8), (1.8, 0.389), (2.189, 2.724), (4.913, 0.681), (5.595, 0.778), (6.373, 1.849)]
LENGTHS_OF = {
    "m-bom.jsonl": [1.8],
    "m-durnull.jsonl": [1.8],
    "m-offset.jsonl": [length_s for _, length_s in SEGMENTS_S],
    "m-offlong.jsonl": [length_s for _, length_s in SEGMENTS_S],
    "m-oov.jsonl": [1.8, 0.3891875, 2.7243125, 0.6810625],
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A manifest of the cases beside recordings as long as it means, in which every sample tells its place."""
    folder = tmp_path_factory.mktemp("cases")
    for name, length_s in LENGTHS_S.items():
        samples = round(length_s * SAMPLE_RATE_HZ)
        write_flac(folder / "wav" / f"{name}.wav", (np.arange(samples) / 1e6).astype(np.float32))
    return lambda name: Path(shutil.copyfile(CASES / name, folder / name))


def texts_of(name: str) -> list[str]:
    content = (CASES / name).read_text(encoding="utf-8-sig")
    return [json.loads(line)["text"] for line in content.splitlines()]


@pytest.mark.parametrize("name", LENGTHS_OF)
def test_as_a_test_set(name: str, case: Callable[[str], Path]) -> None:
    read = clips.read(case(name), "set", lambda voice: "")
    assert [clip.asked.reference for clip in read] == texts_of(name)
    assert [clip.asked.duration_s for clip in read] == pytest.approx(LENGTHS_OF[name])
    for clip, length_s in zip(read, LENGTHS_OF[name], strict=True):
        assert clip.load().size == round(length_s * SAMPLE_RATE_HZ)
    if name.startswith("m-off"):
        starts_s = [clip.load()[0] * 1e6 / SAMPLE_RATE_HZ for clip in read]
        assert starts_s == pytest.approx([start_s for start_s, _ in SEGMENTS_S], abs=0.002)


@pytest.mark.parametrize("name", LENGTHS_OF)
def test_as_an_import(name: str, case: Callable[[str], Path], tmp_path: Path) -> None:
    assert cli.main(["import", "nemo", str(case(name)), "--to", str(tmp_path), "--licence", "CC0-1.0"]) == 0
    lines = read_manifest(tmp_path / name)
    assert [line.text for line in lines] == texts_of(name)
    assert [line.duration_s for line in lines] == pytest.approx(LENGTHS_OF[name], abs=1e-4)
    if name.startswith("m-off"):
        starts_s = [decode(line.audio)[0] * 1e6 / SAMPLE_RATE_HZ for line in lines]
        assert starts_s == pytest.approx([start_s for start_s, _ in SEGMENTS_S], abs=0.002)


@pytest.mark.parametrize("name", [*LENGTHS_OF, "m-nan1.jsonl"])
def test_as_texts_to_score(name: str, case: Callable[[str], Path]) -> None:
    entries = text_scores.read(case(name))
    assert [entry.text for entry in entries.values()] == texts_of(name)
    if name == "m-offset.jsonl":
        assert list(entries)[1] == "wav/long.wav@1.8" == read_manifest(case(name))[1].id


def test_clips_of_a_frame_are_refused_in_a_test_set_and_skipped_by_an_import(
    case: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=r"m-nan1\.jsonl: 3 lines cannot be scored") as told:
        clips.read(case("m-nan1.jsonl"), "set", lambda voice: "")
    assert [line.split(": ")[0].strip() for line in str(told.value).splitlines()[1:]] == ["line 4", "line 5", "line 6"]
    arguments = ["import", "nemo", str(case("m-nan1.jsonl")), "--to", str(tmp_path), "--licence", "CC0-1.0"]
    assert cli.main(arguments) == 0
    about = json.loads((tmp_path / "m-nan1.about.json").read_text())
    assert about["utterances"] == 3 and [skip["id"] for skip in about["skipped"]] == ["s0", "s1", "s2"]
    assert {skip["reason"] for skip in about["skipped"]} == {"is shorter than 0.1 s"}
