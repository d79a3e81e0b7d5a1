"""`shoptalk import` from the command line, each format from real recordings of the general set."""

import gzip
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.cli import imported

from shoptalk import cli
from shoptalk.cli.testsets import IMPORTED
from shoptalk.core import audio
from shoptalk.core.errors import LeakError
from shoptalk.core.files import read_lines
from shoptalk.stages import importing
from shoptalk.testsets.catalogue import known_sets
from shoptalk.testsets.imported import require_trainable


def run(*arguments: object) -> int:
    return cli.main(["import", *map(str, arguments)])


def about(folder: Path, name: str = "one") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.about.json").read_text(encoding="utf-8"))
    return found


def test_every_format_has_a_reader() -> None:
    assert set(IMPORTED) == set(importing.READERS)


@pytest.mark.parametrize("made", imported.MAKE)
def test_each_format_gives_the_same_lines_and_audio(made: str, tmp_path: Path) -> None:
    name, make = imported.MAKE[made]
    source, to = make(tmp_path), tmp_path / "to"
    assert (
        run(name, source, "--to", to, "--name", "one", "--licence", "CC-BY-4.0", "--origin", "https://a.example") == 0
    )
    lines = read_lines(to / "one.jsonl")
    timed = made in ("nemo", "kaldi", "lhotse")
    for line, original in zip(lines, imported.utterances(), strict=True):
        samples_T = audio.decode(Path(original["audio_filepath"]))
        words = {"words": original["words"]} if timed and "words" in original else {}
        assert line == {
            "id": original["id"], "text": original["text"], "speaker": original["speaker"],
            "voice": original["speaker"], "cluster": original["speaker"], "set": "one",
            "duration": round(samples_T.size / 16_000, 4), "audio_filepath": f"one/{original['id']}.flac", **words,
        }  # fmt: skip
        audio.write_flac(tmp_path / "expected.flac", samples_T)
        assert (to / line["audio_filepath"]).read_bytes() == (tmp_path / "expected.flac").read_bytes()
    note = about(to)
    assert note["utterances"] == len(lines) and note["minutes"] == round(
        sum(line["duration"] for line in lines) / 60, 2
    )
    assert (note["name"], note["licence"], note["origin"], note["format"]) == (
        "one",
        "CC-BY-4.0",
        "https://a.example",
        name,
    )
    assert note["sha256"]["manifest"] == sha256((to / "one.jsonl").read_bytes()).hexdigest()
    listed = "".join(
        f"{sha256((to / line['audio_filepath']).read_bytes()).hexdigest()}  {line['audio_filepath']}\n"
        for line in lines
    )
    assert note["sha256"]["audio"] == sha256(listed.encode()).hexdigest()
    assert not note["patients"] and not note["evaluation_only"] and note["skipped"] == []
    assert not list(to.rglob("*.partial*"))


def test_a_finished_import_is_kept_and_another_does_not_overwrite_it(tmp_path: Path, capsys: Any) -> None:
    source = imported.nemo(tmp_path)
    arguments = ("nemo", source, "--to", tmp_path / "to", "--name", "one", "--licence", "CC0-1.0")
    assert run(*arguments) == 0
    written = (tmp_path / "to" / "one.jsonl").stat().st_mtime_ns
    assert run(*arguments) == 0 and "current" in capsys.readouterr().out
    assert run(*arguments, "--limit", 2) == 2 and "give another --name" in capsys.readouterr().err
    assert (tmp_path / "to" / "one.jsonl").stat().st_mtime_ns == written
    (tmp_path / "to" / "two.jsonl").write_text("mine\n")
    assert run(*arguments, "--name", "two") == 2
    assert (tmp_path / "to" / "two.jsonl").read_text() == "mine\n"


@pytest.mark.parametrize("made", ["nemo", "kaldi", "lhotse", "parquet"])
def test_an_import_whose_audio_was_replaced_is_not_current(made: str, tmp_path: Path, capsys: Any) -> None:
    """Under the same name; of Parquet the table holds it."""
    name, make = imported.MAKE[made]
    source = make(tmp_path)
    replaced = tmp_path / "copy.opus"
    original = Path(imported.utterances()[0]["audio_filepath"])
    replaced.write_bytes(original.read_bytes())
    for path in [source] if source.is_file() else [file for file in source.rglob("*") if file.is_file()]:
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(*encoded(original, replaced))))
        elif path.suffix != ".parquet":
            path.write_bytes(path.read_bytes().replace(*encoded(original, replaced)))
    arguments = (name, source, "--to", tmp_path / "to", "--name", "one", "--licence", "CC0-1.0")
    assert run(*arguments) == 0 and run(*arguments) == 0
    assert "one.jsonl: current" in capsys.readouterr().out
    if made == "parquet":
        table = next(source.rglob("*.parquet"))
        table.write_bytes(next(reversed(sorted(source.rglob("*.parquet")))).read_bytes())
    replaced.write_bytes(Path(imported.utterances()[1]["audio_filepath"]).read_bytes())
    assert run(*arguments) == 2 and "is not this import as it would be now" in capsys.readouterr().err


def encoded(*paths: Path) -> tuple[bytes, ...]:
    return tuple(str(path).encode() for path in paths)


def test_limit_patients_and_a_licence_that_forbids_commerce(tmp_path: Path, capsys: Any) -> None:
    source, to = imported.nemo(tmp_path), tmp_path / "to"
    assert run("nemo", source, "--to", to, "--licence", "CC-BY-NC-4.0", "--limit", 2, "--patients") == 0
    assert [line["patient"] for line in read_lines(to / "set.jsonl")] == [True, True]
    note = about(to, "set")
    assert note["patients"] and note["evaluation_only"]
    with pytest.raises(LeakError, match="never trained on"):
        require_trainable(to / "set.jsonl")
    assert "never trained on or shipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nemo", "SOURCE"), "--licence"),
        (("nemo", "SOURCE", "--licence", "X", "--name", "general"), "--name"),
        (("nemo", "SOURCE", "--licence", "X", "--name", "../up"), "--name"),
        (("nemo", "SOURCE", "--licence", "X", "--limit", "0"), "--limit 0"),
        (("nemo", "absent.jsonl", "--licence", "X"), "no such file"),
        (("lhotse", "absent", "--licence", "X"), "no such file or folder"),
        (("kaldi", "absent", "--licence", "X"), "no such folder"),
        (("hf", "absent", "--licence", "X"), "no hub name"),
        (("primock57", "absent"), "clone of babylonhealth/primock57"),
        (("open-asr", "librispeech"), "librispeech-clean"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(
    arguments: tuple[str, ...], told: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = imported.nemo(tmp_path)
    monkeypatch.chdir(tmp_path)
    wanted = [str(source) if one == "SOURCE" else one for one in arguments]
    assert run(*wanted, "--to", tmp_path / "to") == 2
    shown = capsys.readouterr().err
    assert "ImportFormatError" in shown and told in shown
    assert not list((tmp_path / "to").rglob("*.jsonl")) if (tmp_path / "to").exists() else True


@pytest.mark.parametrize(
    "arguments", [("open-asr", "librispeech-clean"), ("hf", "someone/something:en", "--licence", "X")]
)
@pytest.mark.parametrize("off", [False, True])
def test_a_hub_out_of_reach_is_told_within_seconds(
    arguments: tuple[str, ...], off: bool, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("SHOPTALK_HUB", "off" if off else "")
    began = time.monotonic()
    assert run(*arguments, "--to", tmp_path / "to") == 2
    assert time.monotonic() - began < 8.0
    assert "HubUnreachableError" in capsys.readouterr().err


def test_open_asr_asks_the_hub_for_what_the_catalogue_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's place is taken by Parquet of the same form; what is asked of it is looked at."""
    from shoptalk.integrations import hf_datasets

    asked: list[tuple[Any, ...]] = []
    local, real = imported.parquet(tmp_path), hf_datasets.rows

    def rows(source: str, *, config: str | None = None, split: str = "test") -> Any:
        asked.append((source, config, split))
        return real(str(local))

    monkeypatch.setattr(hf_datasets, "rows", rows)
    assert run("open-asr", "tedlium", "--to", tmp_path / "to") == 0
    hub = known_sets()["tedlium"].hub
    assert hub is not None and asked == [(hub.dataset, "tedlium", "test")]
    note = about(tmp_path / "to", "tedlium")
    assert note["licence"] == "CC-BY-NC-ND-3.0" and note["evaluation_only"] and note["utterances"] == 4
    assert run("hf", "hf-audio/esb-datasets-test-only-sorted:ami", "--to", tmp_path / "to", "--name", "a") == 0
    assert about(tmp_path / "to", "a")["licence"] == "CC-BY-4.0"
