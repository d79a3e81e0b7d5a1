"""What the engine opens, and what it refuses by name."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from shoptalk.core.audio import SAMPLE_RATE_HZ, decode
from shoptalk.core.errors import ChecksumError, ModelError, UnsafeCheckpointError
from shoptalk.core.recipe import PackageSection
from shoptalk.engine.recognizer import Engine
from shoptalk.release import packaging
from shoptalk.release.card import Origin

ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"
BASE = ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"


def _changed(source: Path, target: Path, change: Mapping[str, Any]) -> Path:
    """A `.nemo` with sections of its config changed, e.g. ``{"encoder.d_model": 24}``."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            if not member.isfile():
                continue
            content = old.extractfile(member).read()  # type: ignore[union-attr]
            if member.name.endswith("model_config.yaml"):
                config = yaml.safe_load(content)
                for key, value in change.items():
                    section, _, last = key.rpartition(".")
                    (config[section] if section else config)[last] = value
                content = yaml.safe_dump(config).encode()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return target


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"encoder.subsampling": "striding"}, "encoder.subsampling is 'striding'"),
        ({"encoder.att_context_size": [70, 13]}, r"att_context_size is \[70, 13\]"),
        ({"encoder.conv_context_size": "causal"}, "encoder.conv_context_size is 'causal'"),
        ({"preprocessor.normalize": "NA"}, "preprocessor.normalize is 'NA'"),
        ({"encoder.d_model": 24}, "its config asks for|not 24 x"),
        ({"encoder.n_layers": 2}, "has no tensor encoder.layers.1"),
        ({"decoder.prednet": {"pred_hidden": 16}}, "lacks what a FastConformer-TDT has"),
        ({"loss": {"loss_name": "rnnt"}}, "not a Token-and-Duration Transducer"),
    ],
)
def test_what_it_cannot_run_is_named(tiny_nemo: Path, tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        Engine(_changed(tiny_nemo, tmp_path / "changed.nemo", change))


def test_a_checkpoint_that_could_run_code_is_refused(tiny_nemo: Path, tmp_path: Path) -> None:
    evil = _changed(tiny_nemo, tmp_path / "evil.nemo", {"preprocessor._target_": "os.system"})
    with pytest.raises(UnsafeCheckpointError, match="os.system"):
        Engine(evil)


def test_other_bytes_than_promised_and_no_file_are_refused(tiny_nemo: Path, tmp_path: Path) -> None:
    with pytest.raises(ChecksumError):
        Engine(tiny_nemo, sha256="0" * 64)
    with pytest.raises(ModelError, match="no such file"):
        Engine(tmp_path / "none.nemo")


def test_it_runs_without_nemo() -> None:
    code = f"""
import sys
sys.modules["nemo"] = sys.modules["onnxruntime"] = sys.modules["numba"] = None
from pathlib import Path
import numpy as np
from shoptalk.engine.recognizer import Engine
print(repr(Engine(Path({str(BASE)!r})).recognize([np.zeros(16000, np.float32)])[0].text))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert shown.stdout.startswith("'")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(BASE)


def test_nothing_and_next_to_nothing_is_heard_without_an_error(engine: Engine) -> None:
    assert engine.recognize([]) == []
    empty, click = np.zeros(0, np.float32), np.ones(3, np.float32)
    assert len(engine.recognize([empty, click])) == 2


def test_order_and_company_do_not_matter(engine: Engine) -> None:
    rng = np.random.default_rng(3)
    audio = [
        rng.normal(0, 0.1, int(seconds * SAMPLE_RATE_HZ)).astype(np.float32) for seconds in (0.4, 3.0, 1.1, 35.0, 2)
    ]
    together = engine.recognize(audio)
    assert [engine.recognize([one])[0].text for one in audio] == [one.text for one in together]


def test_the_temperature_of_a_bundle_changes_confidences_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    origin = Origin("", licence="CC-BY-4.0", attributions=(), recipe="test")
    folder = packaging.write(
        BASE, tmp_path / "b", config=PackageSection(), origin=origin, scores=None, calibration={"temperature": 2.0}
    )
    bundled = Engine(folder)
    assert bundled.name == "shoptalk-tuned"
    line = json.loads((GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    audio = [decode(GENERAL / line["audio_filepath"])]
    raw, tempered = engine.recognize(audio)[0], bundled.recognize(audio)[0]
    assert raw.text == tempered.text and raw.words
    for one, other in zip(raw.words, tempered.words, strict=True):
        assert one.confidence is not None and other.confidence is not None
        assert abs(other.confidence - 0.5) <= abs(one.confidence - 0.5) + 1e-4


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_less_precise_frames_are_near(engine: Engine, precision: Any) -> None:
    rng = np.random.default_rng(5)
    audio = [rng.normal(0, 0.1, 4 * SAMPLE_RATE_HZ).astype(np.float32) for _ in range(2)]
    exact_BTD, frames_B = engine.encode(audio)
    near_BTD, near_frames_B = Engine(BASE, precision=precision).encode(audio)
    assert torch.equal(frames_B, near_frames_B)
    error = (near_BTD - exact_BTD).norm() / exact_BTD.norm()
    assert error < 0.1, f"{precision}: {error:.3f}"
