"""The integration of NeMo against NeMo itself: what is refused, what is heard, what is saved."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tests.tuning import speech

from shoptalk.core import audio, checkpoint
from shoptalk.core.errors import HubUnreachableError, ModelError
from shoptalk.core.recipe import ModelSection
from shoptalk.core.records import Recognition, Samples
from shoptalk.core.tokens import words as joined
from shoptalk.integrations import nemo
from shoptalk.integrations.nemo import NemoRecognizer
from shoptalk.tuning.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def model(tiny_nemo: Path) -> Any:
    """The tiny model, its blank made unlikely so that it says something about every audio."""
    restored = nemo.restore(tiny_nemo)
    with torch.no_grad():
        restored.joint.joint_net[-1].bias[restored.tokenizer.vocab_size] -= 1.0
    return restored


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    """Real speech of mixed lengths, of one second or more: NeMo pads what is shorter when it transcribes."""
    whole = [audio.decode(entry.audio) for entry in speech.entries()]
    return [np.concatenate(whole[:2]), whole[2][:16_000], whole[3], whole[1][8_000:26_000], np.concatenate(whole[1:])]


@pytest.fixture(scope="module")
def heard(model: Any, spoken: list[Samples]) -> list[Recognition]:
    return NemoRecognizer(model, batch=4).recognize(spoken)


def test_the_same_as_nemos_transcribe(model: Any, spoken: list[Samples], heard: list[Recognition]) -> None:
    hypotheses = model.transcribe(spoken, batch_size=1, return_hypotheses=True, verbose=False)
    model.eval()  # transcribe() leaves the encoder in train mode
    assert [one.text for one in heard] == [
        model.tokenizer.ids_to_text(h.y_sequence.tolist()).strip() for h in hypotheses
    ]
    assert len({one.text for one in heard}) == len(heard) and all(one.text for one in heard)


def test_one_by_one_it_hears_the_same(model: Any, spoken: list[Samples], heard: list[Recognition]) -> None:
    assert [one.text for one in NemoRecognizer(model, batch=1).recognize(spoken)] == [one.text for one in heard]


def test_words_lie_in_the_audio_in_order(spoken: list[Samples], heard: list[Recognition]) -> None:
    for samples_T, one in zip(spoken, heard, strict=True):
        assert " ".join(word.word for word in one.words) == one.text.replace("⁇", "<unk>") or one.words
        starts = [word.start_s for word in one.words]
        assert starts == sorted(starts)
        assert all(0 <= word.start_s < word.end_s for word in one.words)
        assert one.words[-1].end_s <= samples_T.size / audio.SAMPLE_RATE_HZ


@pytest.mark.parametrize("samples", [0, 1, 160, 399, 1_600])
def test_hardly_any_audio_is_heard_too(model: Any, samples: int) -> None:
    short, long = np.zeros(samples, np.float32), np.zeros(16_000, np.float32)
    assert len(NemoRecognizer(model, batch=4).recognize([short])) == 1
    assert len(NemoRecognizer(model, batch=4).recognize([long, short, long])) == 3


def test_no_audio_gives_nothing(model: Any) -> None:
    assert NemoRecognizer(model, batch=4).recognize([]) == []


def test_pieces_become_words_with_times_and_confidences() -> None:
    pieces, confidences = ["▁met", "form", "in", "▁", "5"], [0.9, 0.8, 0.5, 0.1, 0.7]
    words = list(joined(pieces, [0, 2, 2, 9, 10], [2, 0, 4, 1, 0], confidences, frame_s=0.08))
    assert [(w.word, w.start_s, w.end_s, w.confidence) for w in words] == [
        ("metformin", 0.0, 0.48, 0.36),
        ("5", 0.8, 0.88, 0.7),
    ]
    assert list(joined([], [], [], [], frame_s=0.08)) == []


def test_confidence_is_what_nemo_saw_while_it_decoded(
    model: Any, spoken: list[Samples], heard: list[Recognition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NeMo's own confidence of each token, its measure replaced by ours: the probability without the blank."""
    before = OmegaConf.to_container(model.cfg.decoding)
    kept = {"preserve_frame_confidence": True, "preserve_token_confidence": True, "exclude_blank": True}
    method = {"name": "max_prob", "alpha": 1.0}
    model.change_decoding_strategy(
        OmegaConf.create({**before, "confidence_cfg": {**kept, "method_cfg": method}}),  # type: ignore[dict-item]
        verbose=False,
    )
    blank = model.decoder.blank_idx
    computer = model.decoding.decoding.decoding_computer
    measure = lambda logits_BV: logits_BV[:, :blank].softmax(-1).amax(-1)  # noqa: E731
    monkeypatch.setattr(computer, "_confidence_measure", measure)
    monkeypatch.setattr(
        nemo,
        "token_confidences",
        lambda model, encoded, hypotheses: [[float(c) for c in one.token_confidence] for one in hypotheses],
    )
    try:
        theirs = NemoRecognizer(model, batch=4).recognize(spoken)
    finally:
        model.change_decoding_strategy(OmegaConf.create(before), verbose=False)  # type: ignore[arg-type]
    assert [one.text for one in theirs] == [one.text for one in heard]
    for ours_heard, theirs_heard in zip(heard, theirs, strict=True):
        for mine, other in zip(ours_heard.words, theirs_heard.words, strict=True):
            assert (mine.start_s, mine.end_s) == (other.start_s, other.end_s)
            assert mine.confidence == pytest.approx(other.confidence, abs=2e-4)
    found = {word.confidence for one in heard for word in one.words}
    assert len(found) > len(spoken) and all(0 <= one < 1 for one in found if one is not None) and None not in found


def test_a_tdt_model_is_accepted_and_a_changed_vocabulary_is_not(tiny_nemo: Path, tmp_path: Path) -> None:
    changed = nemo.restore(tiny_nemo)
    nemo.check_is_tdt(changed)
    tokenizer = train_tokenizer(["no fever and no cough"], tmp_path / "tokenizer", vocabulary=96)
    changed.change_vocabulary(str(tokenizer.parent), "bpe")
    with pytest.raises(ModelError, match="the vocabulary was changed after training|for the blank"):
        nemo.check_is_tdt(changed)


@pytest.mark.parametrize(
    ("path", "value"), [("loss.loss_name", "rnnt"), ("model_defaults.tdt_durations", []), ("model_defaults", {})]
)
def test_what_is_not_tdt_is_refused(tiny_nemo_model: Any, path: str, value: Any) -> None:
    before = tiny_nemo_model.cfg
    other = OmegaConf.create(OmegaConf.to_container(before))
    OmegaConf.update(other, path, value, merge=False)
    tiny_nemo_model._cfg = other
    try:
        with pytest.raises(ModelError, match="start from a TDT checkpoint"):
            nemo.check_is_tdt(tiny_nemo_model)
    finally:
        tiny_nemo_model._cfg = before


@pytest.mark.parametrize("source", ["absent.nemo", "some/where/absent.nemo", "parakeet", "a/b/c"])
def test_an_unknown_name_is_refused(source: str) -> None:
    with pytest.raises(ModelError):
        nemo.restore(source)


def test_a_hub_name_fails_fast_where_no_hub_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*args: Any, timeout: float, **kwargs: Any) -> None:
        assert timeout <= 10
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    started = time.monotonic()
    with pytest.raises(HubUnreachableError, match=r"download the \.nemo where the hub can be reached"):
        nemo.restore("nvidia/parakeet-tdt-0.6b-v2")
    assert time.monotonic() - started < 15


def test_a_hub_repository_without_a_checkpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    class Info:
        siblings = ()

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *args, **kwargs: Info())
    with pytest.raises(ModelError, match=r"holds no \.nemo file"):
        nemo.restore("some/where")


def test_half_precision_on_disk_restores_to_float32(tiny_nemo: Path, tmp_path: Path) -> None:
    model = nemo.restore(tiny_nemo)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    nemo.save(model, tmp_path / "below" / "half.nemo", half=True)
    nemo.save(nemo.restore(tiny_nemo), tmp_path / "whole.nemo")
    info = checkpoint.inspect(tmp_path / "below" / "half.nemo")
    assert info.dtypes == ("float16",) and checkpoint.inspect(tmp_path / "whole.nemo").dtypes == ("float32",)
    restored = nemo.restore(tmp_path / "below" / "half.nemo").state_dict()
    for key, value in before.items():
        assert restored[key].dtype == value.dtype
        assert torch.allclose(restored[key].float(), value.float(), rtol=1e-3, atol=1e-6), key
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items()), (
        "the model is left as it is"
    )
    assert not list(tmp_path.rglob("*.partial"))


def test_a_built_model_is_tdt_with_the_loss_that_was_asked_for(tmp_path: Path) -> None:
    shape = ModelSection(d_model=16, layers=1, heads=2, subsampling_channels=8, predictor=16, joint=16, vocabulary=96)
    tokenizer = train_tokenizer(["no fever and no cough"], tmp_path / "tokenizer", vocabulary=96)
    built = nemo.build(shape, tokenizer, sigma=0.03, omega=0.2)
    nemo.check_is_tdt(built)
    assert nemo.durations(built) == shape.durations
    assert (built.cfg.loss.tdt_kwargs.sigma, built.cfg.loss.tdt_kwargs.omega) == (0.03, 0.2)
    nemo.save(built, tmp_path / "built.nemo")
    assert checkpoint.inspect(tmp_path / "built.nemo").vocabulary == 96


def test_the_joint_gives_logits_or_log_probabilities(model: Any) -> None:
    width = nemo.encoder_width(model)
    frames, tokens = torch.randn(1, 3, width), torch.randn(1, 2, model.decoder.pred_hidden)
    tokens_and_blank = model.tokenizer.vocab_size + 1
    with torch.inference_mode():
        nemo.give_logits(model)
        logits = model.joint.joint(frames, tokens)
        nemo.give_log_probabilities(model)
        normalised = model.joint.joint(frames, tokens)
    assert logits.shape[-1] == tokens_and_blank + len(nemo.durations(model))
    assert torch.allclose(normalised, logits.log_softmax(-1), atol=1e-5)
    assert not torch.allclose(logits.logsumexp(-1), torch.zeros(()), atol=1e-2)


def test_after_an_import_that_fails_logging_is_as_before(monkeypatch: pytest.MonkeyPatch, tiny_nemo: Path) -> None:
    monkeypatch.setitem(sys.modules, "nemo.collections.asr", None)
    before = logging.root.manager.disable
    with pytest.raises(ImportError):
        nemo.restore(tiny_nemo)
    assert logging.root.manager.disable == before
