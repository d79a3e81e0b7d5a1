"""Whatever is sent, the service answers as it says: no 5xx, OpenAI's form of an error, and what its description says.

10,000 wrong uploads (`upload_fuzz.py`) were sent once by hand, on 2026-11-27.
"""

import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.service import upload_fuzz
from tests.service.corrections.keeping import settings_of
from tests.service.http.serving import FakeRecognizer, recording, served, until

from shoptalk.service.http.transcriptions import TRANSCRIPTIONS


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server, with a store, that after all of it holds nothing and answers."""
    store = settings_of(tmp_path_factory.mktemp("fuzz")).model_dump(include={"store_dir", "store_key"})
    with served(FakeRecognizer(), **upload_fuzz.LIMITS, **store) as address:
        yield address
        until(lambda: "shoptalk_requests_in_progress 0.0" in httpx.get(address + "/metrics").text)
        answer = httpx.post(address + TRANSCRIPTIONS, files={"file": recording(1.0)})
        assert answer.json()["text"] == "It lasts 10."


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_upload_is_answered_as_openai_would(url: str, seed: int) -> None:
    upload_fuzz.outcome(url, upload_fuzz.make(random.Random(seed)))


@pytest.fixture(scope="module")
def operations(url: str) -> list[Any]:
    """Of the description: each with data that fit, and those with a body also with data that do not."""
    schema = schemathesis.openapi.from_url(url + "/openapi.json")
    described = [result.ok() for result in schema.get_all_operations()]
    strategies = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE) for operation in described]
    with_body = [operation for operation in described if operation.definition.raw.get("requestBody")]
    assert len(described) > 12 and len(with_body) >= 4
    return strategies + [operation.as_strategy(generation_mode=GenerationMode.NEGATIVE) for operation in with_body]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_is_as_the_description_says(operations: list[Any], data: st.DataObject) -> None:
    case: Case = data.draw(data.draw(st.sampled_from(operations)))
    # the description cannot say which bytes are audio
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
