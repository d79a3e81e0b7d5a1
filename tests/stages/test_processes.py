import os
import signal
import subprocess
import sys
import time
from operator import neg
from pathlib import Path

import pytest

from shoptalk.stages.processes import Processes


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    got = list(Processes(workers).map(neg, iter(range(40)), start=os.getpid, arguments=()))
    assert got == [-number for number in range(40)]


def test_an_error_in_a_process_reaches_the_caller() -> None:
    with pytest.raises(TypeError):
        list(Processes(2).map(neg, ["x"], start=os.getpid, arguments=()))


SLOW_WORK = """
import os, time
from shoptalk.stages.processes import Processes
def work(item):
    time.sleep(0.2)
    return os.getpid()
if __name__ == "__main__":
    for number in Processes(2).map(work, range(1000), start=os.getpid, arguments=()):
        print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up as on Linux")
def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow_work.py").write_text(SLOW_WORK)
    source = str(Path(__file__).parents[2] / "src")
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "slow_work.py")],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip
    assert parent.stdout
    workers = {int(parent.stdout.readline()) for _ in range(6)}
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 20
    while any(_runs(worker) for worker in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_runs(worker) for worker in workers)


def _runs(process: int) -> bool:
    """Whether a process is there and no zombie, which a container without an init may leave."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
