"""The wheel in an empty folder: built from the source distribution, installed apart from the clone, and used."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ["assets", "lexicons", "models/shoptalk-base-en-tiny", "recipes"]
FIGURES = ["engine-cpu.json", "engine_gpu.json", "live.json", "service.json"]
"""What `shoptalk capacity` plans by; those that were measured are there."""
MAX_WHEEL_BYTES = 36 * 2**20

pytestmark = pytest.mark.slow


def call(*command: str | Path, folder: Path) -> str:
    """What a command prints and tells, run where no clone can be imported from."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(kind: str, source: Path, target: Path) -> Path:
    """The archive that the build backend makes of a source folder, with the packages that are installed here."""
    target.mkdir()
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(target)!r})"
    call(sys.executable, "-c", code, folder=source)
    [archive] = target.iterdir()
    return archive


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the clone, so that no build output lies in it."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "clone"
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "licenses", "results", *SHIPPED):
        shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICE"):
        shutil.copyfile(ROOT / name, copy / name)
    return build("sdist", copy, folder / "sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    folder = sdist.parents[1]
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    [source] = (folder / "unpacked").iterdir()
    return build("wheel", source, folder / "dist")


@pytest.fixture(scope="module")
def shoptalk(wheel: Path) -> Path:
    """The command of a fresh environment that has the wheel, and what it depends on from ours."""
    folder = wheel.parents[1] / "environment"
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    # A path file adds the folder, but does not read the path files in it: our editable install stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["-m", "pip", "--python", folder / "bin" / "python", "install", "--no-index", "--no-deps", wheel]
    call(sys.executable, *install, folder=folder)
    return folder / "bin" / "shoptalk"


def files_below(*folders: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for name in folders for path in (ROOT / name).rglob("*") if path.is_file()}


def test_the_wheel_carries_what_defaults_and_recipes_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    resources = {name.removeprefix("shoptalk/resources/") for name in names if name.startswith("shoptalk/resources/")}
    figures = {f"results/{name}" for name in FIGURES if (ROOT / "results" / name).is_file()}
    assert figures and resources == files_below(*SHIPPED) | figures
    data = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "shoptalk").rglob("*") if path.is_file()}
    missing = {name for name in data if "__pycache__" not in name} - names
    assert not missing, f"of src/ not in the wheel: {sorted(missing)}"
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    assert {f"licenses/{path.name}" for path in (ROOT / "licenses").iterdir()} <= {
        name.partition("dist-info/licenses/")[2] for name in names
    }


def test_the_source_distribution_can_be_built_again(sdist: Path, wheel: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files_below(*SHIPPED) | {"pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"} <= names


def test_a_run_starts_in_an_empty_folder(shoptalk: Path, tmp_path: Path) -> None:
    where = call(shoptalk.with_name("python"), "-c", "import shoptalk; print(shoptalk.__file__)", folder=tmp_path)
    assert where.startswith(str(shoptalk.parents[1])), "the wheel is used, not the clone"
    shown = call(shoptalk, "init", folder=tmp_path)
    command = shown.rpartition("shoptalk run ")[2].split()
    assert command == ["--recipe", "recipe.yaml", "--run", "runs/first"]
    small = ["--set", "transcripts.train_per_term=1", "--set", "transcripts.test_per_term=1"]
    assert "16 terms" in call(shoptalk, "lexicon", *command, *small, folder=tmp_path)
    assert "transcripts" in call(shoptalk, "transcripts", *command, *small, folder=tmp_path)
    assert len((tmp_path / "runs/first/20-transcripts.jsonl").read_text().splitlines()) > 16
    assert not list(tmp_path.glob("*/resources")), "what ships is read where it is, not copied"


def test_recipes_and_models_that_ship_are_found_by_their_names(shoptalk: Path, tmp_path: Path) -> None:
    assert "4 terms" in call(shoptalk, "lexicon", "--recipe", "recipes/ci.yaml", "--run", "run", folder=tmp_path)
    model = "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
    recording = ROOT / "assets/general/test/fotaq/240001P1.opus"
    silent = ["--set", "engine.fill_holes=false"]
    text = call(shoptalk, "transcribe", recording, "--model", model, *silent, folder=tmp_path)
    assert len(text.split()) > 1
