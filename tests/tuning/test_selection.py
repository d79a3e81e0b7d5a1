"""What is left out of a training is counted and told, and features belong to the bytes of the audio."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.tuning import speech

from shoptalk.core import config
from shoptalk.core.audio import SAMPLE_RATE_HZ, write_flac
from shoptalk.core.errors import ManifestError, TrainingError
from shoptalk.core.examples import read_manifest, write_manifest
from shoptalk.core.records import Example
from shoptalk.tuning import selection
from shoptalk.tuning.trainer import ASRTrainer, TrainingData

LENGTHS_S = (1.0, 2.0, 4.0, 6.0)


def tone(length_s: float, hz: float = 300.0) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(length_s * SAMPLE_RATE_HZ)) * hz * 6.28 / SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four recordings, each of another length."""
    entries = []
    for length_s in LENGTHS_S:
        path = tmp_path / f"{length_s:g}s.flac"
        write_flac(path, tone(length_s))
        entries.append(Example(id=path.stem, audio=path, duration_s=length_s, text="oh"))
    write_manifest(tmp_path / "list.jsonl", entries)
    return tmp_path / "list.jsonl"


@pytest.fixture
def prepare(manifest: Path, tiny_nemo: Path) -> Callable[..., list[str]]:
    """Prepares a training on the manifest, and returns what was said."""

    def prepared(*changes: str, rehearsal: tuple[Path, ...] = (), dev: Path | None = None) -> list[str]:
        said: list[str] = []
        data = TrainingData([manifest], rehearsal, [dev or speech.manifest(manifest.parent)])
        recipe = config.changed(("train.feature_noise=0", *changes))
        ASRTrainer(recipe, data, manifest.parent / "run", init=str(tiny_nemo), say=said.append).prepare()
        return said

    return prepared


def amount(recordings: int, seconds: float) -> dict[str, float]:
    return {"recordings": recordings, "hours": round(seconds / 3600, 4)}


def cut(path: Path, part: float) -> None:
    """The first part of a file: its header still tells the whole length."""
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * part)])


def test_recordings_that_are_too_long_are_counted_with_their_hours(
    prepare: Callable[..., list[str]], manifest: Path
) -> None:
    said = prepare("train.max_utterance_s=3")
    told = "domain: 2 recordings (0.0028 h) of 4 recordings (0.0036 h) are left out: they are longer than "
    assert [line for line in said if line.startswith("domain")] == [
        told + "train.max_utterance_s (3 s); raise it, or cut them"
    ]
    content = json.loads((manifest.parent / "run" / selection.DATA).read_text())
    assert content["max_utterance_s"] == 3
    assert content["domain"]["used"] == amount(2, 3) and content["domain"]["too_long"] == amount(2, 10)
    (line,) = selection.summary(manifest.parent / "run")
    assert line == (
        "domain: 2 recordings (0.0008 h) trained; "
        "2 recordings (0.0028 h) left out: longer than 3 s (train.max_utterance_s)"
    )
    assert not [line for line in prepare() if line.startswith("domain")], "nothing is too long for 20 s"


def test_a_speed_at_which_a_recording_is_too_long_counts(prepare: Callable[..., list[str]]) -> None:
    said = prepare("train.max_utterance_s=4.2", "train.feature_speeds=[0.9, 1.0]")
    assert any("domain: 2 recordings" in line for line in said)


def test_a_pool_of_which_nothing_is_left_is_an_error(prepare: Callable[..., list[str]], manifest: Path) -> None:
    with pytest.raises(TrainingError, match=r"list\.jsonl: no recording is left .*\n.*raise it, or cut them"):
        prepare("train.max_utterance_s=0.5")
    with pytest.raises(TrainingError, match=r"rehearsal: 4 recordings"):
        longer = manifest.with_name("longer.jsonl")
        write_manifest(longer, read_manifest(manifest)[2:] * 2)
        prepare("train.max_utterance_s=3", rehearsal=(longer,))


def test_a_recording_that_cannot_be_decoded_whole_is_left_out_and_counted(
    prepare: Callable[..., list[str]], manifest: Path
) -> None:
    cut(manifest.parent / "4s.flac", 0.5)
    said = prepare()
    assert any("1 recordings cannot be used" in line and "4s: " in line for line in said)
    assert any("domain: 1 recordings" in line and line.endswith("replace or remove 4s") for line in said)
    content = json.loads((manifest.parent / "run" / selection.DATA).read_text())
    assert content["domain"]["not_whole"] == amount(1, 4) and content["domain"]["used"] == amount(3, 9)
    assert any("replace or remove 4s" in line for line in prepare()), "it is told again where the features are there"
    for length_s in LENGTHS_S:
        cut(manifest.parent / f"{length_s:g}s.flac", 0.4)
    with pytest.raises(TrainingError, match=r"no recording is left to train on"):
        prepare()


def test_a_recording_that_is_shorter_than_its_line_says_is_refused_by_line(
    prepare: Callable[..., list[str]], manifest: Path
) -> None:
    write_flac(manifest.parent / "4s.flac", tone(2.0))
    with pytest.raises(ManifestError, match=r"line 3: 4 s are named, but the recording has 2 s"):
        prepare()


def test_dev_recordings_are_checked_as_those_that_train(prepare: Callable[..., list[str]], manifest: Path) -> None:
    audio = manifest.parent / "dev.flac"
    write_flac(audio, tone(4.0))

    def with_dev(text: str) -> None:
        path = manifest.with_name("dev.jsonl")
        write_manifest(path, [Example(id="dev", audio=audio, duration_s=4.0, text=text)])
        prepare(dev=path)

    with pytest.raises(ManifestError, match=r"dev\.jsonl.*\n  line 1: the tokenizer cannot write '中'"):
        with_dev("中")
    cut(audio, 0.5)
    with pytest.raises(ManifestError, match=r"dev recordings that cannot be scored:\n  dev: "):
        with_dev("hello")


def test_features_of_audio_that_was_replaced_are_made_anew(prepare: Callable[..., list[str]], manifest: Path) -> None:
    """Even if the new file has the size and the time of change of the old one."""
    prepare()
    folder, audio = manifest.parent / "run" / "features", manifest.parent / "1s.flac"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    prepare()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    stat = audio.stat()
    write_flac(audio, tone(1.0, hz=700.0))
    content = audio.read_bytes()[: stat.st_size].ljust(stat.st_size, b"\0")
    audio.write_bytes(content)
    os.utime(audio, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (audio.stat().st_size, audio.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    prepare()
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(after) == len(before) and not set(after) & set(before), "the old features are removed"
