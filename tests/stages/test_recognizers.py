"""Other recognisers are opened as the recipe names them."""

from typing import Literal

import numpy as np
import pytest
from tests.service.http.serving import MODEL, FakeRecognizer, heard, served

from shoptalk.core.errors import ModelError, RecognitionError
from shoptalk.core.recipe import OtherSection
from shoptalk.stages.recognizers import open_recognizer, title


def test_an_endpoint_gets_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(FakeRecognizer(), api_key="secret") as url:
        section = OtherSection(kind="openai", model=MODEL, base_url=url + "/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        assert open_recognizer(section, batch=16).recognize([np.zeros(3200, np.float32)]) == [heard(2)]
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
