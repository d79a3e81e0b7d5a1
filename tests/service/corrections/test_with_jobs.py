"""Corrections of what jobs answered, and corrections over PostgreSQL as over SQLite."""

from pathlib import Path

import pytest
from tests.service.corrections.keeping import Ward
from tests.service.http.serving import recording
from tests.service.jobs.databases import database, postgres
from tests.service.jobs.test_routes import client

from shoptalk.service.corrections.exporting import export
from shoptalk.service.corrections.records import Asked
from shoptalk.service.problems import Problem

__all__ = ["database", "postgres"]


def test_a_file_of_a_job_is_corrected_and_deleted(tmp_path: Path) -> None:
    with client(tmp_path) as own:
        job = own.finished(own.submit(recording(0.5)))
        file_id = job["files"]["data"][0]["request_id"]
        body = {"request_id": file_id, "text": "It lasts long.", "consent": True, "original": "It lasts 5."}
        answer = own.http.post("/v1/corrections", json=body)
        assert answer.status_code == 201, answer.text
        told = own.http.delete(f"/v1/requests/{file_id}").json()
        assert {place: told["deleted"][place] for place in ("corrections", "requests", "jobs")} == {
            "corrections": 1,
            "requests": 1,
            "jobs": 1,
        }
        assert own.http.get(f"/v1/jobs/{job['id']}/files/{file_id}/result").status_code == 404
        again = own.http.delete(f"/v1/requests/{file_id}")
        assert again.status_code == 200 and set(again.json()["deleted"].values()) == {0}


def test_every_database_holds_corrections_alike(tmp_path: Path, database: str) -> None:
    ward = Ward(tmp_path, database=database)
    for name in ("first", "second"):
        ward.answer(name)
        ward.correct(request_id=name)
        ward.clock.pass_(seconds=1)
    replaced = ward.correct("again", "first")
    ward.correct("part", "second", consent=False)
    listed = [correction.text for correction in ward.corrections.all(Asked("ward7"))]
    assert sorted(listed) == ["again", "part"]
    assert [correction.id for correction in ward.corrections.all(Asked(consent=True))] == [replaced]
    assert [example.id for example in export(ward.corrections, tmp_path / "out").examples] == [replaced]
    export(ward.corrections, tmp_path / "out")
    assert len(ward.corrections.exports([replaced])) == 1
    for _ in range(2):
        ward.corrections.remember("first", "ward7")
    assert ward.corrections.forget_recordings("first", "ward7") == 1
    assert ward.corrections.forget("first", "ward7") == 1 and ward.corrections.forget_request("first", None) == 1
    assert ward.corrections.was_deleted("first", "ward7") and ward.corrections.ids_of("first", None) == (replaced,)
    with pytest.raises(Problem):
        ward.correct(request_id="first")
    ward.clock.pass_(days=91)
    assert ward.corrections.sweep() == 1
    ward.store.close()
