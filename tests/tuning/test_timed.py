"""A training that goes by the clock, at tiny size on a CPU: packs to batches, weights and a learning curve."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from shoptalk.core.recipe import TrainSection
from shoptalk.integrations import nemo
from shoptalk.tuning import packing, timed
from shoptalk.tuning.material import Draws, Loading, one_process

BASE = Path("models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo")
CONFIG = TrainSection(
    learning_rate=1e-3,
    batch_s=4,
    rehearsal=0.4,
    ctc_weight=0.3,
    ema=0.9,
    decay_part=0.5,
    feature_tempo=(0.9, 1.1),
    feature_warp=0.5,
    feature_room=0.3,
    feature_noise=0.5,
    feature_babble=0.3,
    feature_ends=0.5,
    joined=0.3,
    wordless=0.2,
    freeze_batch_norm=False,
)
TEXTS = ("She laughed.", "What is it?", "I could not see.")


@pytest.fixture
def packs(tmp_path):
    rng = np.random.default_rng(2)
    for kind, grain in (("dev", ""), ("noise", "lost"), ("real", "lost"), ("spoken", "spoken")):
        features = [rng.normal(-8.0, 2.0, (int(frames), 80)).astype(np.float32) for frames in rng.integers(80, 160, 6)]
        rows = [(TEXTS[number % 3], kind) for number in range(6)]
        packing.pack(features, rows, step=1.0, grain=grain).write(tmp_path / f"{kind}-some-00.pack")
    return sorted(tmp_path.glob("*.pack"))


@pytest.fixture
def material(packs):
    return Loading(packs, processes=1).wait()


def draws(material, **changes):
    tokens = [[7] * len(row.text) for row in material.rows]
    return Draws(material, tokens, CONFIG.model_copy(update=changes), snr_db=(0, 20), seed=1), tokens


def test_packs_lie_one_behind_the_other_in_one_memory(packs, material):
    wanted = np.concatenate([packing.Pack.read(path).features() for path in packs]).astype(np.float16)
    np.testing.assert_array_equal(material.frames_NM, wanted)
    assert [len(material.of(kind)) for kind in ("dev", "noise", "real", "spoken")] == [6] * 4
    assert material.places_R2[:, 1].sum() == len(wanted)


def test_a_batch_reads_speech_that_trains_and_says_its_words(material):
    drawer, tokens = draws(material, feature_ends=0.0, joined=0.0, wordless=0.0, feature_tempo=(1.0, 1.0))
    trains = np.concatenate(material.speech)
    whole = {tuple(material.places_R2[number]): number for number in trains}
    for drawn in itertools.islice(one_process(drawer), 30):
        for places, frames, said, length in zip(
            drawn.places_BT, drawn.frames_B, drawn.tokens_BU, drawn.lengths_B, strict=True
        ):
            number = whole[int(places[0]), int(frames)]
            assert (np.diff(places[:frames]) == 1).all()
            assert said[:length].tolist() == tokens[number]


def test_rows_of_several_are_inside_the_material_and_wordless_ones_say_nothing(material):
    drawer, _ = draws(material)
    rows = 0
    for drawn in itertools.islice(one_process(drawer), 40):
        assert drawn.places_BT.min() >= 0 and drawn.places_BT.max() < len(material.frames_NM)
        assert drawn.frames_B.max() <= drawn.places_BT.shape[1]
        silent = drawn.effects.wordless_B > 0
        assert not drawn.lengths_B[silent].any() and drawn.lengths_B[~silent].all()
        rows += int((drawn.lengths_B > max(map(len, TEXTS))).sum())
    assert rows  # joined recordings say more than one can


def test_the_rate_rises_stays_and_falls_to_nothing_by_the_clock():
    shares = np.linspace(0, 1, 101)
    rates = [timed.rate_at(share, CONFIG) for share in shares]
    assert rates[0] == 0 and rates[-1] == 0 and max(rates) == 1
    assert all(rate == 1 for rate in rates[5:51])
    assert rates[75] == pytest.approx(0.5)


def test_a_training_learns_what_is_there_and_leaves_weights_and_curve(tmp_path, material):
    model = nemo.restore(BASE)
    drawer, _ = draws(material)
    tokens = [model.tokenizer.text_to_ids(row.text) for row in material.rows]
    drawer = Draws(material, tokens, CONFIG, snr_db=(0, 20), seed=1)
    ticks = itertools.count()
    training = timed.TimedTraining(model, CONFIG, material, tokens, device=torch.device("cpu"), seed=1, out=tmp_path)
    training.clock = lambda: next(ticks)
    training.run(one_process(drawer), until=40)
    history = json.loads((tmp_path / timed.HISTORY).read_text())
    assert history[-1]["share"] == 1.0 and history[-1]["loss_dev"] < history[0]["loss_dev"] + 1.0
    weights = torch.load(tmp_path / timed.WEIGHTS, weights_only=True)
    after = {name.removeprefix("model."): value for name, value in weights.items() if name.startswith("model.")}
    before = nemo.restore(BASE).state_dict()
    assert after.keys() == before.keys()
    changed = [name for name, value in before.items() if not torch.equal(value.half(), after[name].half())]
    assert any(name.startswith("encoder") for name in changed) and any(name.startswith("joint") for name in changed)
    assert all(torch.isfinite(value.float()).all() for value in after.values())


def test_a_gradient_that_is_no_number_changes_no_weight(tmp_path, material):
    model = nemo.restore(BASE)
    tokens = [model.tokenizer.text_to_ids(row.text) for row in material.rows]
    training = timed.TimedTraining(model, CONFIG, material, tokens, device=torch.device("cpu"), seed=1, out=tmp_path)
    training.module.train()
    drawn = next(one_process(Draws(material, tokens, CONFIG, snr_db=(0, 20), seed=1)))
    before = [parameter.detach().clone() for parameter in training.parameters]
    training.parameters[0].register_hook(lambda grad: grad * float("nan"))
    training._step(drawn, step=5, share=0.3)
    assert all(torch.equal(old, new) for old, new in zip(before, training.parameters, strict=True))
