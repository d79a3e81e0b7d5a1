"""A `.nemo` that NeMo wrote passes; each kind of malicious or broken one is refused by name, and runs nothing."""

import gzip
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from shoptalk.core import checkpoint
from shoptalk.core.errors import ChecksumError, ModelError, UnsafeCheckpointError
from shoptalk.core.files import file_sha256

Change = Callable[[dict[str, Any]], object]


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        files = [member for member in tar if member.isreg()]
        return {member.name.removeprefix("./"): tar.extractfile(member).read() for member in files}  # type: ignore[union-attr]


def pack(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def with_config(source: Path, target: Path, change: Change) -> Path:
    files = contents(source)
    config = yaml.safe_load(files[checkpoint.CONFIG])
    change(config)
    files[checkpoint.CONFIG] = yaml.safe_dump(config).encode()
    return pack(target, files)


def with_weights(source: Path, target: Path, weights: bytes) -> Path:
    return pack(target, {**contents(source), checkpoint.WEIGHTS: weights})


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_what_nemo_writes_is_accepted_and_described(tiny_nemo: Path) -> None:
    info = checkpoint.inspect(tiny_nemo, sha256=file_sha256(tiny_nemo))
    assert info.durations == (0, 1, 2, 3, 4)
    assert info.vocabulary == 48
    assert info.dtypes == ("float32",)
    assert info.parameters == sum(tensor.numel() for tensor in checkpoint.read_weights(info).values())
    assert checkpoint.read_member(info, info.tokenizer) == contents(tiny_nemo)[info.tokenizer]


def test_a_gzipped_one_is_accepted_and_extracts_the_same(tiny_nemo: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "old.nemo"
    zipped.write_bytes(gzip.compress(tiny_nemo.read_bytes()))
    checkpoint.extract(zipped, tmp_path / "out")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == contents(tiny_nemo)


def test_every_allowed_class_exists_in_nemo(tiny_nemo: Path) -> None:
    from hydra.utils import get_class

    assert all(isinstance(get_class(target), type) for target in checkpoint.ALLOWED_TARGETS)


def test_missing_and_wrong_bytes(tiny_nemo: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        checkpoint.inspect(tmp_path / "none.nemo")
    with pytest.raises(ChecksumError, match="expected 00"):
        checkpoint.inspect(tiny_nemo, sha256="00" * 32)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_a_cut_archive(tiny_nemo: Path, tmp_path: Path, part: float, squeeze: Callable[[bytes], bytes]) -> None:
    whole = squeeze(tiny_nemo.read_bytes())
    cut = tmp_path / "cut.nemo"
    cut.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ModelError):
        checkpoint.inspect(cut)


def link(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (tarfile.TarInfo("../escaped"), "outside"),
        (tarfile.TarInfo("a/../../escaped"), "outside"),
        (tarfile.TarInfo("/tmp/escaped"), "outside"),
        (tarfile.TarInfo("a\\..\\escaped"), "outside"),
        (tarfile.TarInfo("C:escaped"), "outside"),
        (link("to", tarfile.SYMTYPE, "/etc"), "link"),
        (link("to", tarfile.LNKTYPE, checkpoint.CONFIG), "link"),
        (link("to", tarfile.FIFOTYPE), "link"),
        (link("to", tarfile.CHRTYPE), "link"),
        (tarfile.TarInfo("./" + checkpoint.CONFIG), "twice"),
    ],
)
def test_members_that_reach_outside(tiny_nemo: Path, tmp_path: Path, member: tarfile.TarInfo, reason: str) -> None:
    path = pack(tmp_path / "evil.nemo", contents(tiny_nemo), member)
    with pytest.raises(UnsafeCheckpointError, match=reason):
        checkpoint.extract(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.nemo"]


def test_archives_that_would_fill_the_disk(tiny_nemo: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.nemo"
    pack(bomb, {**contents(tiny_nemo), "zeros": bytes(checkpoint.MAX_SMALL_FILE_BYTES)})
    bomb.write_bytes(gzip.compress(bomb.read_bytes(), 9))
    with pytest.raises(UnsafeCheckpointError, match="unpacks to more"):
        checkpoint.inspect(bomb)
    many = [tarfile.TarInfo(f"file{n}") for n in range(checkpoint.MAX_MEMBERS)]
    with pytest.raises(UnsafeCheckpointError, match="members"):
        checkpoint.inspect(pack(tmp_path / "many.nemo", contents(tiny_nemo), *many))


def test_another_tar_is_not_a_nemo(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model_config.yaml and no model_weights.ckpt"):
        checkpoint.inspect(pack(tmp_path / "x.nemo", {"readme": b"hello"}))


UNSAFE_CONFIGS: dict[str, Change] = {
    "os.system": lambda c: c["encoder"].update(_target_="os.system", command="id"),
    "hydra.utils": lambda c: c.update(extra=[{"deep": {"_target_": "hydra.utils.get_method", "path": "os.system"}}]),
    "torch.load": lambda c: c["preprocessor"].update(_target_="torch.load"),
    "nemo class that no transducer needs": lambda c: c.update(target="nemo.collections.asr.models.ClusteringDiarizer"),
    "list for a class": lambda c: c["encoder"].update(_target_=["os.system"]),
    "interpolated class": lambda c: c["encoder"].update(_target_="${encoder.other}"),
    "environment": lambda c: c["encoder"].update(d_model="${oc.env:HOME}"),
    "interpolated key": lambda c: c.update({"${a}": 1}),
    "custom tokenizer": lambda c: c["tokenizer"].update(custom_tokenizer={"name": "x"}),
    "tokenizer elsewhere": lambda c: c["tokenizer"].update(model_path="/etc/hostname"),
    "vocabulary elsewhere": lambda c: c["tokenizer"].update(vocab_path="/etc/hostname"),
    "vocabulary by folder": lambda c: c["tokenizer"].pop("vocab_path"),
    "artifact outside": lambda c: c["tokenizer"].update(model_path="nemo:../../etc/hostname"),
    "language model": lambda c: c["decoding"]["greedy"].update(ngram_lm_model="/tmp/lm.nemo"),
    "boosting tree": lambda c: c["decoding"]["greedy"].update(boosting_tree={"model_path": "/tmp/tree.nemo"}),
    "deep": lambda c: c.update(deep=_nested(60)),
}


def _nested(depth: int) -> object:
    return [_nested(depth - 1)] if depth else 0


@pytest.mark.parametrize("change", UNSAFE_CONFIGS.values(), ids=UNSAFE_CONFIGS.keys())
def test_configs_that_could_run_code_or_read_files(tiny_nemo: Path, tmp_path: Path, change: Change) -> None:
    with pytest.raises(UnsafeCheckpointError):
        checkpoint.inspect(with_config(tiny_nemo, tmp_path / "evil.nemo", change))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"a: !!python/object/apply:os.system [id]", UnsafeCheckpointError),
        (b"a: !!python/object/apply:pathlib.Path [/etc]", UnsafeCheckpointError),
        (b"a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
         b"g: [*f,*f,*f,*f,*f,*f,*f,*f,*f]", UnsafeCheckpointError),
        (b"a: &a [*a]", UnsafeCheckpointError),
        (b"\xff\xfe\x00", UnsafeCheckpointError),
        (b"[1, 2]", ModelError),
        (b"model: {}", ModelError),
        (b"tokenizer: {type: wpe}", ModelError),
        (b"tokenizer: 3", ModelError),
    ],
)  # fmt: skip
def test_configs_that_are_not_nemos(tiny_nemo: Path, tmp_path: Path, text: bytes, error: type[ModelError]) -> None:
    with pytest.raises(error):
        checkpoint.inspect(pack(tmp_path / "evil.nemo", {**contents(tiny_nemo), checkpoint.CONFIG: text}))


def test_weights_that_run_code_do_not(tiny_nemo: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for weights in (saved({"a": Bomb(mark)}), pickle.dumps({"a": Bomb(mark)})):
        path = with_weights(tiny_nemo, tmp_path / "evil.nemo", weights)
        with pytest.raises(UnsafeCheckpointError, match="more than tensors|bare pickle"):
            checkpoint.inspect(path)
    assert not mark.exists()


def test_weights_must_be_plain_tensors(tiny_nemo: Path, tmp_path: Path) -> None:
    sparse = torch.eye(3).to_sparse()
    for content in ({"a": 1}, {"a": {"b": torch.ones(1)}}, {1: torch.ones(1)}, {"a": sparse}):
        with pytest.raises(UnsafeCheckpointError):
            checkpoint.inspect(with_weights(tiny_nemo, tmp_path / "x.nemo", saved(content)))
    for content in ({}, [torch.ones(1)]):
        with pytest.raises(ModelError):
            checkpoint.inspect(with_weights(tiny_nemo, tmp_path / "x.nemo", saved(content)))


def rezipped(weights: bytes, *, compress: int, replace: tuple[bytes, bytes] = (b"", b"")) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(weights)) as old, zipfile.ZipFile(out, "w", compress) as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, content.replace(*replace) if entry.filename.endswith("data.pkl") else content)
    return out.getvalue()


def test_weights_that_would_fill_the_memory(tiny_nemo: Path, tmp_path: Path) -> None:
    weights = saved({"a": torch.zeros(10_007)})
    deflated = rezipped(weights, compress=zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeCheckpointError, match="compressed"):
        checkpoint.inspect(with_weights(tiny_nemo, tmp_path / "x.nemo", deflated))
    long = rezipped(weights, compress=zipfile.ZIP_STORED, replace=((10_007).to_bytes(2, "little"), b"\xff\xff"))
    with pytest.raises(UnsafeCheckpointError, match="larger than the file"):
        checkpoint.inspect(with_weights(tiny_nemo, tmp_path / "x.nemo", long))


def test_half_precision_is_told(tiny_nemo: Path, tmp_path: Path) -> None:
    info = checkpoint.inspect(tiny_nemo)
    half = {k: t.half() if t.is_floating_point() else t for k, t in checkpoint.read_weights(info).items()}
    assert checkpoint.inspect(with_weights(tiny_nemo, tmp_path / "half.nemo", saved(half))).dtypes == ("float16",)
