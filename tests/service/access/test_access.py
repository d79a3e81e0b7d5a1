"""Telling callers by their keys: today's single key, and none."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from shoptalk.core.errors import ApiKeyError
from shoptalk.service import problems
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import ANONYMOUS, SCOPES, Caller, key_of
from shoptalk.service.problems import Problem


def test_without_a_key_everyone_is_anonymous_and_may_do_all() -> None:
    access = Access()
    assert access.is_open
    assert access.identify({}) == ANONYMOUS == Caller("anonymous", SCOPES)
    assert access.identify({"authorization": "Bearer whatever"}) == ANONYMOUS


@pytest.mark.parametrize("header", ["Bearer right", "bearer right", "BEARER  right "])
def test_the_one_key_is_told(header: str) -> None:
    assert Access("right").identify({"authorization": header}) == Caller("default", SCOPES)


@pytest.mark.parametrize("header", ["", "right", "Basic right", "Bearer", "Bearer wrong", "Bearer rightt", "Bearer é"])
def test_other_keys_are_401(header: str) -> None:
    with pytest.raises(Problem) as problem:
        Access("right").identify({"authorization": header})
    assert (problem.value.status, problem.value.code) == (401, "invalid_api_key")
    assert problem.value.headers["WWW-Authenticate"] == "Bearer"


def test_a_browser_gives_the_key_as_a_subprotocol() -> None:
    headers = {"sec-websocket-protocol": "realtime, openai-insecure-api-key.right, openai-beta.realtime-v1"}
    assert key_of(headers) == "right"
    assert Access("right").identify(headers).id == "default"


def test_a_key_that_no_header_carries_is_refused() -> None:
    with pytest.raises(ApiKeyError):
        Access("with blank")


def test_a_route_gets_its_caller_by_a_dependency() -> None:
    access = Access("right")
    app = FastAPI()
    problems.install(app)

    @app.get("/who")
    async def who(caller: Annotated[Caller, Depends(access.require("transcribe"))]) -> str:
        return caller.id

    client = TestClient(app)
    assert client.get("/who", headers={"Authorization": "Bearer right"}).json() == "default"
    refused = client.get("/who")
    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "authentication_error"
