"""Which web pages may use a service that asks for no key."""

import httpx
import pytest
from starlette.datastructures import Headers
from tests.service.http.serving import FakeRecognizer, recording, served

from shoptalk.service.access.origins import check_host, check_origin
from shoptalk.service.http.transcriptions import TRANSCRIPTIONS
from shoptalk.service.problems import Problem


@pytest.mark.parametrize(
    "origin, host, allowed, may",
    [
        (None, "127.0.0.1:8178", (), True),
        ("http://127.0.0.1:8178", "127.0.0.1:8178", (), True),
        ("http://localhost", "localhost:80", (), True),
        ("http://[::1]:8178", "[::1]:8178", (), True),
        ("http://localhost:3000", "localhost:8178", (), False),
        ("http://127.0.0.1:8178", "localhost:8178", (), False),
        ("https://evil.example.org", "127.0.0.1:8178", (), False),
        ("http://evil.example.org:8178", "evil.example.org:8178", (), False),
        ("null", "127.0.0.1:8178", (), False),
        ("http://[", "[", (), False),
        ("", "", (), False),
        ("https://notes.example.org", "127.0.0.1", ("https://notes.example.org",), True),
        ("https://notes.example.org.evil", "127.0.0.1", ("https://notes.example.org",), False),
        ("https://any.example.org", "127.0.0.1", ("*",), True),
    ],
)
def test_pages(origin: str | None, host: str, allowed: tuple[str, ...], may: bool) -> None:
    headers = Headers({"host": host} | ({} if origin is None else {"origin": origin}))
    if may:
        check_origin(headers, allowed)
        return
    with pytest.raises(Problem) as refused:
        check_origin(headers, allowed)
    assert (refused.value.status, refused.value.code) == (403, "origin_not_allowed")


def test_a_page_of_another_origin_can_post_nothing_without_a_key() -> None:
    foreign = {"Origin": "https://evil.example.org"}
    with served(FakeRecognizer()) as url:
        sent = {"files": {"file": recording(1.0)}}
        refused = httpx.post(url + TRANSCRIPTIONS, headers=foreign, **sent)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin_not_allowed")
        assert refused.headers["x-request-id"]
        assert httpx.post(url + TRANSCRIPTIONS, headers={"Origin": url}, **sent).status_code == 200
        assert httpx.post(url + TRANSCRIPTIONS, **sent).status_code == 200
        assert httpx.get(url + "/v1/models", headers=foreign).status_code == 200, "whose answer a browser keeps from it"
    with served(FakeRecognizer(), api_key="secret") as url:
        headers = foreign | {"Authorization": "Bearer secret"}
        assert httpx.post(url + TRANSCRIPTIONS, headers=headers, files={"file": recording(1.0)}).status_code == 200


@pytest.mark.parametrize(
    "host, allowed, may",
    [
        ("127.0.0.1:8178", (), True),
        ("localhost:8178", (), True),
        ("[::1]:8178", (), True),
        ("evil.example.org:8178", (), False),
        ("127.0.0.1.evil.example.org", (), False),
        ("", (), False),
        ("notes.example.org", ("https://notes.example.org",), True),
        ("evil.example.org", ("https://notes.example.org",), False),
        ("any.example.org", ("*",), True),
    ],
)
def test_names_under_which_a_page_may_read(host: str, allowed: tuple[str, ...], may: bool) -> None:
    if may:
        check_host(Headers({"host": host}), allowed)
        return
    with pytest.raises(Problem) as refused:
        check_host(Headers({"host": host}), allowed)
    assert (refused.value.status, refused.value.code) == (403, "origin_not_allowed")


@pytest.mark.parametrize("path", ["/v1/corrections", "/v1/jobs", "/v1/jobs/job_1/results", "/v1/vocabularies"])
def test_a_page_that_gave_its_name_this_address_reads_nothing_that_is_kept(path: str) -> None:
    rebound = {"Host": "evil.example.org:8178"}
    with served(FakeRecognizer(), root_path="/speech") as url:
        for prefix in ("", "/speech"):
            assert httpx.get(url + prefix + path, headers=rebound).status_code == 403
            assert httpx.get(url + prefix + path).status_code != 403
        assert httpx.get(url + "/health/live", headers=rebound).status_code == 200
    with served(FakeRecognizer(), api_key="secret") as url:
        assert httpx.get(url + path, headers=rebound).status_code == 401
