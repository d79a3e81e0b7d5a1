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
from shoptalk.tuning.material import Draws, Loading, shapes_of

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
    for drawn in itertools.islice(drawer.batches(0), 30):
        for places, frames, said, length in zip(
            drawn.places_BT, drawn.frames_B, drawn.tokens_BU, drawn.lengths_B, strict=True
        ):
            number = whole[int(places[0]), int(frames)]
            assert (np.diff(places[:frames]) == 1).all()
            assert said[:length].tolist() == tokens[number]


def test_rows_of_several_are_inside_the_material_and_wordless_ones_say_nothing(material):
    drawer, _ = draws(material)
    rows = 0
    for drawn in itertools.islice(drawer.batches(0), 40):
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
    training.run(drawer.batches(0), until=40)
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
    drawn = next(Draws(material, tokens, CONFIG, snr_db=(0, 20), seed=1).batches(0))
    before = [parameter.detach().clone() for parameter in training.parameters]
    training.parameters[0].register_hook(lambda grad: grad * float("nan"))
    training._step(drawn, step=5, share=0.3)
    assert all(torch.equal(old, new) for old, new in zip(before, training.parameters, strict=True))


@pytest.fixture
def training(tmp_path, material):
    return opened(material, tmp_path)


def opened(material, out, **keys):
    model = nemo.restore(BASE)
    tokens = [model.tokenizer.text_to_ids(row.text) for row in material.rows]
    training = timed.TimedTraining(model, CONFIG, material, tokens, device=torch.device("cpu"), seed=1, out=out, **keys)
    training.drawn = Draws(material, tokens, CONFIG, snr_db=(0, 20), seed=1).batches(0)
    return training


def gradients(training, given):
    training._gradients(*given)
    return [parameter.grad.clone() for parameter in training.parameters]


def test_batches_are_full_and_of_the_shapes_that_there_are(material):
    drawer, _ = draws(material, batch_s=8)
    shapes = shapes_of(8)
    assert shapes[0] == (800 // 192, 192, 24) and shapes[-1].utterances == 1
    drawn = list(itertools.islice(drawer.batches(0), 20))
    assert {(*batch.places_BT.shape, batch.tokens_BU.shape[1]) for batch in drawn} <= set(shapes)
    again = list(itertools.islice(drawer.batches(0), 20))
    assert all(np.array_equal(left.places_BT, right.places_BT) for left, right in zip(drawn, again, strict=True))
    other = next(drawer.batches(1))
    assert not np.array_equal(drawn[0].places_BT, other.places_BT)


def test_half_of_the_frames_are_of_each_pool_that_shall_have_half(material):
    drawer, _ = draws(material, rehearsal=0.5, joined=0.0)
    real = set(material.places_R2[material.speech[0], 0].tolist())
    frames = {True: 0, False: 0}
    for drawn in itertools.islice(drawer.batches(0), 60):
        for first, count in zip(drawn.places_BT[:, 0], drawn.frames_B, strict=True):
            start = material.places_R2[:, 0][np.searchsorted(material.places_R2[:, 0], first, side="right") - 1]
            frames[int(start) in real] += int(count)
    assert frames[True] / sum(frames.values()) == pytest.approx(0.5, abs=0.1)  # quiet ends may be of the other kind


def test_padding_changes_no_gradient(training):
    """Dropout is off and BatchNorm keeps its statistics, for these see padding as NeMo has it."""
    training.module.eval()
    rng = torch.Generator().manual_seed(4)
    frames_B, lengths_B = torch.tensor([150, 101, 177]), torch.tensor([9, 0, 13])
    features_BMT = torch.randn(3, 80, 177, generator=rng) * (torch.arange(177) < frames_B[:, None])[:, None]
    tokens_BU = torch.randint(0, 256, (3, 13), generator=rng)
    bare = gradients(training, (features_BMT, frames_B, tokens_BU, lengths_B))
    wide_BMT, wide_BU = torch.nn.functional.pad(features_BMT, (0, 79)), torch.nn.functional.pad(tokens_BU, (0, 11))
    padded = gradients(training, (wide_BMT, frames_B, wide_BU, lengths_B))
    assert sum(float(grad.abs().sum()) for grad in bare) > 0
    for padded_grad, grad in zip(padded, bare, strict=True):
        torch.testing.assert_close(padded_grad, grad, rtol=1e-3, atol=1e-5)


def test_the_step_asks_the_device_for_no_number(training):
    """Tensors without numbers raise where one is asked for: a recording could not hold that."""
    training.module.to("meta").train()
    training.device = torch.device("meta")
    training.parameters = [parameter for parameter in training.module.parameters() if parameter.requires_grad]
    for parameter in training.parameters:
        parameter.grad = torch.zeros_like(parameter)
    losses = training._gradients(*training._nonsense(shapes_of(8)[1]))
    assert losses["loss"].device.type == "meta"


def test_recorded_steps_are_those_of_a_plain_training(tmp_path, material):
    weights = []
    for recorded in (False, True):
        training = opened(material, tmp_path, recorded=recorded)
        training.module.train()
        for step in range(3):
            torch.manual_seed(step)
            training._step(next(training.drawn), step, share=0.3)
        weights.append([parameter.detach().clone() for parameter in training.parameters])
    assert all(torch.equal(plain, other) for plain, other in zip(*weights, strict=True))


def test_a_training_goes_on_from_what_another_wrote(tmp_path, material):
    first = opened(material, tmp_path)
    first._look(0, 0.0)
    assert (tmp_path / timed.BEST).is_file()
    first.module.ctc_head.weight.data.zero_()
    other = opened(material, tmp_path, weights=tmp_path / timed.WEIGHTS)
    assert other.module.ctc_head.weight.abs().sum() > 0
    other.module.train()
    before = [parameter.detach().clone() for parameter in other.module.model.encoder.parameters()]
    ctc_only = CONFIG.model_copy(update={"ctc_weight": 1.0})
    other.config = ctc_only
    other._gradients(*other._sent(next(other.drawn)))
    assert any(parameter.grad.abs().sum() > 0 for parameter in other.module.model.encoder.parameters())
    assert len(before)
