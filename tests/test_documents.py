"""Documents cannot lie: their blocks run, what they name exists, and what is pasted into them is current."""

import argparse
import ast
import base64
import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.documents import (
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks_of,
    code_spans,
    commands_of,
    dialogue_of,
    links,
    long_lines,
    pattern_of,
)

from shoptalk.cli import build_parser, main
from shoptalk.core import config, records
from shoptalk.core.recipe import EngineSection, Recipe
from shoptalk.corpus import carriers, frames, lexicon
from shoptalk.release.gate_policy import Policy, read_policy
from shoptalk.service.settings import Settings
from shoptalk.stages.table import BY_NAME

SOURCE = ROOT / "src" / "shoptalk"
BASE = "models/shoptalk-base-en-tiny/shoptalk-base-en-tiny.nemo"
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py"))
BLOCKS = [block for page in PAGES for block in blocks_of(page)]

STAND_INS = {"runs/demo/80-bundle": BASE, "model.nemo": BASE}
"""What documents name and a clone does not have yet, and what the tests take in its place."""

SERVED = "http://127.0.0.1:8178"
"""Where the documents' server is; the tests put the address of theirs in its place."""

SUBCOMMANDS = argparse._SubParsersAction

RECORDS = (records.Term, records.Transcript, records.Utterance, records.Hypothesis, carriers.Carrier, frames.Frame)
TRACKED_SUFFIXES = (".py", ".sh", ".md", ".svg", ".png", ".css", ".j2", ".lock", ".yaml", ".tsv", ".txt")
FILES_OF_A_RUN = (".jsonl", ".json", ".html", ".nemo", ".ckpt", ".pt")
PRODUCTS = {"config.yaml", "vocab.txt", "terms.csv", "names.txt", "recipe.yaml", "report.md"}
"""Files that a run, a bundle or a user writes; no clone has them."""


def of_language(*languages: str) -> list[object]:
    """The blocks of some languages that are not excused, as parameters of a test."""
    return [
        pytest.param(block, id=block.place) for block in BLOCKS if block.language in languages and not block.not_run
    ]


# --- Blocks


@pytest.mark.parametrize("block", [pytest.param(block, id=block.place) for block in BLOCKS])
def test_every_block_is_of_a_checked_kind(block: Block) -> None:
    """`text` is for drawings and printed help; a command or code under that name would escape the tests."""
    assert block.language in {"text", "bash", "console", "python", "yaml", "csv", "json"}, "name the block's language"
    if block.language == "text":
        assert not re.match(r"(\$ |shoptalk|make|python|curl|pip)\b", block.content), "call it bash or console"


@pytest.mark.parametrize("block", of_language("bash"))
def test_commands_are_right(block: Block) -> None:
    for words in commands_of(block.content):
        check_command(words, block.page)


@pytest.mark.parametrize("block", of_language("bash"))
def test_quick_commands_run(block: Block, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    for words in commands_of(block.content):
        if words[0] == "shoptalk" and (
            words[1] in {"--help", "--version", "init", "transcribe"} or words[1:3] == ["models", "list"]
        ):
            piped = (workplace / "recording.pcm").read_bytes()
            assert run_here([STAND_INS.get(word, word) for word in words[1:]], piped).strip()
            shutil.rmtree(workplace / "my", ignore_errors=True)


@pytest.mark.parametrize("block", [p for p in of_language("bash") if "curl" in p.values[0].content])  # type: ignore[attr-defined]
def test_requests_are_answered(block: Block, workplace: Path, served: str) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    for words in commands_of(block.content):
        if words[0] == "curl":
            command = [word.replace(SERVED, served) for word in words]
            done = subprocess.run([*command, "--silent", "--show-error", "--fail"], capture_output=True, cwd=workplace)
            assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize("block", of_language("console"))
def test_dialogues_go_as_shown(block: Block, workplace: Path) -> None:
    """Each command of a console block prints what the page says it prints."""
    for file in (other for other in blocks_of(block.page) if other.file):
        path = workplace / file.file
        path.parent.mkdir(exist_ok=True)
        path.write_text(file.content, encoding="utf-8")
    for command, shown in dialogue_of(block.content):
        done = subprocess.run(["bash", "-c", command], text=True, stdout=-1, stderr=subprocess.STDOUT, cwd=workplace)
        assert re.fullmatch(pattern_of(shown), done.stdout, re.DOTALL), f"{command}\n{done.stdout}"


@pytest.mark.parametrize("block", of_language("python"))
def test_python_runs(block: Block, workplace: Path, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    code = compile(block.content.replace(SERVED, served), block.place, "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {"__name__": "__main__"})
    assert printed.getvalue().strip()


@pytest.mark.parametrize("block", of_language("yaml"))
def test_yaml_is_a_recipe_a_policy_terms_or_steps(block: Block, tmp_path: Path) -> None:
    content = yaml.safe_load(block.content)
    if isinstance(content, list) and "text" in content[0]:
        (tmp_path / "terms.yaml").write_text(block.content, encoding="utf-8")
        assert lexicon.load([tmp_path / "terms.yaml"])
    elif isinstance(content, list):
        for step in content:
            for words in commands_of(step.get("run", "")):
                check_command(words, block.page)
    elif content.keys() <= Policy.model_fields.keys():
        read_policy(block.content, block.place)
    else:
        (tmp_path / "recipe.yaml").write_text(block.content, encoding="utf-8")
        config.load(tmp_path / "recipe.yaml")


@pytest.mark.parametrize("block", of_language("csv"))
def test_tables_are_lexicons(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "terms.csv"
    path.write_text(block.content, encoding="utf-8")
    assert lexicon.load([path])


@pytest.mark.parametrize("block", of_language("json"))
def test_json_is_a_record(block: Block) -> None:
    """Every record that a page shows is one of those that the stages write."""
    line = json.loads(block.content)
    assert any(fits(model, line) for model in RECORDS) or is_line_of_a_dataset(line), f"no record has this form: {line}"


def fits(model: type[records.Record], line: object) -> bool:
    try:
        model.model_validate(line)
    except ValueError:
        return False
    return True


def is_line_of_a_dataset(line: dict[str, object]) -> bool:
    """A line of a manifest is read with columns of others beside; a page shows none of these."""
    fields = records.Example.model_fields.items()
    known = {field.serialization_alias or name for name, field in fields}
    return line.keys() <= known and fits(records.Example, line)


# --- Commands


def check_command(words: list[str], page: Path) -> None:
    """A command that a document gives: its program is known, its options are parsed, what it names exists."""
    program, *arguments = words
    if program.rpartition("/")[2] == "shoptalk":
        check_our_command(arguments, page)
    elif program == "make":
        targets = [word for word in arguments if "=" not in word]
        assert set(targets) <= make_targets(), f"the Makefile has no {targets}"
    elif program in {"python", "pytest"}:
        assert (ROOT / arguments[0]).exists(), f"{arguments[0]} does not exist"
    elif program == "pip":
        asked = re.findall(r"\[([a-z,]+)\]", " ".join(arguments))
        assert {extra for names in asked for extra in names.split(",")} <= extras()
    elif program.startswith("scripts/"):
        assert (ROOT / program).exists()
    elif program == "source":
        assert arguments == [".venv/bin/activate"]
    else:
        assert program in {"curl", "git", "cd", "arecord"}, f"{program}: tell tests/test_documents.py how to check it"


def check_our_command(arguments: list[str], page: Path) -> None:
    """Our own command line: parsed by our parser, its recipe, its changes and its policy read."""
    if arguments[0] in {"--help", "--version"}:
        return
    parsed = build_parser().parse_args(arguments)
    changes = tuple(getattr(parsed, "set", ()))
    recipe = getattr(parsed, "recipe", None)
    if recipe and (ROOT / recipe).is_file():
        config.load(ROOT / recipe, changes)
    else:
        assert not recipe or recipe in files_of_a_user(page), f"{recipe} does not exist"
        config.changed(changes)
    policy = getattr(parsed, "policy", None)
    if policy:
        read_policy((ROOT / policy).read_text(encoding="utf-8"), policy)


def files_of_a_user(page: Path) -> set[str]:
    """Files that a page writes, or lets its reader write."""
    return {"my/recipe.yaml", *(block.file for block in blocks_of(page) if block.file)}


def run_here(arguments: list[str], piped: bytes) -> str:
    """What our command line prints in this process, where `piped` is its standard input; nothing is fetched for it."""
    if arguments[0] == "transcribe":
        arguments = [*arguments, "--set", "engine.fill_holes=false"]
    with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
    assert not status, printed.getvalue()
    return printed.getvalue()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def extras() -> set[str]:
    import tomllib

    return set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder where a reader of the documents might work: the clone's files, two recordings, a list of names."""
    import soundfile

    from shoptalk.core import audio

    folder = tmp_path_factory.mktemp("reader")
    for path in ROOT.iterdir():
        if path.name not in {"runs", "my", ".git"}:
            (folder / path.name).symlink_to(path)
    recording = next((ROOT / "assets" / "general").rglob("*.opus"))
    for name in ("visit.wav", "recording.wav"):
        soundfile.write(folder / name, audio.decode(recording), audio.SAMPLE_RATE_HZ)
    pcm_T = (32767 * audio.decode(recording)).astype("<i2")
    (folder / "recording.pcm").write_bytes(pcm_T.tobytes())
    (folder / "names.txt").write_text("apixaban\nmetformin\t1.5\n", encoding="utf-8")
    (folder / "bin").mkdir()
    ours = folder / "bin" / "shoptalk"
    ours.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m shoptalk.cli "$@"\n', encoding="utf-8")
    ours.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{ours.parent}:{os.environ['PATH']}")
        patch.setenv("PYTHONPATH", str(ROOT / "src"))
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the service with the tiny base and a store, on a free port."""
    import httpx
    import uvicorn

    from shoptalk.service.access.access import Access
    from shoptalk.service.app import create_app
    from shoptalk.service.store import open_store
    from shoptalk.service.telemetry.watching import Telemetry
    from shoptalk.stages.served_models import open_models

    folder = tmp_path_factory.mktemp("served")
    (folder / "key").write_bytes(base64.b64encode(bytes(32)))
    settings = Settings(batch=2, store_dir=folder / "store", store_key=folder / "key")
    recipe = Recipe(engine=EngineSection(fill_holes=False))
    telemetry = Telemetry(["shoptalk-demo"])
    observe = telemetry.metrics.batches_of
    models = open_models({"shoptalk-demo": ROOT / BASE}, recipe, settings, observe=observe)
    app = create_app(models, settings, access=Access(), telemetry=telemetry, store=open_store(settings))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        until = time.monotonic() + 240  # a machine may be busy
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url + "/health/ready", trust_env=False).status_code == httpx.codes.OK:
                    break
            time.sleep(0.05)
        yield url
        server.should_exit = True
        thread.join(20)


# --- The two commands


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    """`make test` as it is; of `make demo` the same command on the shrunken recipe, by the end-to-end test."""
    [block] = [block for block in blocks_of(ROOT / "README.md") if "make demo" in block.content]
    assert [words[:2] for words in commands_of(block.content)] == [["make", "demo"], ["make", "test"]]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"\btest\b", ci) and re.search(r"\be2e\b", ci)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert ".venv/bin/shoptalk demo --recipe recipes/demo.yaml --run runs/demo" in makefile
    road = (ROOT / "tests" / "test_end_to_end.py").read_text(encoding="utf-8")
    assert 'road.shoptalk("demo")' in road and '"ci.yaml"' in road


# --- Names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    missing = [span for span in code_spans(page) if not is_there(span)]
    assert not missing, f"{page.relative_to(ROOT)} names what does not exist: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target} does not exist"
        assert not anchor or anchor in anchors(path), f"{page.name}: {target}: no such heading"


def is_there(span: str) -> bool:
    """Whether a span of code names something that exists; True also for what is no name of ours."""
    if match := re.fullmatch(r"shoptalk((?:\.[a-zA-Z_0-9]+)+)", span):
        return is_module(match.group(1).strip(".").split("."))
    if match := re.match(r"(?:make|shoptalk) [a-z0-9]", span):
        return is_command(span.split())
    if re.match(rf"({'|'.join(sections())})\.[a-z_]+", span) and not span.endswith(FILES_OF_A_RUN):
        return is_key(re.split(r"[=\[: ]", span)[0].split("."))
    if re.fullmatch(r"[A-Z][A-Za-z]+Error", span):
        return any(f"class {span}(" in path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    if re.fullmatch(r"SHOPTALK_[A-Z_]+", span):
        return any(span in path.read_text(encoding="utf-8") for path in sources())
    if re.fullmatch(r"[\w.-]+(/[\w.*-]*)+", span) or span.endswith(TRACKED_SUFFIXES):
        return is_path(span)
    return True


def is_module(parts: list[str]) -> bool:
    """A module or package of ours, or a name in one."""
    for length in range(len(parts), 0, -1):
        path = SOURCE.joinpath(*parts[:length])
        if path.is_dir():
            return length == len(parts)
        module = path.with_suffix(".py")
        if module.is_file():
            name = parts[length] if length < len(parts) else ""
            return re.search(rf"\b{name}\b", module.read_text(encoding="utf-8")) is not None
    return False


def is_command(words: list[str]) -> bool:
    """A target of the Makefile, or a subcommand of ours with options that it has."""
    if words[0] == "make":
        return words[1] in make_targets()
    parser: argparse.ArgumentParser = build_parser()
    for word in words[1:]:
        choices = next((dict(part.choices) for part in parser._actions if isinstance(part, SUBCOMMANDS)), {})
        is_unknown_action = bool(choices) and word.islower() and not word.startswith("--")
        is_unknown_option = word.startswith("--") and word.partition("=")[0] not in parser._option_string_actions
        if word in choices:
            parser = choices[word]
        elif is_unknown_action or is_unknown_option:
            return False
    return True


def is_key(parts: list[str]) -> bool:
    """A key of the recipe, or a setting of the service."""
    from scripts.paste_docs import section_of

    section: type | None = Recipe
    if parts[0] == "serve":
        section, parts = Settings, parts[1:]
    for part in parts:
        if section is None or part not in section.model_fields:
            return False
        section = section_of(section.model_fields[part])
    return True


def sections() -> list[str]:
    from scripts.paste_docs import section_of

    return ["serve", *(name for name, field in Recipe.model_fields.items() if section_of(field))]


def sources() -> list[Path]:
    return [*SOURCE.rglob("*.py"), *(ROOT / "scripts").glob("*.sh"), ROOT / "Makefile"]


def is_path(span: str) -> bool:
    """A file or folder of the clone, by its whole path or by its end; a path of a run, a user or a hub aside."""
    name = re.sub(r"\b(NAME|NN)\b", "*", span.rstrip("/"))
    top = name.partition("/")[0]
    if name in PRODUCTS or top in {"runs", "my", ".local"} or re.match(r"\d\d-", top):
        return True
    folders = (ROOT, SOURCE, ROOT / "docs")
    if "/" in span and not any((folder / top).exists() for folder in folders):
        return True  # a hub's name, a route, a folder of a run
    is_known = any(next(folder.glob(name), None) for folder in folders)
    return is_known or any(str(path).endswith("/" + name) for path in tracked())


def tracked() -> list[Path]:
    folders = "src tests scripts recipes docs benchmarks lexicons assets models results licenses".split()
    return [path for folder in folders for path in (ROOT / folder).rglob("*.*")]


# --- Form


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_end_at_120_characters(page: Path) -> None:
    assert not long_lines(page, most=120)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_picture_of_the_report_is_small() -> None:
    content = (ROOT / "docs" / "report.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) <= 300_000


def test_a_picture_is_taken_of_a_report(tmp_path: Path) -> None:
    from scripts.browser import NAMES
    from tests.scoring.sample import sample_scores

    from shoptalk.scoring.report.page import html

    if not any(map(shutil.which, NAMES)):
        pytest.skip("no Chromium is installed")
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(html(sample_scores()), encoding="utf-8")
    command = [sys.executable, "scripts/picture_of_report.py", str(page), str(picture), "--width", "400"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    header = picture.read_bytes()[:24]
    assert header.startswith(b"\x89PNG") and int.from_bytes(header[16:20], "big") == 400


def test_pasted_help_and_keys_are_current() -> None:
    command = [sys.executable, "scripts/paste_docs.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_has_its_help_in_the_documents() -> None:
    """The stages, `run` and `demo` take the same options; one of them stands for all."""
    from scripts.paste_docs import subparsers

    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    alike = {*BY_NAME, "run", "demo"}
    missing = [name for name in subparsers(build_parser()) if name not in alike and f"<!-- help:{name} -->" not in text]
    assert not missing, f"docs/commands.md: add marks for {missing}, then `make docs`"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(SOURCE.parent)))
def test_a_package_names_its_modules(package: Path) -> None:
    """The docstring of a package is its table of contents: every file and every package in it, and nothing else."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in package.glob("*.py")}
    modules |= {path.parent.name for path in package.glob("*/__init__.py")}
    missing = sorted(name for name in modules - {"__init__", "__main__"} if f"`{name}`" not in docstring)
    assert not missing, f"{package.relative_to(ROOT)}/__init__.py: give each of these a line: {missing}"
    named = {line.split("`")[1] for line in docstring.splitlines() if line.startswith("- `")}
    assert named <= modules, f"{package.relative_to(ROOT)}/__init__.py names what is not there: {named - modules}"
