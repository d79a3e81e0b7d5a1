"""Datasets as shards: read back by Lhotse, NeMo's reader and webdataset, from a folder and from S3."""

import io
import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from moto.server import ThreadedMotoServer

from shoptalk.cli import main
from shoptalk.core.audio import SAMPLE_RATE_HZ, decode, write_flac
from shoptalk.core.errors import ManifestError
from shoptalk.core.examples import write_manifest
from shoptalk.core.records import Example
from shoptalk.corpus import shards
from shoptalk.integrations.s3 import S3
from shoptalk.stages import sharding

RATE_HZ = SAMPLE_RATE_HZ


def tone(hertz: float, seconds: float, rate_hz: int = RATE_HZ) -> Any:
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A run folder with seven training recordings, one a segment and one at 8 kHz, and two for dev."""
    folder = tmp_path / "run" / "50-dataset"
    examples = []
    for number in range(7):
        path = folder.parent / f"{number}.flac"
        write_flac(path, tone(200 + 50 * number, 0.5 + 0.1 * number))
        examples.append(
            Example(
                id=f"met.drug/{number}", audio=path, duration_s=round(0.5 + 0.1 * number, 4), text=f"give {number} µg",
                term_ids=("met",), voice="af_sky", cluster="give {dose}", words=(("give", 0.1, 0.3), ("µg", 0.3, 0.45)),
            )
        )  # fmt: skip
    soundfile.write(folder.parent / "slow.wav", tone(300, 0.5, 8_000), 8_000)
    examples[5] = examples[5].model_copy(update={"audio": folder.parent / "slow.wav", "duration_s": 0.5})
    examples[6] = examples[6].model_copy(update={"offset_s": 0.25, "duration_s": 0.5, "words": ()})
    write_manifest(folder / "train.jsonl", examples)
    write_manifest(folder / "dev.jsonl", examples[:2])
    (folder / "dev-general.jsonl").write_text("")
    return folder.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected_sound(dataset: Path, example_id: str) -> Any:
    number = int(example_id[-1])
    if number == 5:
        return decode(dataset / "slow.wav")
    whole_T = tone(200 + 50 * number, 0.5 + 0.1 * number)
    return whole_T[RATE_HZ // 4 : RATE_HZ * 3 // 4] if number == 6 else whole_T


def test_lhotse_reads_shar(dataset: Path, tmp_path: Path) -> None:
    from lhotse import CutSet

    sharding.write(dataset, str(tmp_path / "to"), form="shar", per_shard=3)
    assert sorted(contents(tmp_path / "to" / "train")) == sorted(
        name for number in range(3) for name in (f"cuts.{number:06d}.jsonl.gz", f"recording.{number:06d}.tar")
    )
    cuts = list(CutSet.from_shar(in_dir=tmp_path / "to" / "train"))
    assert {cut.supervisions[0].id for cut in cuts} == {f"met.drug/{number}" for number in range(7)}
    for cut in cuts:
        (segment,) = cut.supervisions
        assert segment.text == f"give {segment.id[-1]} µg" and segment.speaker == "af_sky"
        assert segment.custom["term_ids"] == ["met"] and segment.custom["cluster"] == "give {dose}"
        if segment.id[-1] != "6":
            assert [(item.symbol, item.start) for item in segment.alignment["word"]] == [("give", 0.1), ("µg", 0.3)]
        samples_T = cut.load_audio()[0]
        np.testing.assert_allclose(samples_T, expected_sound(dataset, segment.id), atol=2e-3)
    assert len(list(CutSet.from_shar(in_dir=tmp_path / "to" / "dev"))) == 2


def test_webdataset_reads_tar_files_and_manifests_name_what_is_in_them(dataset: Path, tmp_path: Path) -> None:
    import webdataset

    sharding.write(dataset, str(tmp_path / "to"), form="tar", per_shard=3)
    folder = tmp_path / "to" / "train"
    lines = [json.loads(line) for line in (folder / "tarred_audio_manifest.json").read_text().splitlines()]
    for number in range(3):
        own = [line for line in lines if line["shard_id"] == number]
        sharded = (folder / "sharded_manifests" / f"manifest_{number}.json").read_text().splitlines()
        assert [json.loads(line) for line in sharded] == own and 2 <= len(own) <= 3
        samples = list(webdataset.WebDataset(str(folder / f"audio_{number}.tar"), shardshuffle=False))
        assert [f"{sample['__key__']}.flac" for sample in samples] == [line["audio_filepath"] for line in own]
        for sample, line in zip(samples, own, strict=True):
            samples_T, rate_hz = soundfile.read(io.BytesIO(sample["flac"]), dtype="float32")
            assert rate_hz == RATE_HZ and "offset" not in line
            assert samples_T.size == pytest.approx(line["duration"] * RATE_HZ, abs=1)
            np.testing.assert_allclose(samples_T, expected_sound(dataset, line["id"]), atol=2e-3)


@pytest.mark.slow
def test_nemo_reads_its_tarred_form(dataset: Path, tmp_path: Path) -> None:
    from nemo.collections.common.data.lhotse.nemo_adapters import LazyNeMoTarredIterator

    sharding.write(dataset, str(tmp_path / "to"), form="tar", per_shard=3)
    folder = tmp_path / "to" / "train"
    read = LazyNeMoTarredIterator(
        str(folder / "sharded_manifests" / "manifest__OP_0..2_CL_.json"), str(folder / "audio__OP_0..2_CL_.tar")
    )
    cuts = list(read)
    assert {cut.supervisions[0].text for cut in cuts} == {f"give {number} µg" for number in range(7)}
    for cut in cuts:
        np.testing.assert_allclose(cut.load_audio()[0], expected_sound(dataset, cut.custom["id"]), atol=2e-3)


@pytest.mark.parametrize("form", shards.FORMS)
def test_stopped_and_resumed_the_bytes_are_the_same(
    form: shards.Form, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharding.write(dataset, str(tmp_path / "whole"), form=form, per_shard=2)
    make, made = shards.made, []

    def stopped(shard: shards.Shard, *rest: Any) -> Iterator[shards.File]:
        made.append(shard)
        for file in make(shard, *rest):
            if len(made) == 3:
                raise KeyboardInterrupt
            yield file

    monkeypatch.setattr(shards, "made", stopped)
    with pytest.raises(KeyboardInterrupt):
        sharding.write(dataset, str(tmp_path / "to"), form=form, per_shard=2)
    assert not (tmp_path / "to").exists()
    sharding.write(dataset, str(tmp_path / "to"), form=form, per_shard=2)
    assert len(made) == 3 + 5 - 2
    assert contents(tmp_path / "to") == contents(tmp_path / "whole")
    index = json.loads((tmp_path / "to" / "shards.json").read_text())
    assert index["complete"] and index["lists"] == {"dev": 2, "train": 7}
    for name, content in contents(tmp_path / "to").items():
        assert name == "shards.json" or index["files"][name]["sha256"] == sha256(content).hexdigest()


def test_other_shards_are_not_overwritten(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*more: str) -> int:
        return main(["shards", str(dataset), "--to", str(tmp_path / "to"), *more])

    assert run() == 0 and run() == 0
    assert "to: current" in capsys.readouterr().out
    assert run("--form", "shar") == 2
    assert "holds shards of another dataset, form or size" in capsys.readouterr().err
    assert run("--per-shard", "0") == 2
    (tmp_path / "full").mkdir()
    with pytest.raises(ManifestError, match="holds no shards"):
        sharding.write(dataset, str(tmp_path / "full"), form="tar", per_shard=2)
    shutil.copy(dataset / "0.flac", tmp_path / "x.npy")
    write_manifest(tmp_path / "features.jsonl", [Example(id="x", audio=tmp_path / "x.npy", duration_s=1, text="x")])
    with pytest.raises(ManifestError, match="holds features"):
        sharding.write(tmp_path / "features.jsonl", str(tmp_path / "of-features"), form="tar", per_shard=2)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    own = boto3.client("s3")
    own.create_bucket(Bucket="corpora")
    yield own
    server.stop()


def test_s3_gets_the_same_objects_and_refuses_others(bucket: Any, dataset: Path, tmp_path: Path) -> None:
    sharding.write(dataset, str(tmp_path / "to"), form="shar", per_shard=3)
    to = "s3://corpora/bar/1"
    assert not sharding.write(dataset, to, form="shar", per_shard=3).was_there
    stored = {}
    for found in S3().listed(f"{to}/", 100):
        stored[found.address.removeprefix(f"{to}/")] = S3().read(found.address, 2**20)
    assert stored == contents(tmp_path / "to")
    assert sharding.write(dataset, f"{to}/", form="shar", per_shard=3).was_there
    with pytest.raises(ManifestError, match="another dataset"):
        sharding.write(dataset, to, form="tar", per_shard=3)
    bucket.put_object(Bucket="corpora", Key="mine/x", Body=b"x")
    with pytest.raises(ManifestError, match="is not empty"):
        sharding.write(dataset, "s3://corpora/mine", form="tar", per_shard=3)
