"""NeMo is the oracle: the same features, frames, tokens, times and confidences, whatever the shape."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import open_dict
from tests import tiny_model

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.records import Recognition, Samples
from shoptalk.engine.encoder import Encoder
from shoptalk.engine.invented import without_loops
from shoptalk.engine.recognizer import Engine
from shoptalk.integrations import nemo

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"

SHAPES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "tiny": {},
    "Parakeet's switches": {
        "preprocessor": {"features": 128},
        "encoder": {"feat_in": 128, "xscaling": False, "n_layers": 2},
        "decoder": {"prednet": {"pred_rnn_layers": 2}},
    },
    "scaled input, biases": {"encoder": {"xscaling": True, "use_bias": True}},
    "a band": {"encoder": {"self_attention_model": "rel_pos_local_attn", "att_context_size": [8, 8]}},
    "a masked band": {"encoder": {"att_context_size": [6, 6]}},
    "tanh": {"joint": {"jointnet": {"activation": "tanh"}}},
    "few symbols": {"decoding": {"greedy": {"max_symbols": 2}}},
}


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    """Two hundred real recordings."""
    lines = (ROOT / "assets/general/test.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    return [audio.decode(ROOT / "assets/general" / json.loads(line)["audio_filepath"]) for line in lines]


@pytest.fixture(scope="module")
def base() -> Any:
    model = nemo.restore(BASE).eval()
    model.preprocessor.featurizer.dither = 0.0
    model.preprocessor.featurizer.pad_to = 0
    _tell_durations(model)
    return model


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(BASE)


def _padded(spoken: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
    signals = [torch.from_numpy(one) for one in spoken]
    return torch.nn.utils.rnn.pad_sequence(signals, batch_first=True), torch.tensor([len(one) for one in signals])


@torch.inference_mode()
def test_features_and_frames_are_nemos(engine: Engine, base: Any, spoken: list[Samples]) -> None:
    signal_BS, samples_B = _padded(spoken[:12])
    features_BTM, frames_B = engine.features(signal_BS, samples_B)
    theirs_BMT, their_frames_B = base.preprocessor(input_signal=signal_BS, length=samples_B)
    assert torch.equal(frames_B, their_frames_B)
    encoded_BTD, lengths_B = engine.encoder(features_BTM, frames_B)
    padded_BTD = engine.encoder.padded(features_BTM, frames_B, lengths_B)
    their_encoded_BDT, their_lengths_B = base.encoder(audio_signal=theirs_BMT, length=their_frames_B)
    assert torch.equal(lengths_B, their_lengths_B)
    for row, (frames, length) in enumerate(zip(frames_B.tolist(), lengths_B.tolist(), strict=True)):
        assert (features_BTM[row, :frames] - theirs_BMT[row, :, :frames].T).abs().max() <= 1e-4
        theirs_TD = their_encoded_BDT[row, :, :length].T
        for ours_BTD in (encoded_BTD, padded_BTD):
            assert (ours_BTD[row, :length] - theirs_TD).abs().max() <= 1e-3 * theirs_TD.abs().max()


def test_two_hundred_recordings_are_heard_as_by_nemo(engine: Engine, base: Any, spoken: list[Samples]) -> None:
    """One at a time: among sixteen NeMo tells one duration that it does not tell alone."""
    _same(engine.recognize(spoken), nemo.NemoRecognizer(base, batch=1).recognize(spoken))


@pytest.mark.parametrize("name", SHAPES)
def test_other_shapes_are_heard_as_by_nemo(name: str, tmp_path: Path, spoken: list[Samples]) -> None:
    model = tiny_model.build(tmp_path, SHAPES[name])
    _let_speak(model)
    nemo.save(model, tmp_path / "shape.nemo")
    theirs = nemo.NemoRecognizer(nemo.restore(tmp_path / "shape.nemo"), batch=4).recognize(spoken[:8])
    assert sum(len(one.text) for one in theirs) > 20
    # of some of these models NeMo does not tell the durations, so words end a frame behind their last token
    _same(Engine(tmp_path / "shape.nemo", batch=4).recognize(spoken[:8]), theirs, ends=False)


def test_a_long_recording_in_one_pass_is_nemos(engine: Engine, spoken: list[Samples]) -> None:
    """NeMo's switch to local attention, over more frames than a block and a band hold."""
    long_T = np.concatenate(spoken)[: 60 * SAMPLE_RATE_HZ]
    model = nemo.restore(BASE)
    _tell_durations(model)
    model.change_attention_model("rel_pos_local_attn", [64, 64])
    [theirs] = nemo.NemoRecognizer(model, batch=1).recognize([long_T])
    [ours] = Engine(BASE, reach=64).recognize([long_T])
    _same([ours], [theirs])
    assert ours != engine.recognize([long_T])[0]


def test_full_attention_over_many_blocks_is_nemos(engine: Engine, base: Any, spoken: list[Samples]) -> None:
    long_T = np.concatenate(spoken)[: 29 * SAMPLE_RATE_HZ]
    assert long_T.size / SAMPLE_RATE_HZ / 0.08 > 2 * 128
    _same(engine.recognize([long_T]), nemo.NemoRecognizer(base, batch=1).recognize([long_T]))


def test_positions_are_the_same_kept_or_computed(engine: Engine) -> None:
    encoder: Encoder = engine.encoder
    with torch.inference_mode():
        short = [encoder._positions(frames)[0][0] for frames in (3, 100, 700)]
    assert [one.shape[2] for one in short] == [5, 199, 1399]
    assert torch.allclose(short[0], short[2][:, :, 697:702], atol=1e-5)
    assert torch.allclose(short[1], short[2][:, :, 600:799], atol=1e-5)


def _let_speak(model: Any) -> None:
    """Random weights say the blank or the same token for ever; a bias lets them say something now and then."""
    with torch.no_grad():
        last = model.joint.joint_net[-1]
        last.weight *= 8
        last.bias[tiny_model.PIECES] += 2.0


def _tell_durations(model: Any) -> None:
    """A NeMo model that tells how long a token is, so that words end with it and not a frame behind its start."""
    with open_dict(model.cfg.decoding):
        model.cfg.decoding.tdt_include_token_duration = True
    model.change_decoding_strategy(model.cfg.decoding, verbose=False)


def _same(ours: list[Recognition], theirs: list[Recognition], *, ends: bool = True) -> None:
    """What the engine gives is what NeMo gives without loops, which NeMo has no rule against."""
    theirs = [without_loops(recognition) for recognition in theirs]
    assert [one.text for one in ours] == [one.text for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        times = [[(word.word, word.start_s, word.end_s * ends) for word in heard.words] for heard in (one, other)]
        assert times[0] == times[1]
        assert np.allclose(*([word.confidence for word in heard.words] for heard in (one, other)), atol=2e-3)
