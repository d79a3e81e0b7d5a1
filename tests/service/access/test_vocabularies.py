"""Vocabularies of keys, through the routes: in memory and on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.access.test_access import NOON, bearer

from shoptalk.core.errors import DiskFullError
from shoptalk.core.protocols import MAX_CHARACTERS, MAX_WEIGHT, Phrase
from shoptalk.service import problems
from shoptalk.service.access import keys, vocabularies, vocabulary_routes
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Limits
from shoptalk.service.access.vocabularies import Vocabularies
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

URL = "/v1/vocabularies"
CANARY = "canaryword"


class Served:
    """The routes, and clients with keys of their own."""

    def __init__(self, folder: Path, *, on_disk: bool, **options: Any) -> None:
        self.keys = folder / "keys.jsonl"
        keys.add(self.keys, "", ["vocabularies"], Limits(), now=NOON)
        stored = folder / "vocabularies" if on_disk else None
        self.options = Settings(keys_file=self.keys, vocabularies_dir=stored, **options)
        self.app = FastAPI()
        self.access = Access(settings=self.options)
        problems.install(self.app)
        self.app.include_router(vocabulary_routes.routes(self.access))

    def client(self, *scopes: str) -> TestClient:
        key = keys.add(self.keys, "", scopes or ["vocabularies"], Limits(), now=NOON)
        self.access._ring._looked_s = -1e9  # type: ignore[union-attr]
        return TestClient(self.app, headers=bearer(key))


@pytest.fixture(params=[True, False], ids=["on disk", "in memory"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Served:
    return Served(tmp_path, on_disk=request.param, vocabularies_per_key=2, vocabulary_phrases=3)


def test_a_vocabulary_is_stored_listed_read_replaced_and_deleted(served: Served) -> None:
    client = served.client()
    assert client.get(URL).json() == {"object": "list", "data": []}
    phrases = ["Zoloft  50 mg", {"text": "Żółć", "weight": 2}]
    answer = client.put(f"{URL}/cardio", json={"phrases": phrases})
    expected = [{"text": "Zoloft 50 mg", "weight": 1.0}, {"text": "Żółć", "weight": 2.0}]
    assert answer.json() == {"object": "vocabulary", "name": "cardio", "phrases": expected}
    assert client.get(f"{URL}/cardio").json() == answer.json()
    assert client.put(f"{URL}/cardio", json={"phrases": ["other"]}).status_code == 200
    client.put(f"{URL}/a", json={"phrases": ["x"]})
    assert [entry["name"] for entry in client.get(URL).json()["data"]] == ["a", "cardio"]
    assert client.get(f"{URL}/cardio").json()["phrases"] == [{"text": "other", "weight": 1.0}]
    assert client.delete(f"{URL}/cardio").json()["deleted"] is True
    assert client.get(f"{URL}/cardio").status_code == client.delete(f"{URL}/cardio").status_code == 404


def test_another_key_never_sees_it(served: Served) -> None:
    mine, other = served.client(), served.client()
    mine.put(f"{URL}/cardio", json={"phrases": ["x"]})
    assert other.get(f"{URL}/cardio").status_code == 404
    assert other.delete(f"{URL}/cardio").status_code == 404
    assert other.get(URL).json()["data"] == []
    assert mine.get(f"{URL}/cardio").status_code == 200
    assert served.client("transcribe").get(URL).status_code == 403


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"phrases": []},
        {"phrases": CANARY},
        {"phrases": ["x", ""]},
        {"phrases": [CANARY * MAX_CHARACTERS]},
        {"phrases": [3]},
        {"phrases": [{"text": CANARY, "boost": 1}]},
        {"phrases": [{"text": CANARY, "weight": 0}]},
        {"phrases": [{"text": CANARY, "weight": MAX_WEIGHT + 1}]},
        {"phrases": [{"text": CANARY, "weight": 10**400}]},
        {"phrases": [{"text": CANARY, "weight": True}]},
        {"phrases": [{"text": CANARY, "weight": "1"}]},
        {"phrases": [CANARY] * 4},
    ],
)
def test_what_is_wrong_is_told_by_its_place_alone(served: Served, content: Any) -> None:
    client = served.client()
    answer = client.put(f"{URL}/cardio", json=content)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "phrases")
    assert CANARY not in answer.text
    assert client.get(URL).json()["data"] == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"phrases": ["\\ud800"]}', b"[" * 100_000, b'{"phrases": [{"text": "x", "weight": NaN}]}'],
)
def test_bodies_that_are_none_are_400(served: Served, body: bytes) -> None:
    assert served.client().put(f"{URL}/cardio", content=body).status_code == 400


def test_limits_of_size_and_number(served: Served) -> None:
    client = served.client()
    statuses = [client.put(f"{URL}/{name}", json={"phrases": ["x"]}).status_code for name in "abca"]
    assert statuses == [200, 200, 400, 200]


@pytest.mark.parametrize("name", ["A", "a.b", "ä", "-a", "a" * 65, "..", "a%2Fb", "a%00", "%2e%2e%2fkeys"])
def test_names_are_plain_words(served: Served, name: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert served.client().put(f"{URL}/{name}", json={"phrases": ["x"]}).status_code in (400, 404, 405)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


def test_on_disk_a_vocabulary_outlives_the_service(tmp_path: Path) -> None:
    options = Settings(vocabularies_dir=tmp_path)
    Vocabularies(options).put("me", "cardio", {"phrases": ["Zoloft"]})
    assert Vocabularies(options).phrases("me", ["cardio", "cardio"]) == (Phrase("Zoloft"), Phrase("Zoloft"))
    (tmp_path / "me" / "cardio.json").write_text('{"phrases": [{"text": "", "weight": 1}]}')
    with pytest.raises(Problem) as problem:
        Vocabularies(options).get("me", "cardio")
    assert problem.value.code == "vocabulary_unreadable"


def test_a_full_disk_keeps_the_old_one_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Vocabularies(Settings(vocabularies_dir=tmp_path))
    stored.put("me", "cardio", {"phrases": ["old"]})

    def refuse(path: Path, text: str) -> None:
        raise DiskFullError(f"{path}: {text}")

    monkeypatch.setattr(vocabularies.files, "write_text", refuse)
    with pytest.raises(Problem) as problem:
        stored.put("me", "cardio", {"phrases": [CANARY]})
    assert problem.value.status == 503
    assert CANARY not in problem.value.message
    assert stored.get("me", "cardio") == (Phrase("old"),)


WEIGHTS = st.floats(0, MAX_WEIGHT, exclude_min=True)
TEXTS = st.text(min_size=1, max_size=MAX_CHARACTERS).filter(lambda text: bool(text.strip()))


@given(st.lists(st.fixed_dictionaries({"text": TEXTS, "weight": WEIGHTS}), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_what_is_stored_is_read_again(tmp_path_factory: pytest.TempPathFactory, phrases: list[dict[str, Any]]) -> None:
    folder = tmp_path_factory.mktemp("stored")
    on_disk, in_memory = Vocabularies(Settings(vocabularies_dir=folder)), Vocabularies(Settings())
    content = json.loads(json.dumps({"phrases": phrases}))
    assert on_disk.put("me", "a", content) == in_memory.put("me", "a", content)
    assert on_disk.get("me", "a") == in_memory.get("me", "a")
    assert [phrase.weight for phrase in on_disk.get("me", "a")] == [phrase["weight"] for phrase in phrases]
