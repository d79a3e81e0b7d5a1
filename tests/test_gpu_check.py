"""The check for a GPU machine: nothing known is lost, its limits add up, and a canned run makes results and tables."""

import ctypes
import importlib.metadata
import json
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from scripts import paste_docs
from scripts.gpu import check, closure, kit, report
from scripts.gpu.check import Step
from scripts.gpu.record import Record, Setting

STARTED = "import json, sys, time, os; open(sys.argv[1], 'w').write(json.dumps({'first': {'passed': True}})); "
ENDS = {
    "whole": "",
    "crashed": "os._exit(3)",
    "killed": "os.kill(os.getpid(), 9)",
    "hung": "time.sleep(60)",
    "late": "print('the card is lost'); sys.exit(1)",
}


def run(names: list[str], out: Path, **keys: Any) -> dict[str, Any]:
    """The results of steps that are small programs of `ENDS`."""
    steps = [Step(name, "none", 2.0 if name == "hung" else 20.0, name) for name in names]

    def command(step: Step, part: Path) -> list[str]:
        return [sys.executable, "-S", "-c", STARTED + ENDS[step.name], str(part)]

    check.run_all(steps, Setting(rehearsed=False), out, device="Some GPU", command=command, **keys)
    result: dict[str, Any] = json.loads((out / check.RESULT).read_text())
    return result


def test_a_step_that_crashes_or_hangs_loses_nothing(tmp_path: Path) -> None:
    result = run(["crashed", "killed", "hung", "late", "whole"], tmp_path)
    assert {name: step["passed"] for name, step in result["steps"].items()} == {
        "crashed": False, "killed": False, "hung": False, "late": False, "whole": True,
    }  # fmt: skip
    assert all(step["parts"] == {"first": {"passed": True}} for step in result["steps"].values())
    errors = {name: step["error"] for name, step in result["steps"].items()}
    assert "status 3" in errors["crashed"] and "status -9" in errors["killed"]
    assert "ended after 2 s" in errors["hung"] and "the card is lost" in errors["late"]
    assert "the card is lost" in (tmp_path / check.LOG).read_text()


def test_what_is_known_is_there_while_a_step_runs(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def clock() -> float:
        if (tmp_path / check.RESULT).is_file():
            seen.append(json.loads((tmp_path / check.RESULT).read_text()))
        return float(len(seen))

    run(["whole", "late"], tmp_path, clock=clock)
    assert any(list(result["steps"]) == ["whole"] and result["steps"]["whole"]["passed"] for result in seen)
    assert any(result["steps"].get("late", {}).get("error") == "it did not end" for result in seen)


def test_steps_wait_for_their_turn(tmp_path: Path) -> None:
    """Processes are started ahead, and none works before the one before it has ended."""
    program = (
        "import json, sys, time; go = sys.stdin.readline(); began = time.time(); time.sleep(0.2); "
        "open(sys.argv[1], 'w').write(json.dumps({'first': {'passed': go == 'go\\n', 'at': [began, time.time()]}}))"
    )
    steps = [Step(str(number), "none", 20.0, "waits") for number in range(6)]

    def command(step: Step, part: Path) -> list[str]:
        return [sys.executable, "-S", "-c", program, str(part)]

    assert check.run_all(steps, Setting(rehearsed=False), tmp_path, device="Some GPU", command=command) == 0
    result = json.loads((tmp_path / check.RESULT).read_text())
    times = [time for step in result["steps"].values() for time in step["parts"]["first"]["at"]]
    assert len(times) == 12 and times == sorted(times)


def test_without_time_a_step_is_told_and_not_started(tmp_path: Path) -> None:
    times = iter([0.0, check.LONGEST_S, check.LONGEST_S, check.LONGEST_S])
    result = run(["whole"], tmp_path, clock=lambda: next(times))
    assert result["steps"]["whole"]["error"] == "there was no time left for it"


def test_the_limits_add_up_to_eight_minutes_at_most() -> None:
    assert check.LONGEST_S <= 8 * 60
    assert sum(step.limit_s for step in check.STEPS) + check.SPARE_S <= check.LONGEST_S
    page = (kit.ROOT / "docs/gpu.md").read_text(encoding="utf-8")
    for step in check.STEPS:
        assert f"| `{step.name}` | {step.limit_s:g} |" in page


def test_a_part_that_fails_leaves_the_next_one_to_run(tmp_path: Path) -> None:
    record = Record(tmp_path / "step.json", clock=lambda: 0.0)
    record.part("bad", lambda: 1 / 0)
    record.part("good", lambda: {"words": 3})
    assert json.loads((tmp_path / "step.json").read_text()) == {
        "bad": {"passed": False, "error": "ZeroDivisionError: division by zero", "seconds": 0.0},
        "good": {"passed": True, "figures": {"words": 3}, "seconds": 0.0},
    }


def test_without_a_gpu_it_says_what_to_do() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(SystemExit, match="NoCudaDevice.*--rehearse"):
        check.device_name(Setting(rehearsed=False))


def canned(*, device: str | None, failing: str = "") -> dict[str, Any]:
    """A run whose paths are each twice as fast as the one before; one part of `settings` may have failed."""
    paths = {
        name: {"inner": {"1": 10.0 * 2**place, "8": None}, "outer": {}, "latency_ms": {"median": 3.25, "p95": 4.0}}
        for place, name in enumerate(("plain", "looping", "graphs", "triton", "fused"))
    }
    figures = {"device": device, "torch": "2.11.0", "date": "2026-01-01", "commit": "c", "paths": paths, "absent": {}}
    parts = {name for candidate in report.CANDIDATES for name in candidate.parts}
    settings = {name: {"passed": name != failing} for name in sorted(parts)}
    training = {"batches": {"16": {"audio_hours_per_hour": 6100.4, "peak_gib": 20.0}, "64": None}}
    steps = {
        "settings": {"passed": not failing, "parts": settings},
        "kernels": {"passed": True, "parts": {}},
        "speed": {"passed": True, "parts": {"figures": {"passed": True, "figures": figures}}},
        "training_speed": {
            "passed": False,
            "parts": {
                "ours": {"passed": True, "figures": training},
                "transformers": {"passed": False, "error": "TypeError: no"},
            },
        },
    }
    whole = {name: {"seconds": 1.5, "error": "", **step} for name, step in steps.items()}
    head = {"command": "scripts/gpu_check.sh", "date": "2026-01-01", "commit": "c", "rehearsed": device is None}
    return {**head, "device": device, "steps": whole}


def reported(run: dict[str, Any], folder: Path) -> list[str]:
    """The names of the files that a report writes below `folder`."""
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out" / check.RESULT).write_text(json.dumps(run))
    assert report.write([folder / "out"], root=folder) == 0
    return sorted(path.name for path in (folder / "results").iterdir())


def test_a_run_on_a_gpu_makes_results_and_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(canned(device="Some GPU", failing="swapped_weights"), tmp_path) == [
        "engine_gpu.json", "gpu_check.json", "training_gpu.json",
    ]  # fmt: skip
    result = json.loads((tmp_path / report.CHECK).read_text())
    assert (result["rehearsed"], result["device"]) == (False, "Some GPU")
    assert result["steps"]["speed"] == {"passed": True, "seconds": 1.5}
    printed = capsys.readouterr().out
    assert "engine.fused_kernels may be on by default" in printed
    assert "engine.cuda_graphs stays off: `swapped_weights` did not pass" in printed
    shown = paste_docs.speed_table(json.loads((tmp_path / report.ENGINE).read_text())).splitlines()
    assert shown[0] == "Some GPU, torch 2.11.0, 2026-01-01:"
    assert "| all kernels, bf16 | 3.25 | 160 |  |" in shown
    trained = paste_docs.training_table(json.loads((tmp_path / report.TRAINING).read_text()))
    assert "| ours | 16 | 6,100 | 20.0 |" in trained and "| ours | 64 | memory does not suffice |  |" in trained
    assert "| transformers |  | did not run: TypeError: no |  |" in trained


def test_a_later_run_leaves_what_it_does_not_measure(tmp_path: Path) -> None:
    first, second = canned(device="Some GPU"), canned(device="Some GPU")
    for name in ("settings", "training_speed"):
        del second["steps"][name]
    second["commit"] = "d"
    figures = second["steps"]["speed"]["parts"]["figures"]["figures"]
    figures["paths"] = {"fused": {"inner": {"1": 99.0, "8": 640.0}, "outer": {}, "latency_ms": {"median": 2.0}}}
    for place, run in enumerate((first, second)):
        (tmp_path / str(place)).mkdir()
        (tmp_path / str(place) / check.RESULT).write_text(json.dumps(run))
    for _ in range(2):  # a report of the same runs changes nothing
        assert report.write([tmp_path / "0", tmp_path / "1"], root=tmp_path) == 0
        result = json.loads((tmp_path / report.CHECK).read_text())
        assert [*result["steps"]] == ["settings", "kernels", "speed", "training_speed"] and len(result["runs"]) == 2
        engine = json.loads((tmp_path / report.ENGINE).read_text())
        assert engine["paths"]["fused"]["inner"]["1"] == 99.0 and [*engine["paths"]] == ["fused"]
        assert sorted(engine["earlier_run"]["paths"]) == ["graphs", "looping", "plain", "triton"]
        assert (tmp_path / report.TRAINING).is_file()
    shown = paste_docs.speed_table(engine)
    assert (
        "| all kernels, bf16 | 2 | 99 | 640 |" in shown and "| graphs and device decoding ¹ | 3.25 | 40 |  |" in shown
    )


def test_commits_that_a_run_could_not_tell_are_given(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / check.RESULT).write_text(json.dumps(canned(device="Some GPU")))
    assert report.write([tmp_path / "out"], root=tmp_path, commits=["abc"]) == 0
    for name in (report.CHECK, report.ENGINE, report.TRAINING):
        assert json.loads((tmp_path / name).read_text())["commit"] == "abc"
    assert report.write([tmp_path / "out"], root=tmp_path, commits=["abc", "def"]) == 1


def test_tests_of_the_kernels_that_fail_keep_all_off() -> None:
    run = canned(device="Some GPU")
    fused = next(candidate for candidate in report.CANDIDATES if candidate.setting == "fused_kernels")
    for error, reason in (("it did not end", ""), ("2 failed", "tests of the kernels failed")):
        run["steps"]["kernels"] = {"passed": False, "parts": {"pytest": {"passed": False, "error": error}}}
        assert report.why_not(fused, run) == reason


def test_a_folder_whose_files_are_not_those_of_its_commit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "ROOT", tmp_path)
    assert check.commit() == "unknown"
    for folder in check.MEASURED:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("before")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    assert len(check.commit()) == 40
    (tmp_path / "src/file").write_text("after")
    assert check.commit().endswith(check.CHANGED)


def test_a_run_on_another_card_stands_alone(tmp_path: Path) -> None:
    runs = [canned(device="Some GPU"), canned(device="Other GPU")]
    del runs[1]["steps"]["training_speed"]
    whole = report.merged(runs)
    assert "training_speed" not in whole["steps"] and "runs" not in whole


def test_a_step_that_was_not_begun_says_nothing_of_it() -> None:
    runs = [canned(device="Some GPU"), canned(device="Some GPU")]
    before = runs[0]["steps"]["training_speed"]
    runs[1]["steps"]["training_speed"] = {"passed": False, "seconds": 0.0, "error": check.NO_TIME, "parts": {}}
    assert report.merged(runs)["steps"]["training_speed"] == before


def test_a_rehearsal_measures_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(canned(device=None), tmp_path) == ["gpu_check.json"]
    assert json.loads((tmp_path / report.CHECK).read_text())["device"] is None
    assert "may be on by default" not in capsys.readouterr().out


def test_a_later_rehearsal_leaves_what_a_gpu_did(tmp_path: Path) -> None:
    reported(canned(device="Some GPU"), tmp_path)
    rehearsal = canned(device=None)
    rehearsal["steps"]["training_speed"]["passed"] = True
    reported(rehearsal, tmp_path)
    result = json.loads((tmp_path / report.CHECK).read_text())
    assert (result["rehearsed"], result["device"]) == (True, "Some GPU")
    assert not result["steps"]["training_speed"]["passed"]


def test_without_a_run_the_report_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.write([tmp_path], root=tmp_path) == 1
    assert "run scripts/gpu_check.sh first" in capsys.readouterr().out


def test_a_slower_path_stays_off() -> None:
    slow = canned(device="Some GPU")
    slow["steps"]["speed"]["parts"]["figures"]["figures"]["paths"]["fused"]["inner"] = {"1": 5.0}
    assert "`fused` is no faster than `graphs`" in "\n".join(report.advice(slow))


def test_the_kit_has_what_is_needed_and_not_there() -> None:
    have = kit.names_of("# a comment\nNumPy==2.5.2\nhuggingface_hub @ file:///x\nrich\n")
    assert have == {"numpy", "huggingface-hub", "rich"}
    pins = {"av": "18", "rich": "1", **dict.fromkeys(kit.CARRIED, "3")}
    carried = [f"{name}==3" for name in kit.CARRIED]
    assert kit.missing(["av", "rich", "torch"], have, pins) == sorted(["av==18", *carried])
    with pytest.raises(SystemExit, match="no requirements/.*lock: unheard-of"):
        kit.missing(["unheard-of"], have, pins)


def test_whatever_the_check_imports_is_pinned_for_the_kit_or_on_the_machine() -> None:
    """Also what functions import when they are called; only what `NOT_RUN` names is left out."""
    program = (
        "import importlib; from scripts.gpu import closure; "
        "[importlib.import_module(module) for module in closure.MODULES]; "
        "print(*closure.named(closure.own_files()))"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=kit.ROOT, capture_output=True, text=True, check=True)
    packages = set(told.stdout.splitlines()[-1].split())
    assert {"av", "cryptography", "fastapi", "nemo", "torch"} <= packages and "sqlalchemy" not in packages
    there = kit.names_of(kit.HAVE.read_text(encoding="utf-8")) | set(kit.pinned(kit.ROOT)) | {"torch"}
    distributions = importlib.metadata.packages_distributions()
    unknown = [name for name in packages if not {closure.normalised(d) for d in distributions[name]} & there]
    assert not unknown


def test_imports_of_functions_count_and_those_of_types_do_not(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import os\nfrom typing import TYPE_CHECKING\nfrom . import b\nimport shoptalk.core\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "def load():\n    from av.audio import frame\n    import sqlalchemy\n"
    )
    assert closure.named(iter([tmp_path / "a.py"])) == {"av"}


def test_a_kit_that_lacks_a_package_is_told() -> None:
    assert kit.absent_from(["av==18", "rich==1"], ["av", "cryptography", "numpy", "torch"], {"numpy"}) == [
        "cryptography"
    ]


def test_files_count_as_tar_counts_them(tmp_path: Path) -> None:
    for number, size in enumerate((0, 1, 512, 513, 5000)):
        (tmp_path / f"{number}").write_bytes(bytes(size))
    files = sorted(tmp_path.iterdir())
    with tarfile.open(tmp_path / "all.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for path in files:
            archive.add(path, path.name)
        assert archive.offset == sum(map(kit.tar_bytes, files))


def test_every_package_of_the_kit_is_pinned() -> None:
    pins = kit.pinned(kit.ROOT)
    assert set(kit.CARRIED) <= set(pins)
    assert len(kit.names_of(kit.HAVE.read_text(encoding="utf-8"))) > 100
    assert pins["numpy"].startswith("2.")


def test_symbols_are_zeroed_and_nothing_else() -> None:
    """A library of three sections: loaded code, symbols, and the sections' names."""
    code, symbols, names = b"\x90" * 16, b"\x55" * 24, b"\x66" * 8
    table = 64 + len(code) + len(symbols) + len(names)
    header = bytearray(64)
    header[:5] = b"\x7fELF\x02"
    struct.pack_into("<Q", header, 0x28, table)
    struct.pack_into("<HHH", header, 0x3A, 64, 3, 2)
    sections = b""
    offset = 64
    for content, flags, kind in ((code, kit.SHF_ALLOC, 1), (symbols, 0, 2), (names, 0, 3)):
        sections += struct.pack("<IIQQQQ24x", 0, kind, flags, 0, offset, len(content))
        offset += len(content)
    library = bytes(header) + code + symbols + names + sections
    assert kit.without_symbols(library) == bytes(header) + code + bytes(24) + names + sections
    assert kit.without_symbols(b"text") == b"text"


def test_a_library_without_code_still_loads_and_its_functions_return(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler here")
    if platform.machine() != "x86_64":
        pytest.skip("the kit is for x86-64")
    source, library = tmp_path / "a.c", tmp_path / "a.so"
    source.write_text("int calls; int ones(void) { calls++; return 1; } const int kept = 7;")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    library.write_bytes(kit.without_code(library.read_bytes()))
    loaded = ctypes.CDLL(str(library))
    loaded.ones()
    assert ctypes.c_int.in_dll(loaded, "calls").value == 0
    assert ctypes.c_int.in_dll(loaded, "kept").value == 7


def test_a_hundred_recordings_are_chosen() -> None:
    lines = (kit.ROOT / "assets/general/test.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = kit.choose_recordings(lines)
    assert len(set(chosen)) == kit.RECORDINGS
    assert all((kit.ROOT / "assets/general" / json.loads(line)["audio_filepath"]).suffix == ".opus" for line in chosen)
