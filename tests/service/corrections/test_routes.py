"""`/v1/corrections` and `DELETE /v1/requests/{id}` by HTTP: who may what, forms, errors, figures, audit."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from tests.service.corrections.keeping import Clock, settings_of
from tests.service.http.serving import MODEL, FakeRecognizer, InProcess, models_of, recording, until

from shoptalk.core.errors import RegistryError
from shoptalk.service.access import keys
from shoptalk.service.access.access import Access
from shoptalk.service.access.callers import Limits
from shoptalk.service.app import create_app
from shoptalk.service.corrections import routes
from shoptalk.service.settings import Settings
from shoptalk.service.store import open_store
from shoptalk.service.telemetry.watching import Telemetry

URL = "/v1/audio/transcriptions"
USUAL = ["transcribe", "vocabularies", "models"]


@dataclass
class Service:
    client: TestClient
    clock: Clock
    keys: Mapping[str, str]
    folder: Path

    def ask(self, who: str, method: str, path: str, **more: Any) -> Any:
        headers = {"authorization": f"Bearer {self.keys[who]}", **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **more)

    def transcribe(self, who: str, request_id: str = "") -> str:
        """The id of an answered request."""
        headers = {"x-request-id": request_id} if request_id else {}
        answer = self.ask(who, "POST", URL, files={"file": ("a.wav", recording(1.5))}, headers=headers)
        assert answer.status_code == 200
        return str(answer.headers["x-request-id"])

    def correct(self, who: str, answered: str, **more: Any) -> Any:
        body = {"request_id": answered, "text": "It lasts long.", "consent": True, **more}
        return self.ask(who, "POST", "/v1/corrections", json=body)

    def figures(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        return {sample.name: sample.value for family in families for sample in family.samples if sample.value}


def unreachable() -> list[tuple[str, Path]]:
    raise RegistryError("the registry does not answer")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    clock = Clock()
    file = tmp_path / "keys.jsonl"
    callers = {
        "ward": (USUAL, Limits(), True),
        "other": (USUAL, Limits(), False),
        "admin": (["admin"], Limits(), False),
        "slow": (USUAL, Limits(requests_per_minute=1.0), False),
        "blind": (["models"], Limits(), False),
    }
    made = {
        name: keys.add(file, name, sorted(scopes), limits, now=clock.now, keep_audio=keeps)
        for name, (scopes, limits, keeps) in callers.items()
    }
    options = {"keys_file": file, "audit_file": tmp_path / "audit.jsonl", "keep_audio_dir": tmp_path / "kept"}
    settings = settings_of(tmp_path, **options, keep_audio_key=tmp_path / "key")
    app = create_app(
        models_of(InProcess(FakeRecognizer()), settings),
        settings,
        access=Access(None, settings, now=clock),
        telemetry=Telemetry([MODEL]),
        store=open_store(settings, clock),
        registered=unreachable,
    )
    with TestClient(app) as client:
        until(lambda: client.get("/health/ready").status_code == 200)
        yield Service(client, clock, made, tmp_path)


def test_a_correction_is_answered_as_the_contract_says(service: Service) -> None:
    request_id = service.transcribe("ward")
    answer = service.correct("ward", request_id)
    assert answer.status_code == 201
    told = answer.json()
    now = int(service.clock.now.timestamp())
    assert told.pop("id").startswith("corr_")
    assert told == {
        "object": "correction",
        "request_id": request_id,
        "consent": True,
        "created_at": now,
        "expires_at": now + 90 * 86_400,
        "audio": True,
        "replaced": [],
    }


def test_a_stream_and_a_chosen_id_can_be_corrected(service: Service) -> None:
    files, data = {"file": ("a.wav", recording(1.5))}, {"stream": "true"}
    answer = service.ask("ward", "POST", URL, files=files, data=data, headers={"x-request-id": "visit-17"})
    assert "[DONE]" in answer.text
    assert service.correct("ward", "visit-17").status_code == 201


def test_a_request_that_failed_cannot_be_corrected(service: Service) -> None:
    bad = service.ask("ward", "POST", URL, files={"file": ("a.wav", b"no audio")}, headers={"x-request-id": "bad"})
    assert bad.status_code == 400
    assert service.correct("ward", "bad").status_code == 404


def test_who_may_correct_and_see_what(service: Service) -> None:
    mine, theirs = service.transcribe("ward", "mine"), service.transcribe("other", "theirs")
    assert service.correct("other", mine).status_code == 404
    assert service.correct("admin", mine).status_code == 403
    assert service.correct("blind", mine).status_code == 403
    assert service.client.post("/v1/corrections", json={}).status_code == 401
    assert service.correct("ward", mine).status_code == 201
    assert service.correct("other", theirs, consent=False).status_code == 201
    seen = {who: service.ask(who, "GET", "/v1/corrections").json()["data"] for who in ("ward", "other", "admin")}
    assert [item["request_id"] for item in seen["ward"]] == ["mine"]
    assert [item["request_id"] for item in seen["other"]] == ["theirs"]
    assert sorted(item["request_id"] for item in seen["admin"]) == ["mine", "theirs"]
    assert seen["ward"][0]["text"] == "It lasts long." and seen["ward"][0]["audio"] is True
    assert service.ask("blind", "GET", "/v1/corrections").status_code == 403
    agreed = service.ask("admin", "GET", "/v1/corrections?consent=true").json()["data"]
    assert [item["request_id"] for item in agreed] == ["mine"]


def test_pages_and_lines_have_all_of_them_in_order(service: Service) -> None:
    for number in range(7):
        service.correct("ward", service.transcribe("ward", f"req-{number}"), text=f"text {number}")
        if number % 2:
            service.clock.pass_(seconds=1)
    read, after = [], ""
    while True:
        page = service.ask("ward", "GET", f"/v1/corrections?limit=3{after}").json()
        read += page["data"]
        after = f"&after={page['last_id']}"
        if not page["has_more"]:
            break
    lines = service.ask("admin", "GET", "/v1/corrections?format=jsonl")
    assert lines.headers["content-type"].startswith("application/jsonl")
    assert [json.loads(line) for line in lines.text.splitlines()] == read
    assert {item["text"] for item in read} == {f"text {number}" for number in range(7)}
    assert len({item["id"] for item in read}) == 7
    none = service.ask("other", "GET", "/v1/corrections?format=jsonl")
    assert none.status_code == 200 and none.text == ""
    gone = service.ask("ward", "GET", "/v1/corrections?after=corr_none")
    assert (gone.status_code, gone.json()["error"]["param"]) == (400, "after")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"text": None}, "text"),
        ({"text": "x" * (routes.MOST_CHARACTERS + 1)}, "text"),
        ({"consent": "yes"}, "consent"),
        ({"consent": None}, "consent"),
        ({"request_id": "two words"}, "request_id"),
        ({"start_s": 0.5}, "end_s"),
        ({"end_s": 0.5}, "start_s"),
        ({"start_s": 1.0, "end_s": 1.0}, "end_s"),
        ({"start_s": -1.0, "end_s": 1.0}, "start_s"),
        ({"start_s": 0.0, "end_s": 99.0}, "end_s"),
        ({"speaker": "me"}, "speaker"),
    ],
)
def test_a_wrong_correction_is_refused_by_its_field(service: Service, changes: dict[str, Any], param: str) -> None:
    answer = service.correct("ward", service.transcribe("ward"), **changes)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


HALF = b'{"text": "\\ud800", "request_id": "a", "consent": true}'


@pytest.mark.parametrize("body", [b"nothing", b"[]", b'{"text": NaN}', HALF])
def test_a_wrong_body_is_refused(service: Service, body: bytes) -> None:
    answer = service.ask("ward", "POST", "/v1/corrections", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] in {"invalid_body", "invalid_value"}


def test_corrections_count_as_requests_of_the_key(service: Service) -> None:
    request_id = service.transcribe("slow")
    answer = service.correct("slow", request_id)
    assert answer.status_code == 429 and "retry-after" in answer.headers


def test_figures_and_audit_tell_what_happened_and_no_text(service: Service) -> None:
    request_id = service.transcribe("ward")
    service.correct("ward", request_id, original="It lasts 15.")
    service.ask("ward", "DELETE", f"/v1/requests/{request_id}")
    service.ask("ward", "DELETE", "/v1/requests/spoken-words")
    figures = service.figures()
    assert figures["shoptalk_corrections_total"] == 1 and figures["shoptalk_corrected_words_total"] == 1
    assert figures["shoptalk_words_total"] == 3
    audit = service.folder / "audit.jsonl"
    until(lambda: audit.read_text().count("\n") >= 4)
    entries = [json.loads(line) for line in audit.read_text().splitlines()]
    told = [(entry["method"], entry["route"], entry["status"], entry.get("about")) for entry in entries]
    assert told == [
        ("POST", URL, 200, None),
        ("POST", "/v1/corrections", 201, request_id),
        ("DELETE", "/v1/requests/{request_id}", 200, request_id),
        ("DELETE", "/v1/requests/{request_id}", 404, None),
    ]
    assert "lasts" not in audit.read_text() and "spoken" not in audit.read_text()


# ---- deletion


def test_a_deletion_tells_what_was_deleted_and_can_be_repeated(service: Service) -> None:
    request_id = service.transcribe("ward")
    id_ = service.correct("ward", request_id).json()["id"]
    told = service.ask("ward", "DELETE", f"/v1/requests/{request_id}").json()
    assert {place: told["deleted"][place] for place in ("recordings", "corrections", "requests")} == {
        "recordings": 1,
        "corrections": 1,
        "requests": 1,
    }
    assert (told["object"], told["request_id"], told["corrections"]) == ("request.deleted", request_id, [id_])
    assert (told["exports"], told["models"], told["not_searched"]) == ([], [], [f"served: {MODEL}", "registry"])
    assert not list((service.folder / "kept").iterdir())
    assert service.ask("ward", "GET", "/v1/corrections").json()["data"] == []
    again = service.ask("ward", "DELETE", f"/v1/requests/{request_id}")
    assert again.status_code == 200
    assert set(again.json()["deleted"].values()) == {0}
    assert service.correct("ward", request_id).status_code == 404


def test_who_may_delete_what(service: Service) -> None:
    request_id = service.transcribe("ward")
    for who in ("other", "blind"):
        assert service.ask(who, "DELETE", f"/v1/requests/{request_id}").status_code in (403, 404)
    assert len(list((service.folder / "kept").iterdir())) == 1
    assert service.ask("admin", "DELETE", f"/v1/requests/{request_id}").json()["deleted"]["recordings"] == 1
    assert service.ask("ward", "DELETE", f"/v1/requests/{request_id}").status_code == 200
    unknown = service.ask("admin", "DELETE", "/v1/requests/req_never")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "request_not_found")


# ---- without a store


def test_without_a_store_the_answer_names_the_settings() -> None:
    settings = Settings()
    access, telemetry = Access(None, settings), Telemetry([MODEL])
    app = create_app(models_of(InProcess(FakeRecognizer()), settings), settings, access=access, telemetry=telemetry)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        body = {"request_id": "a", "text": "b", "consent": True}
        for answer in (client.post("/v1/corrections", json=body), client.get("/v1/corrections")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_store")
            assert "serve.store_dir" in answer.json()["error"]["message"]
        assert client.delete("/v1/requests/a").json()["error"]["code"] == "request_not_found"


def test_without_a_store_kept_recordings_are_deleted(tmp_path: Path) -> None:
    clock = Clock()
    file = tmp_path / "keys.jsonl"
    key = keys.add(file, "ward", USUAL, Limits(), now=clock.now, keep_audio=True)
    options = settings_of(tmp_path, keys_file=file, keep_audio_dir=tmp_path / "kept", keep_audio_key=tmp_path / "key")
    settings = options.model_copy(update={"store_dir": None, "store_key": None})
    access, telemetry = Access(None, settings, now=clock), Telemetry([MODEL])
    app = create_app(models_of(InProcess(FakeRecognizer()), settings), settings, access=access, telemetry=telemetry)
    with TestClient(app) as client:
        until(lambda: client.get("/health/ready").status_code == 200)
        service = Service(client, clock, {"ward": key}, tmp_path)
        request_id = service.transcribe("ward")
        answer = service.ask("ward", "DELETE", f"/v1/requests/{request_id}")
        assert answer.json()["deleted"]["recordings"] == 1
    assert not list((tmp_path / "kept").iterdir())
