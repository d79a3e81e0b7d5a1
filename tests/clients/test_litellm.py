"""LiteLLM's SDK, unmodified: `litellm.transcription` and `atranscription` against an OpenAI-compatible address.

Its errors are those of the openai client that it calls.
"""

import asyncio
from typing import Any

import litellm
import openai
import pytest
from server import Server


def fields(shoptalk: Server, **others: Any) -> dict[str, Any]:
    address = {"api_base": shoptalk.base_url, "api_key": shoptalk.key}
    upload = ("clip.wav", shoptalk.short.path.read_bytes())
    return {"model": f"openai/{shoptalk.model}", "file": upload, **address, **others}


def test_json(shoptalk: Server) -> None:
    assert litellm.transcription(**fields(shoptalk)).text == shoptalk.short.text


def test_async(shoptalk: Server) -> None:
    answer = asyncio.run(litellm.atranscription(**fields(shoptalk)))
    assert answer.text == shoptalk.short.text


def test_verbose_json_with_words(shoptalk: Server) -> None:
    wanted = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    answer = litellm.transcription(**fields(shoptalk, **wanted))
    assert answer.text == shoptalk.short.text
    assert " ".join(word["word"] for word in answer["words"]) == shoptalk.short.text
    assert answer["duration"] == pytest.approx(shoptalk.short.duration_s, abs=0.01)


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_text_and_subtitles(shoptalk: Server, form: str) -> None:
    answer = litellm.transcription(**fields(shoptalk, response_format=form))
    assert shoptalk.short.text.split()[0] in answer.text
    assert ("-->" in answer.text) == (form != "text")


def test_keywords_and_prompt(shoptalk: Server) -> None:
    answer = litellm.transcription(**fields(shoptalk, keywords=["theatre"], prompt="At the theatre.", language="en"))
    assert answer.text


def test_a_wrong_key_is_an_authentication_error(shoptalk: Server) -> None:
    with pytest.raises(openai.AuthenticationError):
        litellm.transcription(**fields(shoptalk) | {"api_key": "wrong"})


def test_another_language_is_a_bad_request(shoptalk: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="English"):
        litellm.transcription(**fields(shoptalk, language="de"))
