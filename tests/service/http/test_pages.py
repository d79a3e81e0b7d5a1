"""The page for people as a server answers it, without a browser; tests/service/web has one."""

import re
from collections.abc import Iterator
from importlib import resources

import httpx
import pytest
from tests.service.http.serving import FakeRecognizer, served

from shoptalk.service.http.pages import WEB, WEB_TYPES


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(FakeRecognizer(), root_path="/speech") as address:
        yield address


@pytest.mark.parametrize("prefix", ["/", "/speech/"])
def test_every_file_that_the_page_names_is_there(url: str, prefix: str) -> None:
    names, seen = [""], set()
    while names:
        name = names.pop()
        answer = httpx.get(url + prefix + name)
        assert answer.status_code == 200, name
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        seen.add(name)
        if answer.headers["content-type"].startswith("text/"):
            addresses = re.findall(r'"(page/[^"]+)"', answer.text)
            beside = re.findall(r'from "\./([^"]+)"', answer.text) + re.findall(r'url\("([^"]+)"\)', answer.text)
            own = [*addresses, *(f"page/{name}" for name in beside)]
            names += [other for other in own if other not in seen]
    packaged = [entry.name for entry in resources.files(WEB).iterdir() if entry.name.split(".")[-1] in WEB_TYPES]
    assert seen == {""} | {f"page/{name}" for name in packaged if name != "index.html"}


def test_the_address_without_a_slash_leads_to_the_page(url: str) -> None:
    answer = httpx.get(f"{url}/speech")
    assert answer.status_code in (307, 308) and answer.headers["location"].endswith("/speech/")


def test_a_browser_keeps_what_is_current(url: str) -> None:
    first = httpx.get(f"{url}/page/app.js")
    again = httpx.get(f"{url}/page/app.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content


@pytest.mark.parametrize("name", ["__init__.py", "index.html", "..%2fhttp%2fpages.py", "none.js"])
def test_no_other_file_is_there(url: str, name: str) -> None:
    assert httpx.get(f"{url}/page/{name}").status_code == 404
