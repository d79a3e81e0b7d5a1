"""The routes about models, asked over HTTP in process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.service.http.serving import until
from tests.service.model.fakes import FakeSource, text_of, work

from shoptalk.service import problems
from shoptalk.service.access.access import Access
from shoptalk.service.http import models_routes
from shoptalk.service.model.golden import Golden
from shoptalk.service.model.models import Models
from shoptalk.service.settings import Settings

KEY = "correct-horse-battery"
WRONG = Golden(work(2.0).samples_T, text_of(Path("another"), 2.0), 0.2)


@contextmanager
def client(source: FakeSource, *, wait: bool = True, **settings: Any) -> Iterator[TestClient]:
    paths = {"base": Path("base-v1"), "tuned": Path("tuned-v1")}
    models = Models(paths, source, Settings(golden_every_s=0, **settings), rng=np.random.default_rng(7))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        models.start()
        yield
        await models.stop()

    app = FastAPI(lifespan=lifespan)
    problems.install(app)
    app.include_router(models_routes.router(models, Access(KEY)))
    with TestClient(app, headers={"authorization": f"Bearer {KEY}"}) as asking:
        if wait:
            until(lambda: "starting" not in asking.get("/health/ready").text)
        yield asking


def test_models_are_listed_and_told_by_name_and_alias() -> None:
    with client(FakeSource(), aliases={"clinic": "tuned"}) as asking:
        listed = asking.get("/v1/models").json()
        about = {"id": "base", "object": "model", "created": 1_700_000_000, "owned_by": "shoptalk"}
        assert listed == {"object": "list", "data": [about, {**about, "id": "tuned"}]}
        assert asking.get("/v1/models/base").json() == about
        assert asking.get("/v1/models/clinic").json() == {**about, "id": "clinic", "root": "tuned"}
        missing = asking.get("/v1/models/openai/none")
        assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"


def test_readiness_is_told_for_each_model() -> None:
    with client(FakeSource({"tuned-v1": WRONG})) as asking:
        ready = asking.get("/health/ready")
        states = {"base": {"status": "ready"}, "tuned": {"status": "wrong model"}}
        assert (ready.status_code, ready.json()) == (503, {"status": "not ready", "models": states})
        assert asking.get("/health/ready/base").status_code == 200
        assert asking.get("/health/ready/whisper-1").status_code == 200
        tuned = asking.get("/health/ready/tuned")
        assert (tuned.status_code, tuned.json()) == (503, {"status": "wrong model"})
        assert asking.get("/health/ready/none").status_code == 404
        assert asking.get("/health/live").status_code == 200


def test_a_challenger_that_is_not_ready_keeps_nobody_waiting() -> None:
    with client(FakeSource({"tuned-v1": WRONG}), challenger="tuned") as asking:
        ready = asking.get("/health/ready")
        assert ready.status_code == 200 and ready.json()["models"]["tuned"] == {"status": "wrong model"}


def test_a_swap_takes_effect_or_says_by_name_why_not() -> None:
    with client(FakeSource({"wrong-v2": WRONG})) as asking:
        swapped = asking.post("/admin/models/base", json={"path": "base-v2"})
        assert swapped.status_code == 200 and swapped.json()["swaps"] == 1
        for path, code in [("missing-v2", "ModelError"), ("wrong-v2", "WrongModelError")]:
            failed = asking.post("/admin/models/base", json={"path": path})
            error = failed.json()["error"]
            assert (failed.status_code, error["code"], error["param"]) == (422, code, "path")
            assert path in error["message"]
        assert asking.post("/admin/models/none", json={"path": "base-v2"}).status_code == 404
        assert asking.get("/health/ready").status_code == 200
        [base, _] = asking.get("/admin/models").json()["models"]
        assert base["state"] == "ready" and "wrong-v2" in base["swap_error"] and base["swaps"] == 1


@pytest.mark.parametrize("body", [{}, {"path": ""}, {"path": 3}, {"path": "x", "more": 1}, [], "x"])
def test_a_swap_without_a_path_is_refused(body: Any) -> None:
    with client(FakeSource(), wait=False) as asking:
        assert asking.post("/admin/models/base", json=body).status_code == 400


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
def test_a_page_of_another_site_cannot_swap(headers: dict[str, str]) -> None:
    """A browser sends such a request without asking first; only for JSON it does."""
    with client(FakeSource()) as asking:
        refused = asking.post("/admin/models/base", content=b'{"path": "base-v2"}', headers=headers)
        assert refused.status_code == 400


def test_models_are_swapped_in_from_the_folder_that_is_set(tmp_path: Path) -> None:
    with client(FakeSource(), models_folder=tmp_path / "models") as asking:
        for path in ("/etc/passwd", f"{tmp_path}/models/../other", "base-v2", f"{tmp_path}/models-other/x"):
            refused = asking.post("/admin/models/base", json={"path": path})
            assert refused.status_code == 422 and "serve.models_folder" in refused.json()["error"]["message"]
        assert asking.post("/admin/models/base", json={"path": f"{tmp_path}/models/base-v2"}).status_code == 200


def test_the_shadow_report() -> None:
    with client(FakeSource()) as asking:
        assert asking.get("/admin/shadow").json()["error"]["code"] == "no_challenger"
    with client(FakeSource(), challenger="tuned") as asking:
        report = asking.get("/admin/shadow").json()
        assert (report["champion"], report["challenger"], report["compared"]) == ("base", "tuned", 0)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/base", "/admin/models", "/admin/shadow"])
def test_what_tells_of_models_asks_for_a_key(path: str) -> None:
    with client(FakeSource(), wait=False) as asking:
        assert asking.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert asking.get("/health/ready", headers={"authorization": "Bearer wrong"}).status_code in (200, 503)
