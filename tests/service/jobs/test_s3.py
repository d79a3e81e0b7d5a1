"""Jobs over S3, as moto's server speaks it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from tests.service.http.serving import FakeRecognizer, recording
from tests.service.jobs.test_routes import Client, client, error_of

from shoptalk.core.errors import ObjectStoreError, ObjectStoreUnreachableError, StoreError
from shoptalk.integrations.s3 import S3
from shoptalk.service.settings import Settings

ALLOWED = "s3://clinic/recordings/"


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_REGION", "eu-central-1")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield patch


@pytest.fixture(scope="module")
def bucket(environment: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of boto3 with the bucket `clinic` in a server of this process."""
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    own = boto3.client("s3")
    own.create_bucket(Bucket="clinic", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for key, content in {
        "recordings/a/visit 1.wav": recording(0.5),
        "recordings/a/visit 2.flac": recording(0.6, "flac"),
        "recordings/a/notes.txt": b"none",
        "recordings/a/": b"",
        "recordings/b.wav": recording(0.7),
        "other/secret.wav": recording(0.5),
    }.items():
        own.put_object(Bucket="clinic", Key=key, Body=content)
    yield own
    server.stop()


@pytest.fixture
def jobs(bucket: Any, tmp_path: Path) -> Iterator[Client]:
    with client(tmp_path, objects=S3(), jobs_s3=(ALLOWED.rstrip("/"),)) as own:
        yield own


def test_a_prefix_is_transcribed_and_results_are_written_beside(jobs: Client, bucket: Any) -> None:
    job = jobs.finished(jobs.name(ALLOWED, output="beside"))
    names = [file["name"] for file in job["files"]["data"]]
    assert names == [f"{ALLOWED}a/visit 1.wav", f"{ALLOWED}a/visit 2.flac", f"{ALLOWED}b.wav"]
    assert job["status"] == "succeeded"
    written = bucket.get_object(Bucket="clinic", Key="recordings/b.wav.json")
    assert json.loads(written["Body"].read())["text"] == "It lasts 7."
    assert written["ContentType"] == "application/json"
    again = jobs.finished(jobs.name(ALLOWED))  # which leaves the results out
    assert again["file_counts"]["total"] == 3


def test_results_are_written_below_another_prefix(jobs: Client, bucket: Any) -> None:
    jobs.finished(jobs.name(ALLOWED + "b.wav", output=ALLOWED + "texts/", response_format="srt"))
    jobs.finished(jobs.submit(recording(0.5), output=ALLOWED + "texts/", response_format="text"))
    listed = bucket.list_objects_v2(Bucket="clinic", Prefix="recordings/texts/")["Contents"]
    assert [item["Key"].rpartition("/")[2] for item in listed] == ["00001-b.wav.srt", "00001-visit 1.wav.txt"]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("s3://clinic/other/secret.wav", "input_refused"),
        ("s3://clinic/recordings", "input_refused"),
        ("s3://clinic/recordings-of-others/x.wav", "input_refused"),
        (ALLOWED + "../other/secret.wav", "input_refused"),
        (ALLOWED + "a/./../../other/", "input_refused"),
        (ALLOWED + "none.wav", "input_not_found"),
        (ALLOWED + "none/", "input_not_found"),
    ],
)
def test_what_is_not_allowed_or_not_there_is_refused(jobs: Client, address: str, code: str) -> None:
    assert error_of(jobs.name(address)) == (400, code)
    assert "secret" not in jobs.name(address).text


def test_a_recording_that_went_away_fails(jobs: Client, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put_object(Bucket="clinic", Key="recordings/gone/c.wav", Body=recording(0.5))
    read = S3.read

    def gone(self: S3, address: str, most_bytes: int) -> bytes:
        bucket.delete_object(Bucket="clinic", Key="recordings/gone/c.wav")
        return read(self, address, most_bytes)

    monkeypatch.setattr(S3, "read", gone)
    job = jobs.finished(jobs.name(ALLOWED + "gone/"))
    assert job["files"]["data"][0]["error"]["code"] == "input_gone"


def test_s3_that_does_not_answer_is_tried_again(bucket: Any, environment: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setattr("shoptalk.integrations.s3.ATTEMPTS", 1)
        away = S3()
    with pytest.raises(ObjectStoreUnreachableError):
        away.read(ALLOWED + "b.wav", 10)
    with pytest.raises(ObjectStoreError, match="status 404") as caught:
        S3().read(ALLOWED + "secret.wav", 10)
    assert "secret" not in str(caught.value)
    assert len(S3().read(ALLOWED + "b.wav", 10)) == 11  # more than what is allowed, and not all


def test_settings_that_lack_something_are_named(tmp_path: Path) -> None:
    from tests.service.http.serving import app_of
    from tests.service.jobs.databases import settings_of

    for changes, what in (({"jobs_s3": ("clinic",)}, "s3://"), ({"jobs_s3": (ALLOWED,)}, "without access")):
        settings: Settings = settings_of(tmp_path, **changes)
        with pytest.raises(StoreError, match=what):
            app_of(FakeRecognizer(), settings)
