"""Workers on Ray: what `protocols.Workers` promises, on this machine and on a cluster of two nodes."""

import itertools
import os
import time
from collections.abc import Iterator
from operator import neg
from pathlib import Path

import pytest

from shoptalk.core.errors import AudioError, ClusterError
from shoptalk.integrations import ray_workers
from shoptalk.integrations.ray_workers import RayWorkers

ROOT = Path(__file__).parents[2]


def fail_at_three(item: int) -> int:
    if item == 3:
        raise AudioError("transcript three: the audio is silent")
    return item


def die_once(folder: Path) -> int:
    """End the process the first time, as where memory runs out."""
    mark = folder / "died"
    if not mark.exists():
        mark.write_text("")
        os._exit(1)
    return os.getpid()


def node_and_name(item: int) -> tuple[str, int]:
    import ray

    time.sleep(0.05)
    return ray.get_runtime_context().get_node_id(), item


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of two nodes with a core each; their processes import from here."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        of_each = {"num_cpus": 1, "object_store_memory": ray_workers.STORE_BYTES, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args=of_each)
        started.add_node(num_cpus=1, object_store_memory=ray_workers.STORE_BYTES)
        yield started.address
        started.shutdown()


@pytest.mark.slow
def test_results_come_in_order_from_all_nodes(cluster: str, tmp_path: Path) -> None:
    got = list(RayWorkers(tmp_path, address=cluster).map(node_and_name, range(40), start=os.getpid, arguments=()))
    assert [item for _, item in got] == list(range(40))
    assert len({node for node, _ in got}) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_items_are_drawn_as_they_are_needed(cluster: str, tmp_path: Path) -> None:
    endless = itertools.count()
    results = RayWorkers(tmp_path, address=cluster, count=2).map(neg, endless, start=os.getpid, arguments=())
    assert [next(results) for _ in range(5)] == [0, -1, -2, -3, -4]
    results.close()  # type: ignore[attr-defined]
    assert next(endless) <= 5 + 2 * ray_workers.AHEAD + 2


@pytest.mark.slow
def test_errors_are_as_they_were_raised_and_what_came_before_is_there(cluster: str, tmp_path: Path) -> None:
    results = RayWorkers(tmp_path, address=cluster).map(fail_at_three, range(9), start=os.getpid, arguments=())
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(AudioError, match="^transcript three: the audio is silent$"):
        next(results)


@pytest.mark.slow
def test_a_process_that_ends_is_started_again(cluster: str, tmp_path: Path) -> None:
    (pid,) = RayWorkers(tmp_path, address=cluster, count=1).map(die_once, [tmp_path], start=os.getpid, arguments=())
    assert pid != os.getpid() and (tmp_path / "died").exists()


@pytest.mark.slow
def test_what_a_node_lacks_is_named(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first(workers: RayWorkers) -> object:
        return next(workers.map(neg, [1], start=os.getpid, arguments=()))

    with pytest.raises(ClusterError, match=r"does not have .*noise; mount it on every node"):
        first(RayWorkers(tmp_path, (tmp_path / "noise",), cluster))
    for address, message in (("127.0.0.1:1", "cannot be reached"), ("cluster", "is no address")):
        with pytest.raises(ClusterError, match=f"{address}.* {message}"):
            first(RayWorkers(tmp_path, address=address))
    monkeypatch.setattr(ray_workers, "__version__", "0.0.0")
    with pytest.raises(ClusterError, match=r"this machine has Shoptalk 0\.0\.0 .*recordings would differ"):
        first(RayWorkers(tmp_path, address=cluster))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ray_workers._Here:
    monkeypatch.chdir(tmp_path)
    token = tmp_path / "token"
    token.write_text("seen")
    return ray_workers._Here(tmp_path, token, "seen", (), ray_workers._machine())


def test_a_node_that_does_not_share_the_files_is_refused(here: ray_workers._Here, tmp_path: Path) -> None:
    ray_workers._require_same(here)
    other = ray_workers._Machine(ray_workers.__version__, "riscv64")
    refusals = {
        r"does not have the working folder .*gone; mount it": here._replace(folder=tmp_path / "gone"),
        "does not share the folder": here._replace(content="of another disk"),
        "does not share the folder .*run": here._replace(token=tmp_path / "run" / "token"),
        "does not have .*voices": here._replace(reads=(tmp_path / "voices",)),
        "recordings would differ": here._replace(machine=other),
    }
    for message, setting in refusals.items():
        with pytest.raises(ClusterError, match=message):
            ray_workers._require_same(setting)


def test_nothing_to_do_starts_nothing(tmp_path: Path) -> None:
    workers = RayWorkers(tmp_path / "no-folder", address="127.0.0.1:1")
    assert list(workers.map(neg, [], start=os.getpid, arguments=())) == []
