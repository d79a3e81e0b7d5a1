"""Exported graphs hear what the engine hears: alone, in a padded batch, and by onnx-asr and sherpa-onnx themselves."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shoptalk.core import audio
from shoptalk.core.errors import ModelError
from shoptalk.core.records import Samples
from shoptalk.engine import onnx_export
from shoptalk.engine.onnx_export import export
from shoptalk.engine.recognizer import Engine
from shoptalk.engine.weights import open_checkpoint
from shoptalk.integrations import onnx
from shoptalk.scoring.wer import count_words

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"


def _rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / "assets/general/test.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    """Twelve recordings, the twelfth joined from nine, and one longer than what the graph was traced with."""
    short = [audio.decode(ROOT / "assets/general" / row["audio_filepath"]) for row in _rows()[:40]]
    return [*short[:11], np.concatenate(short[11:20]), np.concatenate(short)[: 50 * 16_000]]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(BASE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    for form in ("onnx-asr", "sherpa-onnx"):
        export(BASE, folder / form, form)
    return {path.name: path for path in folder.iterdir()}


def _features(engine: Engine, spoken: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
    signal_BS = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in spoken], batch_first=True)
    return engine.features(signal_BS, torch.tensor([one.size for one in spoken]))


@pytest.mark.parametrize("form", ["onnx-asr", "sherpa-onnx"])
def test_the_encoder_is_the_engines(form: str, engine: Engine, folders: dict[str, Path], spoken: list[Samples]) -> None:
    session = onnx.session(next(folders[form].glob("encoder*.onnx")), threads=1)
    for batch in (spoken[:12], spoken[:1], spoken[12:]):
        with torch.inference_mode():
            features_BTM, frames_B = _features(engine, batch)
            ours_BTD, lengths_B = engine.encoder(features_BTM, frames_B)
        inputs = {"audio_signal": features_BTM.transpose(1, 2).numpy(), "length": frames_B.numpy()}
        theirs_BDT, their_lengths_B = session.run(["outputs", "encoded_lengths"], inputs)
        assert their_lengths_B.tolist() == lengths_B.tolist()
        for ours_TD, theirs_DT, length in zip(ours_BTD, theirs_BDT, lengths_B.tolist(), strict=True):
            assert np.abs(ours_TD[:length].numpy() - theirs_DT[:, :length].T).max() <= 1e-3


def test_prediction_and_joint_are_the_engines(engine: Engine, folders: dict[str, Path]) -> None:
    steps, rng = engine.steps, np.random.default_rng(7)
    rows = {name: onnx.session(folders["sherpa-onnx"] / f"{name}.onnx", threads=1) for name in ("decoder", "joiner")}
    both = onnx.session(folders["onnx-asr"] / "decoder_joint-model.onnx", threads=1)
    carry = steps.start(3)
    state = [np.zeros((1, 3, steps.gates_VX.shape[1] // 4), np.float32)] * 2
    count = np.ones(3, np.int32)
    for token_B in (np.full(3, steps.blank), np.array([5, 0, 77]), np.array([1, 2, steps.blank - 1])):
        if token_B[0] != steps.blank:
            steps.step(carry, np.arange(3), token_B)
        encoded_BDT = rng.normal(size=(3, steps.project_encoded.in_features, 1)).astype(np.float32)
        inputs = {"targets": token_B.astype(np.int32)[:, None], "target_length": count,
                  "input_states_1": state[0], "input_states_2": state[1]}  # fmt: skip
        predicted_BXU, _, *state = rows["decoder"].run(None, inputs)
        [apart] = rows["joiner"].run(None, {"encoder_outputs": encoded_BDT, "decoder_outputs": predicted_BXU})
        [together] = both.run(["outputs"], {"encoder_outputs": encoded_BDT, **inputs})
        with torch.inference_mode():
            encoded_BJ = steps.project(torch.from_numpy(encoded_BDT).transpose(1, 2))[:, 0]
        ours_BO = steps.logits(encoded_BJ.copy(), carry.predicted_BJ)
        assert np.abs(apart[:, 0, 0] - ours_BO).max() <= 1e-3
        assert np.abs(together[:, 0, 0] - ours_BO).max() <= 1e-3


def test_onnx_asr_hears_what_the_engine_hears(engine: Engine, folders: dict[str, Path], spoken: list[Samples]) -> None:
    onnx_asr = pytest.importorskip("onnx_asr")
    model = onnx_asr.load_model("nemo-conformer-tdt", folders["onnx-asr"])
    ours = [one.text for one in engine.recognize(spoken[:12])]
    assert [text.strip() for text in model.recognize(spoken[:12])] == ours
    assert all(ours)


def test_sherpa_onnx_hears_as_well_as_the_engine(engine: Engine, folders: dict[str, Path]) -> None:
    """Its features have another window and other frames, so words differ, but no more of them are wrong."""
    sherpa_onnx: Any = pytest.importorskip("sherpa_onnx")
    rows = [row for row in _rows() if row["source"] == "synthetic"][:30]
    spoken = [audio.decode(ROOT / "assets/general" / row["audio_filepath"]) for row in rows]
    names = {name: str(folders["sherpa-onnx"] / f"{name}.onnx") for name in ("encoder", "decoder", "joiner")}
    tokens = str(folders["sherpa-onnx"] / "tokens.txt")
    model = sherpa_onnx.OfflineRecognizer.from_transducer(**names, tokens=tokens, model_type="nemo_transducer")
    streams = [model.create_stream() for _ in spoken]
    for stream, one in zip(streams, spoken, strict=True):
        stream.accept_waveform(16_000, one)
    model.decode_streams(streams)

    def rate(texts: list[str]) -> float:
        counts = [count_words(row["text"], heard) for row, heard in zip(rows, texts, strict=True)]
        return sum(one.errors for one in counts) / sum(one.reference for one in counts)

    theirs, ours = [stream.result.text for stream in streams], [one.text for one in engine.recognize(spoken)]
    assert abs(rate(theirs) - rate(ours)) < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reach": 8}, "8 frames to each side"),
        ({"durations": (0, 2, 4)}, "counts durations"),
        ({"mels": 64}, "64 mels"),
    ],
)
def test_what_the_graphs_cannot_tell_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, *others = open_checkpoint(BASE)
    monkeypatch.setattr(onnx_export, "open_checkpoint", lambda *_, **__: (replace(shape, **change), *others))
    with pytest.raises(ModelError, match=message):
        export(BASE, tmp_path / "new", "onnx-asr")
    assert not list(tmp_path.iterdir())


def test_large_weights_lie_beside_the_graph_and_nothing_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    monkeypatch.setattr(onnx_export, "ONE_FILE_BYTES", 2_000_000)
    export(BASE, tmp_path / "new", "sherpa-onnx")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "decoder.onnx", "decoder.onnx.data", "encoder.onnx", "encoder.onnx.data", "joiner.onnx", "tokens.txt",
    ]  # fmt: skip
    inputs = {"audio_signal": np.ones((1, 80, 99), np.float32), "length": np.array([99])}
    sessions = [
        onnx.session(folder / "encoder.onnx", threads=1) for folder in (tmp_path / "new", folders["sherpa-onnx"])
    ]
    apart, together = (session.run(["outputs"], inputs)[0] for session in sessions)
    assert np.array_equal(apart, together)
    with pytest.raises(ModelError, match="name a new folder"):
        export(BASE, tmp_path / "new", "onnx-asr")
