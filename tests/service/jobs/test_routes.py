"""Jobs over HTTP, with a recogniser in this process."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.service.http.serving import MODEL, FakeRecognizer, figures, recording, served, until
from tests.service.jobs import receiving
from tests.service.jobs.databases import settings_of
from tests.service.jobs.receiving import Receiver, receiver

from shoptalk.core.errors import StoreError
from shoptalk.service.access import keys
from shoptalk.service.access.callers import Limits
from shoptalk.service.jobs.ledger import Ledger
from shoptalk.service.jobs.records import Job, NewJob

JOBS = "/v1/jobs"
Serve = Callable[..., Any]


class Client:
    """A client of the jobs of one service."""

    def __init__(self, url: str, key: str = "") -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=30)

    def submit(self, *recordings: bytes, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        files = [("file", (f"visit {number}.wav", content)) for number, content in enumerate(recordings, start=1)]
        return self.http.post(JOBS, files=files, data=fields, headers=headers)

    def name(self, *inputs: str, **fields: Any) -> httpx.Response:
        return self.http.post(JOBS, json={"input": list(inputs), **fields})

    def job(self, job_id: str, **query: Any) -> dict[str, Any]:
        return dict(self.http.get(f"{JOBS}/{job_id}", params=query).raise_for_status().json())

    def finished(self, answer: httpx.Response) -> dict[str, Any]:
        """The job of an answer, once it is over."""
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["id"]
        until(lambda: self.job(job_id)["ended_at"] is not None)
        return self.job(job_id)


@contextmanager
def client(folder: Path, recognizer: FakeRecognizer | None = None, **options: Any) -> Iterator[Client]:
    settings = settings_of(folder).model_dump(include={"store_dir", "store_key"})
    with served(recognizer or FakeRecognizer(), **{**settings, **options}) as url:
        yield Client(url)


@pytest.fixture(scope="module")
def news() -> Iterator[Receiver]:
    with receiver() as receiving:
        yield receiving


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("jobs")
    archive = folder / "archive"
    (archive / "2026" / "11").mkdir(parents=True)
    (archive / "2026" / "a.wav").write_bytes(recording(0.5))
    (archive / "2026" / "11" / "b.flac").write_bytes(recording(0.6, "flac"))
    (archive / "2026" / "11" / "notes.txt").write_text("none")
    (archive / "2026" / "11" / ".hidden.wav").write_bytes(recording(0.5))
    (folder / "outside.wav").write_bytes(recording(0.5))
    (archive / "link.wav").symlink_to(folder / "outside.wav")
    options = {**receiving.settings(folder), "jobs_folder": archive, "jobs_files": 6, "max_upload_mb": 0.5}
    with client(folder, **options) as own:
        own.folder = folder  # type: ignore[attr-defined]
        yield own


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_upload_of_many_files_is_transcribed(jobs: Client) -> None:
    job = jobs.finished(jobs.submit(recording(0.5), recording(0.7), b"no audio at all"))
    assert (job["object"], job["status"], job["model"]) == ("transcription.job", "partly_failed", MODEL)
    counts = {"total": 3, "waiting": 0, "running": 0, "succeeded": 2, "failed": 1, "cancelled": 0}
    assert job["file_counts"] == counts
    assert job["audio_seconds"] == 1.2 and job["seconds_left"] is None
    first, second, third = job["files"]["data"]
    assert [first["name"], first["status"], first["audio_seconds"]] == ["visit 1.wav", "succeeded", 0.5]
    assert third["error"]["code"] == "invalid_audio" and first["request_id"] == first["id"]
    answer = jobs.http.get(f"{JOBS}/{job['id']}/files/{second['id']}/result")
    direct = jobs.http.post("/v1/audio/transcriptions", files={"file": recording(0.7)})
    assert answer.json() == direct.json() and answer.json()["text"] == "It lasts 7."
    missing = jobs.http.get(f"{JOBS}/{job['id']}/files/{third['id']}/result")
    assert error_of(missing) == (404, "invalid_audio")


def test_recordings_are_deleted_when_they_are_done(jobs: Client) -> None:
    jobs.finished(jobs.submit(recording(0.5), b"no audio"))
    uploads = jobs.folder / "store" / "jobs"  # type: ignore[attr-defined]
    until(lambda: not [path for path in uploads.rglob("*") if path.is_file()])


@pytest.mark.parametrize(
    ("form", "ending", "content"),
    [("json", "json", '"It lasts 5."'), ("text", "txt", "It lasts 5.\n"), ("srt", "srt", "00:00:00,000 -->")],
)
def test_results_as_json_lines_and_as_a_zip(jobs: Client, form: str, ending: str, content: str) -> None:
    job = jobs.finished(jobs.submit(recording(0.5), b"no audio", recording(0.6), response_format=form))
    address = f"{JOBS}/{job['id']}/results"
    lines = [json.loads(line) for line in jobs.http.get(address).text.splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3]
    assert lines[1]["result"] is None and lines[1]["error"]["code"] == "invalid_audio"
    told = lines[0]["result"]
    assert told["text"] == "It lasts 5." if form == "json" else content in told
    zipped = zipfile.ZipFile(io.BytesIO(jobs.http.get(address, params={"format": "zip"}).content))
    assert zipped.testzip() is None
    assert zipped.namelist() == [f"00001-visit 1.wav.{ending}", f"00003-visit 3.wav.{ending}", "files.jsonl"]
    assert content in zipped.read(zipped.namelist()[0]).decode()
    told_files = [json.loads(line) for line in zipped.read("files.jsonl").splitlines()]
    assert [file.get("entry", "")[:5] for file in told_files] == ["00001", "", "00003"]


def test_fields_of_a_transcription_hold_for_each_file(jobs: Client) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word", "channels": "each"}
    job = jobs.finished(jobs.submit(recording(0.5, channels=2), **fields))
    (line,) = map(json.loads, jobs.http.get(f"{JOBS}/{job['id']}/results").text.splitlines())
    assert {word["channel"] for word in line["result"]["words"]} == {0, 1}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "docx"}, "response_format"),
        ({"language": "de"}, "language"),
        ({"stream": "true"}, "stream"),
        ({"model": "none"}, "model"),
        ({"webhook_url": "ftp://example.org"}, "webhook_url"),
        ({"webhook_url": "https://user:secret@example.org"}, "webhook_url"),
        ({"webhook_url": "https://169.254.169.254/latest"}, "webhook_url"),
        ({"webhook_url": "http://93.184.215.14/"}, "webhook_url"),
        ({"webhook_url": "https://[::1]/"}, "webhook_url"),
        ({"webhook_files": "true"}, "webhook_url"),
        ({"webhook_url": "http://127.0.0.1:9/", "webhook_text": "true"}, "webhook_text"),
        ({"output": "beside"}, "output"),
        ({"output": "s3://clinic/out/"}, "output"),
        ({"input": "2026/"}, "input"),
        ({"vocabulary": "none"}, "vocabulary"),
    ],
)
def test_wrong_fields_are_named_and_nothing_stays(jobs: Client, fields: dict[str, str], param: str) -> None:
    answer = jobs.submit(recording(0.5), **fields)
    assert answer.status_code in (400, 404) and answer.json()["error"]["param"] == param, answer.text
    uploads = jobs.folder / "store" / "jobs"  # type: ignore[attr-defined]
    until(lambda: not [path for path in uploads.rglob("*") if path.is_file()])


def test_wrong_uploads_are_named(jobs: Client) -> None:
    post = jobs.http.post
    assert error_of(post(JOBS, data={"model": MODEL})) == (400, "invalid_content_type")
    assert error_of(post(JOBS, content=b"x", headers={"content-type": "multipart/form-data"})) == (400, "invalid_form")
    torn = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxxx'
    form = {"content-type": "multipart/form-data; boundary=b"}
    assert error_of(post(JOBS, content=torn, headers=form)) == (400, "invalid_form")
    assert error_of(post(JOBS, content=b"nothing", headers=form)) == (400, "invalid_form")
    assert error_of(post(JOBS, files={"audio": b"x"})) == (400, "invalid_value")
    assert error_of(jobs.submit(b"")) == (400, "empty_file")
    assert error_of(jobs.submit(*[b"x"] * 7)) == (400, "too_many_files")
    assert error_of(jobs.submit(bytes(2**19 + 1))) == (413, "file_too_large")
    only_fields = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--\r\n'
    assert error_of(post(JOBS, content=only_fields, headers=form))[0] in (400, 404)
    assert error_of(post(JOBS, content=b"[", headers={"content-type": "application/json"})) == (400, "invalid_body")
    assert error_of(post(JOBS, json=[])) == (400, "invalid_body")
    assert error_of(post(JOBS, json={"input": [{}]})) == (400, "invalid_value")
    assert error_of(post(JOBS, json={"input": "x" * 2**20})) == (413, "request_too_large")
    assert error_of(jobs.submit(b"x", headers={"idempotency-key": "x" * 256})) == (400, "invalid_value")


def test_files_of_a_folder_of_the_server(jobs: Client) -> None:
    job = jobs.finished(jobs.name("2026/", keywords=["metformin", "HbA1c"], review=True))
    assert [file["name"] for file in job["files"]["data"]] == ["2026/11/b.flac", "2026/a.wav"]
    assert job["status"] == "succeeded"
    job = jobs.finished(jobs.name("2026/a.wav", "2026/11/", "2026/a.wav"))
    assert [file["name"] for file in job["files"]["data"]] == ["2026/a.wav", "2026/11/b.flac"]
    for outside in (
        "../outside.wav",
        "/etc/passwd",
        "link.wav",
        "none.wav",
        "2026/11/notes.txt/x",
        "s3://clinic/x.wav",
    ):
        answer = jobs.name(outside)
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "input", outside
        assert "outside" not in answer.text and "passwd" not in answer.text
    assert error_of(jobs.name()) == (400, "missing_field")


def test_the_same_idempotency_key_gives_the_same_job(jobs: Client) -> None:
    key = {"idempotency-key": "night of the 27th"}
    first = jobs.submit(recording(0.5), headers=key)
    again = jobs.submit(recording(0.5), headers=key)
    assert again.status_code == 202 and again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true" and "idempotent-replayed" not in first.headers
    assert error_of(jobs.submit(recording(0.6), headers=key)) == (409, "idempotency_key_reused")
    assert error_of(jobs.submit(recording(0.5), headers=key, review="true")) == (409, "idempotency_key_reused")


def test_jobs_are_listed_and_files_come_in_pages(jobs: Client) -> None:
    ids = [jobs.finished(jobs.submit(recording(0.5), recording(0.5)))["id"] for _ in range(2)]
    page = jobs.http.get(JOBS, params={"limit": 1}).json()
    assert [page["object"], page["has_more"], page["data"][0]["id"]] == ["list", True, ids[1]]
    page = jobs.http.get(JOBS, params={"limit": 1, "after": page["last_id"]}).json()
    assert page["data"][0]["id"] == ids[0]
    files = jobs.job(ids[0], limit=1)["files"]
    assert files["has_more"] and len(files["data"]) == 1
    assert jobs.job(ids[0], limit=1, after=files["last_id"])["files"]["data"][0]["number"] == 2
    assert jobs.http.get(JOBS, params={"limit": 0}).status_code == 400


def test_news_are_signed_and_have_no_text_unless_asked(jobs: Client, news: Receiver) -> None:
    job = jobs.finished(jobs.submit(recording(0.5), webhook_url=news.url))
    until(lambda: news.kinds == ["succeeded"])
    event_id, content = news.news.pop()
    assert event_id.startswith("msg_") and datetime.fromisoformat(content["timestamp"]).tzinfo == UTC
    assert content["data"] == {name: value for name, value in job.items() if name != "files"}
    text = {"webhook_url": news.url, "webhook_files": "true", "webhook_text": "true"}
    job = jobs.finished(jobs.submit(recording(0.5), **text))
    until(lambda: len(news.news) == 2)
    of_file = dict(news.news)[next(id_ for id_, content in news.news if "file" in content["type"])]["data"]
    assert (of_file["job_id"], of_file["name"], of_file["result"]["text"]) == (job["id"], "visit 1.wav", "It lasts 5.")
    news.news.clear()


def test_news_that_are_refused_come_again(jobs: Client, news: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoptalk.service.jobs.webhooks.RETRIES_S", (0.1, 0.1, 0.1))
    news.statuses = [500, 302]  # which is not followed
    jobs.finished(jobs.submit(recording(0.5), webhook_url=news.url))
    until(lambda: news.kinds == ["succeeded"])
    assert news.statuses == []
    news.news.clear()


def test_figures_tell_of_jobs(jobs: Client) -> None:
    jobs.finished(jobs.submit(recording(0.5), b"no audio"))
    url = str(jobs.http.base_url)
    until(lambda: figures(url).get("shoptalk_jobs:partly_failed", 0) > 0)
    values = figures(url)
    assert values["shoptalk_job_files:failed"] >= 1 and values["shoptalk_job_files:succeeded"] >= 1
    assert values["shoptalk_jobs_audio_seconds"] > 0 and values["shoptalk_jobs_oldest_waiting_seconds"] == 0
    assert values["shoptalk_job_files_ended_total"] > 0 and values["shoptalk_audio_seconds_total"] > 0


def test_a_job_is_cancelled_and_deleted(tmp_path: Path) -> None:
    recognizer = FakeRecognizer()
    with client(tmp_path, recognizer, jobs_at_once=1) as own:
        recognizer.gate.clear()
        job_id = own.submit(*[recording(0.5)] * 3).json()["id"]
        until(lambda: own.job(job_id)["file_counts"]["running"] == 1)
        cancelled = own.http.post(f"{JOBS}/{job_id}/cancel").json()
        assert (cancelled["status"], cancelled["file_counts"]["cancelled"]) == ("cancelled", 3)
        deleted = own.http.delete(f"{JOBS}/{job_id}")
        assert deleted.json()["deleted"] and own.http.get(f"{JOBS}/{job_id}").status_code == 404
        assert not list((tmp_path / "store" / "jobs").iterdir())
        recognizer.gate.set()
        assert own.finished(own.submit(recording(0.5)))["status"] == "succeeded"


def test_a_server_that_stops_gives_its_files_back_and_the_next_one_goes_on(tmp_path: Path) -> None:
    recognizer = FakeRecognizer()
    with client(tmp_path, recognizer, jobs_at_once=1) as own:
        job_id = own.submit(recording(0.5), recording(0.6)).json()["id"]
        until(lambda: own.job(job_id)["file_counts"]["succeeded"] >= 1)
        recognizer.gate.clear()
        job = own.job(job_id)
    with client(tmp_path) as own:
        until(lambda: own.job(job_id)["ended_at"] is not None)
        job = own.job(job_id)
        assert (job["status"], job["file_counts"]["succeeded"]) == ("succeeded", 2)


def test_a_file_that_the_recogniser_fails_on_is_tried_again_and_then_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoptalk.service.jobs.runner.LONGEST_WAIT_S", 0.05)
    recognizer = FakeRecognizer()
    recognizer.bad = frozenset({9})
    with client(tmp_path, recognizer) as own:
        job = own.finished(own.submit(recording(0.5), recording(0.9), recording(0.6)))
        assert [file["status"] for file in job["files"]["data"]] == ["succeeded", "failed", "succeeded"]
        assert job["files"]["data"][1]["error"]["code"] == "recognition_failed"
        assert "SECRET" not in json.dumps(job)
        assert figures(str(own.http.base_url))["shoptalk_job_files_ended_total"] >= 5


def test_requests_come_before_the_files_of_a_job(tmp_path: Path) -> None:
    """Here one recording is recognised at a time; `test_background` has batches."""
    with client(tmp_path, jobs_at_once=2) as own:
        job_id = own.submit(*[recording(0.5)] * 6).json()["id"]
        answer = own.http.post("/v1/audio/transcriptions", files={"file": recording(0.7)})
        assert answer.json()["text"] == "It lasts 7."
        until(lambda: own.job(job_id)["status"] == "succeeded")


def test_each_key_has_its_own_jobs_and_needs_the_scope(tmp_path: Path) -> None:
    keys_file, audit = tmp_path / "keys.jsonl", tmp_path / "audit.jsonl"
    now = datetime.now(UTC)
    scopes = [["jobs"], ["jobs", "transcribe"], ["transcribe"]]
    own_key, other_key, lacking = (keys.add(keys_file, "x", scope, Limits(), now=now) for scope in scopes)
    with client(tmp_path, keys_file=keys_file, audit_file=audit, jobs_per_key=1) as anonymous:
        url = str(anonymous.http.base_url)
        own, other = Client(url, own_key), Client(url, other_key)
        job_id = own.finished(own.submit(recording(0.5)))["id"]
        assert error_of(anonymous.http.get(JOBS)) == (401, "invalid_api_key")
        assert error_of(Client(url, lacking).http.get(JOBS)) == (403, "insufficient_scope")
        assert other.http.get(JOBS).json()["data"] == []
        for path in ("", "/results", "/files/file_1/result"):
            assert error_of(other.http.get(f"{JOBS}/{job_id}{path}")) == (404, "job_not_found")
        assert error_of(other.http.delete(f"{JOBS}/{job_id}")) == (404, "job_not_found")
        assert own.job(job_id)["status"] == "succeeded"
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    (of_file,) = [line for line in lines if line["request_id"].startswith("file_")]
    assert (of_file["key"], of_file["audio_s"], of_file["status"]) == (own_key.split("-")[1], 0.5, 200)
    assert {"POST", "GET", "DELETE", ""} == {line["method"] for line in lines}


def test_without_a_store_the_settings_are_named() -> None:
    with served(FakeRecognizer()) as url:
        for answer in (
            httpx.get(url + JOBS),
            httpx.post(url + JOBS, files={"file": b"x"}),
            httpx.delete(f"{url}{JOBS}/x"),
        ):
            assert error_of(answer) == (404, "no_store") and "serve.store_dir" in answer.text


def test_a_service_without_a_secret_refuses_webhooks(tmp_path: Path) -> None:
    with client(tmp_path) as own:
        answer = own.submit(recording(0.5), webhook_url="https://example.org")
        assert error_of(answer) == (400, "webhook_refused") and "webhook_secret" in answer.text


def test_a_job_whose_taking_was_not_answered_has_its_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the database is lost right after it took the job."""
    submit = Ledger.submit

    def lost(self: Ledger, job: NewJob) -> tuple[Job, bool]:
        submit(self, job)
        raise StoreError("the connection was lost")

    key = {"idempotency-key": "once"}
    recognizer = FakeRecognizer()
    with client(tmp_path, recognizer) as own:
        recognizer.gate.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "submit", lost)
            assert error_of(own.submit(recording(0.5), headers=key)) == (503, "storage_failed")
        recognizer.gate.set()
        again = own.submit(recording(0.5), headers=key)
        assert again.headers["idempotent-replayed"] == "true"
        assert own.finished(again)["status"] == "succeeded"
        assert len(own.http.get(JOBS).json()["data"]) == 1


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def torn() -> Iterator[bytes]:
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield head + recording(0.5) + b"\r\n" + head
        until(lambda: [path for path in (tmp_path / "store").rglob("jobs/*/*")])
        raise InterruptedError

    with client(tmp_path) as own:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        with pytest.raises(InterruptedError):
            own.http.post(JOBS, content=torn(), headers=headers)
        until(lambda: not list((tmp_path / "store" / "jobs").iterdir()))
        time.sleep(0.1)
        assert own.http.get(JOBS).json()["data"] == []
