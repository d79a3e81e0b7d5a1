"""What would stop a later stage is told before the first one runs."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shoptalk.core import config, device
from shoptalk.core.errors import PreflightError, ScoringError
from shoptalk.core.records import Hypothesis
from shoptalk.integrations import espeak
from shoptalk.stages import preflight
from shoptalk.stages.run import Run
from shoptalk.stages.table import BY_NAME
from shoptalk.testsets import clips

ROOT = Path(__file__).parents[2]
TERMS = "text,category\ncolchicine,drug\ntafamidis,drug\nfinerenone,drug\nvericiguat,drug\n"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """A run in which nothing is missing, with changes."""
    (tmp_path / "terms.csv").write_text(TERMS)
    (tmp_path / "run").mkdir()
    general = tmp_path / "general"
    general.mkdir()
    audio = sorted((ROOT / "assets/noise").rglob("*.flac"))[0]
    for part, text in (("rehearsal", "we walked to the lake"), ("test", "the train was late again")):
        line = {"id": part, "audio_filepath": str(audio), "duration": 1.0, "text": text, "speaker": part}
        (general / f"{part}.jsonl").write_text(json.dumps(line) + "\n")

    def changed(*changes: str) -> Run:
        own = (f"lexicon.files=[{tmp_path}/terms.csv]", f"dataset.general={general}")
        return Run(tmp_path / "run", config.changed((*own, *changes)), tmp_path)

    return changed


def manifest(path: Path, *ids: str) -> Path:
    lines = [{"id": name, "audio_filepath": "a.wav", "duration": 1.0, "text": "hello"} for name in ids]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def told(run: Run) -> str:
    with pytest.raises(PreflightError) as caught:
        preflight.check(run, tuple(BY_NAME))
    return str(caught.value)


def test_a_run_in_which_nothing_is_missing_starts(run: Callable[..., Run]) -> None:
    preflight.check(run(), tuple(BY_NAME))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("transcripts.llm={kind: openai, base_url: 'http://127.0.0.1:9/v1'}", "transcripts.llm: .*cannot be reached"),
        ("transcripts.llm={kind: openai}", "'' is no address"),
        ("train.mlflow=http://127.0.0.1:9", "train.mlflow: .*cannot be reached"),
        ("evaluate.others=[{kind: openai, model: m, base_url: 'http://127.0.0.1:9'}]", "evaluate.others: .*be reached"),
        ("evaluate.others=[{kind: whisper, model: none}]", "'none' is not in the model store"),
        ("evaluate.others=[{kind: whisper, model: whisper-base-ct2}, {kind: openai, model: whisper-base}]",
         "two recognisers of the name 'whisper-base'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_recipe_is_told(run: Callable[..., Run], change: str, words: str) -> None:
    with pytest.raises(PreflightError, match=words):
        preflight.check(run(change), tuple(BY_NAME))


def test_two_test_sets_that_share_an_id_are_named_with_it(run: Callable[..., Run], tmp_path: Path) -> None:
    one, two = manifest(tmp_path / "sets/one.jsonl", "a", "b"), manifest(tmp_path / "sets/two.jsonl", "c", "b")
    assert "the sets 'one' and 'two' share the id 'b'" in told(run(f"evaluate.tests=[{one}, {two}]"))
    own = manifest(tmp_path / "sets/three.jsonl", "test")
    assert "the sets 'general' and 'three' share the id 'test'" in told(run(f"evaluate.tests=[{own}]"))


def test_test_sets_that_are_empty_or_have_a_name_that_is_taken_are_named(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    empty, again = manifest(tmp_path / "sets/mine.jsonl"), manifest(tmp_path / "more/mine.jsonl", "x")
    noisy = manifest(tmp_path / "sets/noisy.jsonl", "y")
    message = told(run(f"evaluate.tests=[{empty}, {again}, {noisy}]"))
    assert "two sets of the name 'mine'" in message
    assert "mine.jsonl is empty" in message
    assert "cannot be called 'noisy'" in message
    assert "is no manifest" in told(run(f"evaluate.tests=[{tmp_path}/sets]"))


def test_a_recording_is_in_one_test_set_only() -> None:
    def clip(name: str, test_set: str) -> clips.Clip:
        asked = Hypothesis(id=name, reference="", heard="", set=test_set)
        return clips.Clip(asked, load=lambda: pytest.fail("nothing is loaded"), content=None)

    clips.require_distinct([clip("a", "one"), clip("b", "two")])
    with pytest.raises(ScoringError, match="the sets 'one' and 'two' share the id 'a'"):
        clips.require_distinct([clip("a", "one"), clip("a", "two")])


def test_a_held_out_term_that_is_rehearsed_is_named(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "terms.csv").write_text("text,category,taught\nlake,place,false\nriver,place,true\n")
    assert "'lake' is held out, but rehearsed in 'we walked to the lake'" in told(run())


def test_a_general_set_that_leaks_or_lacks_its_audio_is_told(run: Callable[..., Run], tmp_path: Path) -> None:
    shutil.copy(tmp_path / "general/rehearsal.jsonl", tmp_path / "general/test.jsonl")
    assert "is rehearsed and tested" in told(run())
    manifest(tmp_path / "general/test.jsonl", "x")
    assert "dataset: ManifestError" in told(run()), "no speaker"


@pytest.mark.parametrize(
    ("voice", "told"),
    [("nobody", "Kokoro has no voice 'nobody'; it has af_alloy"), ("af_kore", "'af_kore' is kept for tests")],
)
def test_a_voice_that_cannot_train_is_told(run: Callable[..., Run], voice: str, told: str) -> None:
    with pytest.raises(PreflightError, match=told):
        preflight.check(run(f"speech.voices.train={{{voice}: en-us}}"), ("speech",))


def test_a_class_of_noise_that_is_not_there_is_told(run: Callable[..., Run]) -> None:
    message = told(run("augment.noise_classes={tram: 1, babble: 1}"))
    assert "augment: augment.noise_classes: the noise manifest has no training recording of class tram" in message


def test_noise_that_is_not_there_is_told(run: Callable[..., Run], tmp_path: Path) -> None:
    line = {"id": "rain", "audio": "rain.flac", "kind": "noise", "split": "train", "sha256": "0" * 64}
    (tmp_path / "noise.jsonl").write_text(json.dumps(line) + "\n")
    message = told(run(f"augment.noise_manifest={tmp_path}/noise.jsonl", "evaluate.silence_s=3"))
    assert "augment: " in message and "rain.flac" in message
    assert "has no noise of split `test`" in message


def test_a_wrong_lexicon_and_a_wrong_base_are_told_together(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "terms.csv").write_text("text,category\n,drug\n")
    (tmp_path / "base.nemo").write_text("no model")
    message = told(run(f"train.init={tmp_path}/base.nemo"))
    assert message.count("terms.csv:2: empty term") == 1
    assert "train: " in message and "base.nemo" in message


@pytest.mark.parametrize(("package", "extra"), [("nemo", "tuning"), ("onnxruntime", "corpus"), ("torch", "engine")])
def test_a_package_that_is_not_installed_is_told_with_its_extra(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    find = importlib.util.find_spec

    def absent(name: str, *more: Any) -> Any:
        return None if name == package else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    assert f"{package} is not installed; run `pip install 'shoptalk[{extra}]'`" in told(run())


def test_a_missing_synthesiser_is_told(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from shoptalk.core.errors import MissingToolError

    def absent() -> None:
        raise MissingToolError("eSpeak NG is missing; install it: apt-get install espeak-ng")

    monkeypatch.setattr(espeak, "_library", absent)
    assert "speech: MissingToolError: eSpeak NG is missing" in told(run())


def test_more_gpus_than_there_are_is_told(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Gpu(NamedTuple):
        kind: str = "cuda"

    monkeypatch.setattr(device, "accelerator", Gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert "train.devices is 4, but there are 1 GPUs" in told(run("train.devices=4"))


def test_an_engine_for_an_absent_gpu_is_told(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    class Cpu(NamedTuple):
        kind: str = "cpu"

    monkeypatch.setattr(device, "accelerator", Cpu)
    assert "evaluate: engine.device is cuda, but PyTorch sees no GPU here" in told(run("engine.device=cuda"))


def test_a_disk_that_is_too_full_or_not_writable_is_told(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Usage(NamedTuple):
        free: int = 1_000_000

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage())
    assert "0.0 GB are free on its disk" in told(run())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHOPTALK_CACHE", str(tmp_path / "file" / "cache"))
    assert "cannot be written to" in told(run())


def test_a_foreign_endpoint_wants_a_key(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert "wants a key" in told(run("transcripts.llm={kind: openai, base_url: 'https://api.openai.com/v1'}"))
