"""A bundle holds exactly the weights it was made of: stock NeMo restores it and hears the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
import yaml
from safetensors.torch import load_file

from shoptalk.core import bundle, checkpoint
from shoptalk.core.errors import ChecksumError, ModelError
from shoptalk.core.recipe import PackageSection
from shoptalk.core.records import Term
from shoptalk.release import packaging
from shoptalk.release.card import Origin, score_table

ORIGIN = Origin(
    base="shoptalk-base-en-tiny",
    licence="CC-BY-4.0",
    attributions=("Base: Shoptalk (CC-BY-4.0)", "Voices: Kokoro-82M (Apache-2.0)"),
    recipe="demo",
    data=("412 synthetic utterances in 50 voices", "2 h of read speech"),
)
SCORES = {
    "term_error": {
        "before": {"value": 0.9, "low": 0.8, "high": 0.95},
        "after": {"value": 0.25, "low": 0.2, "high": 0.3},
    },
    "general_wer": {"before": 0.31, "after": {"value": 0.32, "low": None, "high": None, "count": 3}},
    "test_utterances": 120,
}
CONFIG = PackageSection(name="tiny-tuned", title="A tiny tuned recogniser")


@pytest.fixture(scope="module")
def made(tiny_nemo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "80-bundle"
    return packaging.write(tiny_nemo, folder, config=CONFIG, origin=ORIGIN, scores=SCORES)


@pytest.fixture(scope="module")
def restored(made: Path) -> Any:
    from nemo.collections.asr.models import EncDecRNNTBPEModel

    return EncDecRNNTBPEModel.restore_from(str(made / "model.nemo"), map_location="cpu").eval()


def speechlike(seed: int, seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    times = np.arange(int(16_000 * seconds)) / 16_000
    tones = sum(np.sin(2 * np.pi * f * times) * np.sin(np.pi * r * times) for f, r in rng.uniform(1, 900, (6, 2)))
    return (0.1 * tones + 0.01 * rng.normal(size=times.size)).astype(np.float32)


def test_it_holds_the_same_tensors(made: Path, tiny_nemo_model: Any, restored: Any) -> None:
    expected = tiny_nemo_model.state_dict()
    for found in (load_file(made / "model.safetensors"), restored.state_dict()):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_stock_nemo_hears_the_same(tiny_nemo_model: Any, restored: Any) -> None:
    audio = [speechlike(seed, seconds) for seed, seconds in ((1, 2.0), (2, 3.1))]
    texts = [[heard.text for heard in model.transcribe(audio, verbose=False)] for model in (tiny_nemo_model, restored)]
    assert texts[0] == texts[1]
    assert any(texts[0])
    signal_1T = torch.from_numpy(audio[0])[None]
    with torch.inference_mode():
        logits = [
            model.eval().encoder(audio_signal=features, length=frames)[0]  # transcribe() leaves it in train mode
            for model in (tiny_nemo_model, restored)
            for features, frames in [model.preprocessor(input_signal=signal_1T, length=torch.tensor([32_000]))]
        ]
    assert torch.equal(logits[0], logits[1])


def test_half_precision_weights_stay_half_and_restore(tiny_nemo: Path, tmp_path: Path) -> None:
    from nemo.collections.asr.models import EncDecRNNTBPEModel

    model = EncDecRNNTBPEModel.restore_from(str(tiny_nemo), map_location="cpu").eval()
    model.half().save_to(str(tmp_path / "half.nemo"))
    folder = packaging.write(tmp_path / "half.nemo", tmp_path / "b", config=CONFIG, origin=ORIGIN, scores=None)
    half = load_file(folder / "model.safetensors")
    assert {t.dtype for t in half.values() if t.is_floating_point()} == {torch.float16}
    whole = EncDecRNNTBPEModel.restore_from(str(folder / "model.nemo"), map_location="cpu").eval()
    assert {t.dtype for t in whole.parameters()} == {torch.float32}
    assert all(
        torch.equal(whole.state_dict()[name], tensor.to(whole.state_dict()[name].dtype))
        for name, tensor in half.items()
    )
    assert whole.transcribe([speechlike(1, 2.0)], verbose=False)[0].text


def test_whoever_may_read_new_files_may_read_all_of_it(made: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("")
    usual = (tmp_path / "new").stat().st_mode
    assert {path.name: path.stat().st_mode for path in made.iterdir()} == dict.fromkeys(
        (path.name for path in made.iterdir()), usual
    )


def test_tokenizer_and_vocabulary(made: Path, tiny_nemo_model: Any) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(made / "tokenizer.model"))
    pieces = (made / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert pieces == [processor.id_to_piece(n) for n in range(processor.vocab_size())]
    assert pieces == list(tiny_nemo_model.joint.vocabulary)


def test_nothing_of_this_machine_is_in_it_and_it_is_reproducible(made: Path, tiny_nemo: Path, tmp_path: Path) -> None:
    again = packaging.write(tiny_nemo, tmp_path / "again", config=CONFIG, origin=ORIGIN, scores=SCORES)
    assert (again / "checksums.json").read_bytes() == (made / "checksums.json").read_bytes()
    config = yaml.safe_load((made / "config.yaml").read_text(encoding="utf-8"))
    assert config["tokenizer"]["dir"] == ""
    assert str(tiny_nemo.parent.parent).encode() not in (made / "model.nemo").read_bytes()
    assert checkpoint.inspect(made / "model.nemo").durations == (0, 1, 2, 3, 4)


def test_the_card_tells_licence_origin_scores_and_limits(made: Path) -> None:
    card = (made / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["base_model"] == "shoptalk-base-en-tiny"
    for wanted in (
        *ORIGIN.attributions,
        *ORIGIN.data,
        "not a medical device",
        "90.0 % (80.0 … 95.0)",
        "| 32.0 % |",
        "120",
    ):
        assert wanted in card
    assert "Nothing was measured" in score_table(None)


def test_opening_verifies_every_file(made: Path, tiny_nemo: Path, tmp_path: Path) -> None:
    opened = bundle.open_bundle(made)
    assert (opened.name, Origin.of(opened.origin)) == ("tiny-tuned", ORIGIN)
    assert all(path.is_file() for path in (opened.nemo, opened.weights, opened.tokenizer, opened.config))
    copy = packaging.write(tiny_nemo, tmp_path / "copy", config=CONFIG, origin=ORIGIN, scores=SCORES)
    for name in json.loads((copy / "checksums.json").read_text()):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ChecksumError, match=name):
            bundle.open_bundle(copy)
        (copy / name).unlink()
        with pytest.raises(ChecksumError, match=name):
            bundle.open_bundle(copy)
        (copy / name).write_bytes(content)
    bundle.open_bundle(copy)


def test_a_temperature_is_handed_on_and_verified(made: Path, tiny_nemo: Path, tmp_path: Path) -> None:
    assert bundle.open_bundle(made).temperature is None
    assert not (made / "calibration.json").exists()
    fitted = {"temperature": 1.37, "ece": 0.04}
    folder = packaging.write(tiny_nemo, tmp_path / "b", config=CONFIG, origin=ORIGIN, scores=None, calibration=fitted)
    assert bundle.open_bundle(folder).temperature == 1.37
    assert json.loads((folder / "calibration.json").read_text()) == fitted
    (folder / "calibration.json").write_text('{"temperature": 9}')
    with pytest.raises(ChecksumError, match="calibration"):
        bundle.open_bundle(folder)


def test_the_lexicon_is_handed_on_and_verified(made: Path, tiny_nemo: Path, tmp_path: Path) -> None:
    assert bundle.read_terms(made) == bundle.read_terms(tiny_nemo) == ()
    term = Term(
        id="apixaban", text="apixaban", category="drug", variants=("Eliquis",), risk="high", facts={"dose": ("5 mg",)}
    )
    folder = packaging.write(tiny_nemo, tmp_path / "b", config=CONFIG, origin=ORIGIN, scores=None, terms=[term])
    assert bundle.read_terms(folder) == (term.model_copy(update={"facts": {}}),)
    bundle.open_bundle(folder)
    lines = (folder / "terms.jsonl").read_text().replace("high", "low")
    (folder / "terms.jsonl").write_text(lines)
    with pytest.raises(ChecksumError, match=r"terms\.jsonl"):
        bundle.read_terms(folder)


@pytest.mark.parametrize("wrong", [{"ece": 0.1}, {"temperature": 0}, {"temperature": float("nan")}])
def test_a_temperature_that_is_none_is_refused(tiny_nemo: Path, tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="temperature"):
        packaging.write(tiny_nemo, tmp_path / "b", config=CONFIG, origin=ORIGIN, scores=None, calibration=wrong)
    assert not (tmp_path / "b").exists()


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a bundle"):
        bundle.open_bundle(tmp_path)
    for text in ("{", "[]", "{}"):
        (tmp_path / "checksums.json").write_text(text)
        with pytest.raises(ChecksumError, match=r"checksums\.json"):
            bundle.open_bundle(tmp_path)


def test_writing_replaces_a_bundle_but_nothing_else(tiny_nemo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    for _ in range(2):
        packaging.write(tiny_nemo, folder, config=CONFIG, origin=ORIGIN, scores=None)
    assert not (tmp_path / "b.partial").exists()
    own = tmp_path / "mine"
    own.mkdir()
    (own / "thesis.txt").write_text("all my work")
    with pytest.raises(ModelError, match="something else"):
        packaging.write(tiny_nemo, own, config=CONFIG, origin=ORIGIN, scores=None)
    assert (own / "thesis.txt").exists()
