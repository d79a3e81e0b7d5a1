"""Other recognisers are opened as the recipe names them."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from tests.service.http.serving import MODEL, FakeRecognizer, heard, served

from shoptalk.core.errors import DeviceError, ManifestError, ModelError, RecognitionError
from shoptalk.core.recipe import EngineSection, OtherSection
from shoptalk.core.runtime import GpuUse
from shoptalk.stages.recognizers import gpu_use, open_engine, open_recognizer, title


def test_an_endpoint_gets_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(FakeRecognizer(), api_key="secret") as url:
        section = OtherSection(kind="openai", model=MODEL, base_url=url + "/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        assert open_recognizer(section, batch=16).recognize([np.zeros(9600, np.float32)]) == [heard(6)]
        monkeypatch.setenv("OPENAI_API_KEY", "")
        with pytest.raises(RecognitionError, match="HTTP 401"):
            open_recognizer(section, batch=16).recognize([np.zeros(3200, np.float32)])


@pytest.mark.parametrize("kind", ["whisper", "moonshine"])
def test_an_unknown_model_names_the_known_ones(kind: Literal["whisper", "moonshine"]) -> None:
    with pytest.raises(ModelError, match="whisper-huge.*whisper-base-ct2.*moonshine-tiny-en"):
        open_recognizer(OtherSection(kind=kind, model="whisper-huge"), batch=16)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "model"), [("whisper", "whisper-base-ct2"), ("moonshine", "moonshine-tiny-en")])
def test_local_models_come_from_the_store(kind: Literal["whisper", "moonshine"], model: str) -> None:
    [found] = open_recognizer(OtherSection(kind=kind, model=model), batch=16).recognize([np.zeros(16_000, np.float32)])
    assert len(found.text.split()) <= 3


def test_titles_are_short() -> None:
    named = {"whisper-base-ct2": "whisper-base", "moonshine-tiny-en": "moonshine-tiny"}
    assert {model: title(OtherSection(kind="whisper", model=model)) for model in named} == named
    assert title(OtherSection(kind="openai", model="Systran/faster-whisper-small")) == "faster-whisper-small"


ROOT = Path(__file__).parents[2]
GENERAL = ROOT / "assets/general"


def test_the_recipe_names_the_paths_of_a_gpu() -> None:
    assert gpu_use(EngineSection()) == gpu_use(EngineSection(device="cuda")) == GpuUse()
    section = EngineSection(device="cuda", cuda_graphs=True, device_decoding=True, attention_kernel=False)
    assert gpu_use(section) == GpuUse(cuda_graphs=True, device_decoding=True)


def test_recordings_of_a_manifest_choose_the_scales_of_8_bit_floats(tmp_path: Path) -> None:
    line = json.loads((GENERAL / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])
    line["audio_filepath"] = str(GENERAL / line["audio_filepath"])
    manifest = tmp_path / "speech.jsonl"
    manifest.write_text((json.dumps(line) + "\n") * 70, encoding="utf-8")
    speech = gpu_use(EngineSection(device="cuda", fp8_manifest=manifest)).fp8_recordings
    assert len(speech) == 64
    assert speech[0].size == pytest.approx(16_000 * line["duration"], abs=800)
    manifest.write_text("", encoding="utf-8")
    with pytest.raises(ManifestError, match="has no lines"):
        gpu_use(EngineSection(device="cuda", fp8_manifest=manifest))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named() -> None:
    section = EngineSection(device="cuda", fill_holes=False)
    with pytest.raises(DeviceError, match="set engine.device to cpu"):
        open_engine(ROOT / "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo", section, batch=1)
