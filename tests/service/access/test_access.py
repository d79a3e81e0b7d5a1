"""Telling callers by their keys: none, a single one, and those of a file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from shoptalk.core.errors import ApiKeyError
from shoptalk.service import problems
from shoptalk.service.access import keys
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import ANONYMOUS, SCOPES, Caller, Limits, key_of
from shoptalk.service.access.keyring import LOOK_S
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings


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
    client = app_of(Access("right"))
    assert client.get("/who", headers={"Authorization": "Bearer right"}).json() == "default"
    refused = client.get("/who")
    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "authentication_error"


NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_key_of_the_file_is_told_with_its_scopes_and_limits(tmp_path: Path) -> None:
    file, limits = tmp_path / "keys.jsonl", Limits(30, 600, 2)
    key = keys.add(file, "ward 7", ["transcribe"], limits, now=NOON, keep_audio=True)
    caller = Access(settings=Settings(keys_file=file)).identify(bearer(key))
    assert caller == Caller(keys.parts(key)[0], frozenset({"transcribe"}), limits, keeps_audio=True)
    assert keys.parts(key)[1] not in file.read_text()
    for wrong in (key + "0", key[:-1], key.replace("shoptalk", "other"), "shoptalk-zzzzzzzz-" + "0" * 64, "shoptalk--"):
        with pytest.raises(Problem) as problem:
            Access(settings=Settings(keys_file=file)).identify(bearer(wrong))
        assert problem.value.status == 401
        assert wrong not in problem.value.message


def test_the_single_key_and_the_file_are_both_in_force(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    key = keys.add(file, "", ["models"], Limits(), now=NOON)
    access = Access("single", Settings(keys_file=file))
    assert access.identify(bearer("single")).id == "default"
    assert access.identify(bearer(key)).scopes == {"models"}


def test_a_key_expires_by_the_clock(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    key = keys.add(file, "", ["models"], Limits(), now=NOON, days=1)
    times = iter([NOON + timedelta(hours=23), NOON + timedelta(days=1)])
    access = Access(settings=Settings(keys_file=file), now=lambda: next(times))
    assert access.identify(bearer(key)).scopes == {"models"}
    with pytest.raises(Problem) as problem:
        access.identify(bearer(key))
    assert (problem.value.status, problem.value.code) == (401, "expired_api_key")


def test_keys_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    first = keys.add(file, "first", ["models"], Limits(), now=NOON)
    access = Access(settings=Settings(keys_file=file), clock=clock)
    second = keys.add(file, "second", ["models"], Limits(), now=NOON)
    keys.revoke(file, keys.parts(first)[0], now=NOON)
    clock.now_s += LOOK_S
    assert access.identify(bearer(second)).id == keys.parts(second)[0]
    with pytest.raises(Problem):
        access.identify(bearer(first))


@pytest.mark.parametrize("content", ["{", '{"id": "short"}\n', "\0\xff", None])
def test_a_broken_file_leaves_the_old_keys_in_force_and_says_so(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    key = keys.add(file, "", ["models"], Limits(), now=NOON)
    whole = file.read_bytes()
    access = Access(settings=Settings(keys_file=file), clock=clock)
    file.unlink() if content is None else file.write_text(content)
    clock.now_s += LOOK_S
    assert access.identify(bearer(key)).scopes == {"models"}
    assert access.keys_are_broken
    assert "stay in force" in caplog.text
    file.write_bytes(whole)
    clock.now_s += LOOK_S
    access.identify(bearer(key))
    assert not access.keys_are_broken
    file.write_text("{")
    with pytest.raises(ApiKeyError):
        Access(settings=Settings(keys_file=file))


def app_of(access: Access) -> TestClient:
    app = FastAPI()
    problems.install(app)

    @app.get("/who")
    async def who(caller: Annotated[Caller, Depends(access.require("transcribe"))]) -> str:
        return caller.id

    return TestClient(app)


def test_a_missing_scope_is_403_and_too_many_requests_are_429(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.jsonl", Clock()
    lacking = keys.add(file, "", ["models"], Limits(), now=NOON)
    limited = keys.add(file, "", ["transcribe"], Limits(requests_per_minute=2), now=NOON)
    client = app_of(Access(settings=Settings(keys_file=file), clock=clock))
    refused = client.get("/who", headers=bearer(lacking))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    statuses = [client.get("/who", headers=bearer(limited)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    late = client.get("/who", headers=bearer(limited))
    assert late.headers["retry-after"] == "30"
    assert late.json()["error"]["type"] == "rate_limit_error"
    clock.now_s += 30
    assert client.get("/who", headers=bearer(limited)).status_code == 200
