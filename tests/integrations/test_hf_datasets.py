"""Hugging Face folders: columns of paths, splits, and what is refused; the rest is in tests/cli/test_importing.py."""

import errno
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from shoptalk.core.errors import DiskFullError, HubUnreachableError, ImportFormatError, MissingToolError
from shoptalk.integrations import hf_datasets


def saved(folder: Path, **columns: list[Any]) -> str:
    Dataset.from_dict(columns).save_to_disk(folder)
    return str(folder)


def test_a_column_of_paths_is_left_as_it_is(tmp_path: Path) -> None:
    source = saved(tmp_path / "d", file=["a.wav", "b.wav"], text=["x", "y"])
    assert list(hf_datasets.rows(source)) == [
        (f"{source}:1", {"text": "x", "audio": "a.wav", "row": "00000001"}),
        (f"{source}:2", {"text": "y", "audio": "b.wav", "row": "00000002"}),
    ]


def test_a_split_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    one = Dataset.from_dict({"file": ["a.wav"], "text": ["x"]})
    DatasetDict({"train": one, "dev": one}).save_to_disk(tmp_path / "d")
    with pytest.raises(ImportFormatError, match="has no split test; give the folder of one: train, dev"):
        hf_datasets.rows(str(tmp_path / "d"))
    assert len(list(hf_datasets.rows(str(tmp_path / "d" / "dev")))) == 1
    assert len(list(hf_datasets.rows(str(tmp_path / "d"), split="train"))) == 1


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFormatError, match="has no audio column; it has text"):
        hf_datasets.rows(saved(tmp_path / "d", text=["x"]))
    with pytest.raises(ImportFormatError, match="cannot be opened"):
        hf_datasets.rows(str(tmp_path))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ImportFormatError, match="cannot be opened"):
        hf_datasets.rows(str(tmp_path / "broken.parquet"))
    with pytest.raises(ImportFormatError, match="no hub name"):
        hf_datasets.rows(str(tmp_path / "absent"))


def test_the_hub_is_not_asked_when_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPTALK_HUB", "off")
    with pytest.raises(HubUnreachableError, match="SHOPTALK_HUB is off"):
        hf_datasets.rows("someone/something")


def test_parquet_of_other_splits_is_left_out_and_that_of_other_folders_refused(tmp_path: Path) -> None:
    for name in ("ami/train-0", "ami/test-0", "ami/test-1", "tedlium/test-0"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Dataset.from_dict({"file": [f"{name}.wav"], "text": ["x"]}).to_parquet(tmp_path / f"{name}.parquet")
    found = [row["audio"] for _, row in hf_datasets.rows(str(tmp_path / "ami"))]
    assert found == ["ami/test-0.wav", "ami/test-1.wav"]
    assert len(list(hf_datasets.rows(str(tmp_path / "ami" / "train-0.parquet")))) == 1
    with pytest.raises(ImportFormatError, match="several folders; give one: .*ami, .*tedlium"):
        hf_datasets.rows(str(tmp_path))


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # as if it were not installed
    with pytest.raises(MissingToolError, match=r"shoptalk\[tuning\]"):
        hf_datasets.rows(str(tmp_path))


def test_a_full_disk_is_told_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = saved(tmp_path / "d", file=["a.wav"], text=["x"])
    monkeypatch.setattr(datasets, "load_from_disk", full)
    with pytest.raises(DiskFullError, match="HF_HOME"):
        hf_datasets.rows(source)
