"""Progress where standard error is no terminal: a line now and then, and one at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shoptalk.core.progress import EVERY_S, SELDOM_S, Lines, counted, progress

SOURCE = Path(__file__).parents[2] / "src"


def test_ten_thousand_items_are_one_line_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(10_000), "speech", total=10_100, done=100)) == list(range(10_000))
    told = capsys.readouterr().err
    assert told.startswith("   speech: 10,100 of 10,100 (100 %) after 0:00:0") and told.count("\n") == 1
    assert "\r" not in told


def test_a_note_stands_behind_the_count_and_silent_work_has_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for silent, lines in ((False, 1), (True, 0)):
        with counted("transcribe", total=2, note=lambda: "1.25 h of audio", silent=silent) as advance:
            advance(2)
        told = capsys.readouterr().err
        assert told.count("\n") == lines and told.endswith("; 1.25 h of audio\n" * lines)


def test_nothing_done_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([], "speech", total=5, done=5)) == []
    assert capsys.readouterr().err == ""


def test_lines_come_more_seldom_the_longer_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = Lines("train", 40_000, 0, clock=lambda: now)
    said_at = []
    for _ in range(36_000):  # ten hours, a step each second
        now += 1
        lines.advance(1)
        if capsys.readouterr().err:
            said_at.append(now)
    gaps = [later - earlier for earlier, later in zip(said_at, said_at[1:], strict=False)]
    assert said_at[0] == EVERY_S and gaps == sorted(gaps) and gaps[-1] == SELDOM_S
    assert len(said_at) < 100
    now += 600
    lines.advance(1)
    assert capsys.readouterr().err == "   train: 36,001 of 40,000 (90 %) after 10:10:00, about 1:07:46 left\n"


def test_work_that_fails_tells_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    def failing() -> object:
        yield 1
        raise ValueError

    with pytest.raises(ValueError):
        list(progress(failing(), "rows", total=None))
    assert capsys.readouterr().err.startswith("   rows: 1 after 0:00:0")


def test_on_a_terminal_it_is_a_bar() -> None:
    program = "from shoptalk.core.progress import progress; list(progress(range(3), 'speech', total=3))"
    termios = pytest.importorskip("termios", reason="no pseudo-terminals here")
    terminal, its_end = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    subprocess.run([sys.executable, "-c", program], stderr=its_end, cwd=SOURCE, check=True)
    os.close(its_end)
    told = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "\r" in told and "3/3" in told


def test_everything_that_takes_long_tells_it_in_this_way() -> None:
    root = SOURCE.parent
    files = [path for folder in ("src", "scripts", "benchmarks") for path in (root / folder).rglob("*.py")]
    importing = {str(path.relative_to(root)) for path in files if "import tqdm" in path.read_text(encoding="utf-8")}
    assert importing == {"src/shoptalk/core/progress.py"}
