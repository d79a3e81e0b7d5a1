"""Pack what the check needs on a machine without network: `scripts/gpu_kit.sh [--have FILE] [--target FOLDER]`.

The packages that the check imports (`closure`) and that the machine lacks come as wheels for Python 3.12 on Linux, in
the versions of requirements/*.lock. They are unpacked, their debug symbols are zeroed, and all is packed again as one
`site.tar.xz`, which is half the size. The base and the recordings travel as tracked files; `recordings.jsonl` names a
hundred of them. Wheels are fetched by pip, so this needs a machine with a registry.
"""

import argparse
import json
import lzma
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scripts.gpu.closure import BASE, normalised

ROOT = Path(__file__).resolve().parents[2]
HAVE = ROOT / "requirements/gpu-machine.txt"
TARGET = ROOT / "gpu-kit"
MOST_MIB, MOST_TRACKED_MIB = 63.0, 34.0
"""What the kit and the tracked files together, and the tracked files alone, may have, as `tar` counts."""
TAR_BLOCK = 512
CARRIED = {
    "lightning": "NeMo's telemetry refuses 2.5 and newer",
    "sentencepiece": "0.2.2 ended the process while it trained a tokenizer",
}
"""Packages that are carried even where the machine has them, and why."""
RECORDINGS = 100
SOURCES = {".c", ".cpp", ".h", ".hpp", ".pxd", ".pyx"}
"""Of files that no import reads; `.pyi` are read by lazy_loader."""
NEVER_RUN = ("libSvtAv1Enc", "libx265")
"""Libraries that others load and that nothing here calls: encoders of video. Their code travels as empty functions."""
FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9}]
"""Machine code packs better with its jumps made absolute."""
GLIBC = (28, 39, 34, 31, 27, 24, 17, 12, 5)
"""Minor versions of glibc 2 whose wheels are taken; pip matches each exactly."""
MIB = 2**20
SHF_ALLOC, SHF_EXECINSTR, SHT_NULL, SHT_NOBITS = 2, 4, 0, 8  # elf.h
RETURN = b"\xc3"
"""x86-64's instruction that ends a function."""

START = """How to carry and start it
-------------------------
1. Carry the tracked files of the repository and this folder, gpu-kit/, in it: {total:.1f} MiB.
2. On the machine (Linux on x86-64, CUDA, Python 3.12, PyTorch 2.11 or newer; no network is needed), in the repository:
       PYTHON=python3 scripts/gpu_check.sh --out gpu-results
   It takes 8 minutes at most. `--steps equal settings` runs some steps only.
3. Carry gpu-results/ back, and run: scripts/gpu_check.sh --report gpu-results
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--have", type=Path, default=HAVE, help="what the machine has: `pip list --format=freeze`")
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument(
        "--check", action="store_true", help="tell whether the kit that is there has all; packs nothing"
    )
    arguments = parser.parse_args()
    if arguments.check:
        return checked(arguments.target, names_of(arguments.have.read_text(encoding="utf-8")))
    arguments.target.mkdir(parents=True, exist_ok=True)
    pins = missing(needed(), names_of(arguments.have.read_text(encoding="utf-8")), pinned(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        wheels = [fetch(pin, Path(folder) / "wheels") for pin in pins]
        count = pack(wheels, Path(folder) / "site", arguments.target / "site.tar.xz")
    recordings = choose_recordings((ROOT / "assets/general/test.jsonl").read_text(encoding="utf-8").splitlines())
    (arguments.target / "recordings.jsonl").write_text("".join(f"{line}\n" for line in recordings), encoding="utf-8")
    sizes = measured(arguments.target)
    (arguments.target / "START.txt").write_text(START.format(total=sizes["together"]), encoding="utf-8")
    contents = {"packages": pins, "unpacked_mib": round(count / MIB, 1), "mib": sizes}
    (arguments.target / "contents.json").write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.target}: {len(pins)} packages, {count / MIB:.0f} MiB unpacked; {RECORDINGS} recordings and the")
    print(f"base ({BASE}) are among the tracked files; licences: NOTICE and licenses/")
    print("MiB: " + ", ".join(f"{name} {size:.1f}" for name, size in sizes.items()) + "\n")
    print(START.format(total=sizes["together"]))
    return told_if_too_large(sizes)


def checked(kit: Path, have: set[str]) -> int:
    """Status 1, and what is absent, if a kit was packed before the check imported some package."""
    absent = absent_from(json.loads((kit / "contents.json").read_text(encoding="utf-8"))["packages"], needed(), have)
    if absent:
        print(f"gpu_kit: error: {kit} lacks {', '.join(absent)}; pack it again", file=sys.stderr)
    return told_if_too_large(measured(kit)) or int(bool(absent))


def absent_from(pins: Iterable[str], names: Iterable[str], have: set[str]) -> list[str]:
    """The packages that neither a kit of these pins nor the machine has; torch is always there."""
    return sorted(set(names) - {pin.partition("==")[0] for pin in pins} - have - {"torch"})


def told_if_too_large(sizes: dict[str, float]) -> int:
    """Status 1, and which limit is passed, if any is."""
    if sizes["together"] < MOST_MIB and sizes["tracked"] < MOST_TRACKED_MIB:
        return 0
    print(
        f"gpu_kit: error: {sizes} MiB; the tracked files must stay below {MOST_TRACKED_MIB:g} and all below "
        f"{MOST_MIB:g}. Remove large tracked files, or list more of what the machine has (--have)",
        file=sys.stderr,
    )
    return 1


def needed() -> list[str]:
    """What the steps import, found in a process of its own."""
    command = [sys.executable, "-m", "scripts.gpu.closure"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"gpu_kit: error: what the check imports cannot be imported here:\n{found.stderr[-2000:]}")
    return found.stdout.split()


def names_of(listed: str) -> set[str]:
    """The packages of `pip list --format=freeze` or of a plain list of names; comments are left out."""
    lines = (line.partition("#")[0].strip() for line in listed.splitlines())
    return {normalised(re.split(r"[=<>@ \[;]", line, maxsplit=1)[0]) for line in lines if line}


def pinned(root: Path) -> dict[str, str]:
    """The version of each package that some requirements/*.lock pins."""
    versions = {}
    for lock in sorted((root / "requirements").glob("*.lock")):
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock.read_text(encoding="utf-8"), re.M):
            versions[normalised(name)] = version
    return versions


def missing(names: Iterable[str], have: set[str], versions: dict[str, str]) -> list[str]:
    """`NAME==VERSION` of what is needed and not there, and of `CARRIED`; torch is always there."""
    absent = sorted(set(names) - have - {"torch"} | set(CARRIED))
    unpinned = [name for name in absent if name not in versions]
    if unpinned:
        raise SystemExit(f"gpu_kit: error: in no requirements/*.lock: {', '.join(unpinned)}; add them, `make lock`")
    return [f"{name}=={versions[name]}" for name in absent]


def fetch(pin: str, folder: Path) -> Path:
    """The wheel of a package for Python 3.12; built here where there is none, if it is pure Python."""
    own = folder / pin
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    platforms = [word for minor in GLIBC for word in ("--platform", f"manylinux_2_{minor}_x86_64")]
    platforms += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux1_x86_64"]
    wanted = ["--no-deps", "--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp", *platforms]
    fetched = subprocess.run([*pip, "download", *wanted, "-d", str(own), pin], capture_output=True, text=True)
    if fetched.returncode:
        build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(own), pin]
        fetched = subprocess.run(build, capture_output=True, text=True)
    wheels = list(own.glob("*.whl"))
    if len(wheels) != 1 or (fetched.args[4] == "wheel" and not wheels[0].name.endswith("-none-any.whl")):
        raise SystemExit(f"gpu_kit: error: no wheel of {pin} for Python 3.12 on Linux:\n{fetched.stderr[-1000:]}")
    return wheels[0]


def pack(wheels: Iterable[Path], site: Path, target: Path) -> int:
    """Unpack wheels into one folder and pack that; how many bytes it has."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    for data in site.glob("*.data"):  # what a wheel keeps apart, as `pip install` would place it
        for kind in ("purelib", "platlib"):
            if (data / kind).is_dir():
                shutil.copytree(data / kind, site, dirs_exist_ok=True)
        shutil.rmtree(data)
    files = [path for path in site.rglob("*") if path.is_file() and path.suffix not in SOURCES]
    files.sort(key=lambda path: (".so" in path.name, path.suffix, str(path)))  # like beside like
    for path in files:
        if ".so" in path.name:
            content = without_symbols(path.read_bytes())
            path.write_bytes(without_code(content) if path.name.startswith(NEVER_RUN) else content)
    partial = target.with_name(f"{target.name}.partial")
    with lzma.open(partial, "wb", filters=FILTERS) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for path in files:
            archive.add(path, str(path.relative_to(site)), filter=anonymous)
    partial.replace(target)
    return sum(path.stat().st_size for path in files)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without whose it was and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def without_symbols(content: bytes) -> bytes:
    """A 64-bit ELF library with zeros where nothing is loaded from: debug symbols; they pack to nothing."""
    stripped = bytearray(content)
    for section in sections(content):
        if not section.is_names and not section.flags & SHF_ALLOC and section.kind not in (SHT_NULL, SHT_NOBITS):
            stripped[section.offset : section.offset + section.size] = bytes(section.size)
    return bytes(stripped)


def without_code(content: bytes) -> bytes:
    """A 64-bit ELF library whose functions return at once; it still loads, and its names are still there."""
    emptied = bytearray(content)
    code = [section for section in sections(content) if section.flags & SHF_EXECINSTR]
    largest = max(code, key=lambda section: section.size)  # `.text`; the small ones beside it tie it to others
    emptied[largest.offset : largest.offset + largest.size] = RETURN * largest.size
    return bytes(emptied)


class Section(NamedTuple):
    """Of an ELF file."""

    kind: int
    flags: int
    offset: int
    size: int
    is_names: bool
    """Whether it has the sections' names."""


def sections(content: bytes) -> list[Section]:
    """The sections of a 64-bit ELF file; none of another file."""
    if content[:5] != b"\x7fELF\x02":
        return []
    (table,) = struct.unpack_from("<Q", content, 0x28)
    entry, count, names = struct.unpack_from("<HHH", content, 0x3A)
    told = []
    for number in range(count):
        _, kind, flags, _, offset, size = struct.unpack_from("<IIQQQQ", content, table + number * entry)
        told.append(Section(kind, flags, offset, size, number == names))
    return told


def choose_recordings(lines: list[str]) -> list[str]:
    """A hundred lines of a manifest, evenly spaced."""
    return [lines[round(place * (len(lines) - 1) / (RECORDINGS - 1))] for place in range(RECORDINGS)]


def measured(kit: Path) -> dict[str, float]:
    """MiB of the tracked files, of the kit, and of both, as `tar` counts: a head for each file, and whole blocks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    tracked = [ROOT / name.decode() for name in listed if name and (ROOT / name.decode()).is_file()]
    own = [path for path in kit.iterdir() if path.is_file()]
    files = {"tracked": tracked, "kit": own, "together": [*tracked, *own]}
    return {name: round(sum(map(tar_bytes, paths)) / MIB, 2) for name, paths in files.items()}


def tar_bytes(path: Path) -> int:
    """What a file takes of a `tar` archive."""
    return TAR_BLOCK * (1 + -(-path.stat().st_size // TAR_BLOCK))


if __name__ == "__main__":
    sys.exit(main())
