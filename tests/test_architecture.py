"""What the linters cannot hold: integrations, inheritance, weight of imports, clean files."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoptalk.core.sets import GENERAL, LONG, NOISY, SILENCE, TAUGHT, UNTAUGHT
from shoptalk.stages.table import STAGES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "shoptalk"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

MAX_TRACKED_BYTES = 34 * 2**20

INTEGRATED = set(
    "boto3 botocore ctranslate2 datasets faster_whisper lhotse mlflow moonshine_voice nemo onnxruntime piper ray "
    "riva spellchecker xllamacpp".split()
)
"""Third parties that are imported in one file only, which lies in `shoptalk.integrations`."""

LATE = (
    set("av fastapi httpx httpx2 huggingface_hub jiwer lightning numba openai pandas scipy soundfile torch".split())
    | {"transformers"}
    | INTEGRATED
)
"""What `shoptalk --help` must not import."""

ROOTS = {"BaseModel", "Protocol", "Exception", "Generic", "Enum", "StrEnum", "NamedTuple", "TypedDict"}
"""Own classes may be inherited from only if they stem from one of these."""


def where(path: Path, node: ast.stmt | ast.expr) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Top-level names of the packages that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node


def base_names(node: ast.ClassDef) -> list[str]:
    bases = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return [base.attr if isinstance(base, ast.Attribute) else ast.unparse(base) for base in bases]


def test_each_third_party_has_one_integration() -> None:
    used: dict[str, set[Path]] = {}
    for path, tree in TREES.items():
        for package, _ in imports(tree):
            if package in INTEGRATED:
                used.setdefault(package, set()).add(path.relative_to(SOURCE))
    astray = {package: sorted(map(str, paths)) for package, paths in used.items() if len(paths) > 1}
    outside = {
        package: str(path) for package, paths in used.items() for path in paths if path.parts[0] != "integrations"
    }
    assert not astray, f"imported in more than one file: {astray}"
    assert not outside, f"imported outside shoptalk.integrations: {outside}"


def defined_names(path: Path) -> set[str]:
    """What can be imported from a module or package: what its statements bind, and the modules beside an __init__."""
    names = {node.name for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    if path.name == "__init__.py":
        names.update(module.stem for module in path.parent.glob("*.py"))
        names.update(package.parent.name for package in path.parent.glob("*/__init__.py"))
    return names


def test_scripts_and_benchmarks_import_what_is_there() -> None:
    missing = []
    for path in [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "shoptalk"):
                continue
            module = SOURCE.parent / node.module.replace(".", "/")
            source = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
            known = defined_names(source) if source in TREES else set()
            missing += [f"{where(path, node)}: {alias.name}" for alias in node.names if alias.name not in known]
    assert not missing, f"imported from shoptalk, where it is not: {missing}"


def test_only_config_reads_the_environment() -> None:
    found = [
        where(path, node)
        for path, tree in TREES.items()
        if path.name != "config.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert not found, f"use shoptalk.core.config.environment instead of os.environ: {found}"


def test_only_files_writes_whole_and_hashes_files() -> None:
    """Partial work, the flush to the disk and hashes of files have one home, `core.files`."""
    scripts = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "scripts").glob("*.py"))}
    found = []
    for path, tree in {**TREES, **scripts}.items():
        if path == SOURCE / "core" / "files.py":
            continue
        for node in ast.walk(tree):
            is_own_partial = isinstance(node, ast.Constant) and str(node.value).startswith(".partial")
            is_own_hash = isinstance(node, ast.Attribute) and node.attr in {"fsync", "file_digest"}
            if is_own_partial or (is_own_hash and ast.unparse(node).startswith(("os.", "hashlib."))):
                found.append(where(path, node))
    assert not found, f"use shoptalk.core.files: {found}"


KNOWS_MANIFESTS = {
    "core/examples.py",  # the reader and writer
    "core/records.py",  # the record
    "testsets/sources.py",  # names of columns in tables of others
    "integrations/hf_datasets.py",  # likewise
}


def test_the_line_of_a_manifest_is_known_in_one_place() -> None:
    found = [
        where(path, node)
        for path, tree in TREES.items()
        if str(path.relative_to(SOURCE)) not in KNOWS_MANIFESTS
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == "audio_filepath"
    ]
    assert not found, f"use shoptalk.core.examples: {found}"


SET_NAMES = {TAUGHT, UNTAUGHT, GENERAL, NOISY, SILENCE, LONG}
OTHER_MEANINGS = {
    ("core/sets.py", name) for name in SET_NAMES
} | {
    ("corpus/lexicon.py", TAUGHT),  # a column of lexicons
    ("corpus/misses.py", TAUGHT),
    ("corpus/term_files.py", TAUGHT),
    ("stages/starting.py", TAUGHT),
    ("release/gate.py", GENERAL),  # a section of policies
    ("scoring/report/tables.py", GENERAL),  # the head of a column
}  # fmt: skip


def test_names_of_test_sets_are_imported() -> None:
    found = [
        f"{where(path, node)} {node.value!r}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and node.value in SET_NAMES
        and (str(path.relative_to(SOURCE)), node.value) not in OTHER_MEANINGS
    ]
    assert not found, f"import these from shoptalk.core.sets: {found}"


def test_purposes_of_stages_stand_in_their_table_alone() -> None:
    purposes = {stage.purpose for stage in STAGES}
    found = [
        where(path, node)
        for path, tree in TREES.items()
        if path != SOURCE / "stages" / "table.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and any(purpose in str(node.value) for purpose in purposes)
    ]
    assert not found, f"take these from shoptalk.stages.table: {found}"


def test_no_inheritance_from_classes_of_ours() -> None:
    nodes = [(path, node) for path, tree in TREES.items() for node in ast.walk(tree)]
    classes = [(path, node) for path, node in nodes if isinstance(node, ast.ClassDef)]
    bases = {node.name: base_names(node) for _, node in classes}

    def is_allowed(name: str) -> bool:
        return name not in bases or any(base in ROOTS or (base in bases and is_allowed(base)) for base in bases[name])

    found = [
        f"{where(path, node)} {node.name}({base})"
        for path, node in classes
        for base in base_names(node)
        if not is_allowed(base)
    ]
    assert not found, f"compose instead of inheriting from an own class: {found}"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; import shoptalk.cli; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    heavy = LATE & {name.partition(".")[0] for name in shown.stdout.split()}
    assert not heavy, f"import these inside functions: {sorted(heavy)}"


def test_help_answers_at_once() -> None:
    """Processor time, which other work on the machine does not change much; the best of five."""
    code = "import resource, shoptalk.cli as cli\n"
    code += "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print('\\n', sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))"
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "src") for _ in range(5)]
    seconds = min(float(run.stdout.split()[-1]) for run in runs)
    assert seconds < 0.3, f"shoptalk --help takes {seconds:.2f} s of processor time; import less at module level"


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git clone")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_tracked_files_stay_small(tracked: list[Path]) -> None:
    total = sum(path.stat().st_size for path in tracked)
    largest = sorted(tracked, key=lambda path: -path.stat().st_size)[:5]
    shown = [(str(path.relative_to(ROOT)), path.stat().st_size) for path in largest]
    assert total <= MAX_TRACKED_BYTES, f"{total / 2**20:.1f} MiB tracked; the largest: {shown}"


def test_no_registry_hosts_and_no_paths_of_a_machine(tracked: list[Path]) -> None:
    hosts = ("pypi.o" + "rg", "pythonhosted.o" + "rg", "npmjs.o" + "rg", "npmjs.c" + "om", "download.pytorch.o" + "rg")
    folders = r"(?<![\w.${}~-])/(?:work|root|home|Users|mnt)/\w"
    pattern = re.compile("|".join([*map(re.escape, hosts), folders]).encode())
    found = []
    for path in tracked:
        content = path.read_bytes()
        if b"\0" in content[:8192] or path.is_relative_to(ROOT / "licenses"):
            continue
        found += [f"{path.relative_to(ROOT)}: {hit.group().decode()}" for hit in pattern.finditer(content)]
    assert not found, f"registry hosts or paths of one machine: {found[:20]}"
