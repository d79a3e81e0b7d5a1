"""Workers on Ray: actors of a cluster, or of one that is started on this machine for the while.

They are plain actors, not Ray Data's: `map_batches` reads all items before it begins, hands results on in blocks, and
wraps errors in its own. `protocols.Workers` promises items drawn as they are needed, each result as soon as those
before it are there (what a killed stage has is kept), and errors as they were raised.
"""

import os
import secrets
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from shoptalk import __version__
from shoptalk.core import config, device
from shoptalk.core.errors import ClusterError, MissingToolError
from shoptalk.core.quiet import quiet

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4
"""Items for each actor that are drawn ahead of the results."""
STORE_BYTES = 100 * 2**20
"""Of the shared memory of a cluster on this machine; items and results are small, for audio lies in files."""
REACH_S = 10.0
"""How long a cluster may take to accept a connection."""
RESTARTS = 3
"""Of an actor that ends, or whose node does. What it was at is done again: a recording is whole or absent."""


@dataclass(frozen=True)
class RayWorkers:
    """`protocols.Workers` on Ray. What they read and write lies on a file system that all nodes share."""

    folder: Path
    """Where they write."""
    reads: tuple[Path, ...] = ()
    """What else they read."""
    address: str = ""
    """Of a cluster, as `ray.init` takes it; empty: one is started on this machine, and ends with the work."""
    count: int = 0
    """Actors, each on a core; 0: one for each core of the cluster."""

    def map(
        self, work: Callable[[T], R], items: Iterable[T], *, start: Callable[..., None], arguments: tuple[Any, ...]
    ) -> Iterator[R]:
        """Yield `work(item)` for each item, in order; `start(*arguments)` runs once in each actor before.

        `ClusterError` where the cluster cannot be reached, or a node lacks what the work needs.
        """
        waiting = iter(items)
        first = list(islice(waiting, 1))
        if not first:
            return
        with _cluster(self.address, self.count) as ray, _errors_of(ray), _token(self.folder) as token:
            count = self.count or int(ray.cluster_resources().get("CPU", 0))
            if not count:
                raise ClusterError(f"the Ray cluster {self.address} has no CPU; add nodes, or wait for them")
            here = _Here(Path.cwd(), token, token.read_text(), self.reads, _machine())
            kind = ray.remote(_Actor)
            options = {"num_cpus": 1, "max_restarts": RESTARTS, "max_task_retries": RESTARTS}
            actors = [kind.options(**options).remote(here, work, start, arguments) for _ in range(count)]
            try:
                ray.get([actor.begin.remote() for actor in actors])
                yield from _in_order(ray, actors, chain(first, waiting))
            finally:
                for actor in actors:
                    ray.kill(actor)


class _Machine(NamedTuple):
    """What must be the same on all nodes, or they make other bytes."""

    shoptalk: str
    processor: str


class _Here(NamedTuple):
    """What a node must find as it is where the work is dealt out."""

    folder: Path
    """The working folder, below which relative paths lie."""
    token: Path
    content: str
    reads: tuple[Path, ...]
    machine: _Machine


class _Actor:
    """A process of the cluster; one that was restarted begins anew."""

    def __init__(
        self, here: _Here, work: Callable[[Any], Any], start: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        self._here = here
        self._work = work
        self._start = start
        self._arguments = arguments
        self._has_begun = False

    def begin(self) -> None:
        _require_same(self._here)
        self._start(*self._arguments)
        self._has_begun = True

    def do(self, item: Any) -> Any:
        if not self._has_begun:
            self.begin()
        return self._work(item)


def _machine() -> _Machine:
    own = device.processor()
    vectors = sorted(flag for flag in own.flags if flag.startswith(("avx", "amx", "asimd", "sve")))
    return _Machine(__version__, " ".join([own.architecture, *vectors]))


def _told(machine: _Machine) -> str:
    return f"Shoptalk {machine.shoptalk} on {machine.processor}"


def _require_same(here: _Here) -> None:
    """`ClusterError` for a node that does not share the files, or that would make other bytes."""
    node = os.uname().nodename
    if _machine() != here.machine:
        raise ClusterError(
            f"node {node} has {_told(_machine())}; this machine has {_told(here.machine)}: recordings would differ; "
            "take nodes that are alike"
        )
    cure = "mount it on every node under the same path"
    try:
        os.chdir(here.folder)
    except OSError:
        raise ClusterError(f"node {node} does not have the working folder {here.folder}; {cure}") from None
    try:
        is_shared = here.token.read_text() == here.content
    except OSError:
        is_shared = False
    if not is_shared:
        raise ClusterError(f"node {node} does not share the folder {here.token.parent}; {cure}")
    try:
        tempfile.TemporaryFile(dir=here.token.parent).close()
    except OSError as error:
        raise ClusterError(f"node {node} cannot write to {here.token.parent}: {error.strerror}") from None
    for path in here.reads:
        if not path.exists():
            raise ClusterError(f"node {node} does not have {path}; {cure}")


def _in_order(ray: Any, actors: list[Any], items: Iterable[Any]) -> Iterator[Any]:
    """Deal items to the actor that has the fewest, and yield the results in the order of the items."""
    ahead: deque[Any] = deque()
    pending: list[list[Any]] = [[] for _ in actors]
    for item in items:
        for number, references in enumerate(pending):
            if references:
                pending[number] = ray.wait(references, num_returns=len(references), timeout=0)[1]
        number = min(range(len(actors)), key=lambda place: len(pending[place]))
        reference = actors[number].do.remote(item)
        pending[number].append(reference)
        ahead.append(reference)
        if len(ahead) > AHEAD * len(actors):
            yield ray.get(ahead.popleft())
    while ahead:
        yield ray.get(ahead.popleft())


@contextmanager
def _cluster(address: str, count: int) -> Iterator[Any]:
    """Ray, connected; whoever was connected before stays so."""
    config.preset({"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"})
    try:
        import ray
    except ImportError:
        raise MissingToolError("ray is not installed; run `pip install 'shoptalk[ray]'`") from None
    if ray.is_initialized():
        yield ray
        return
    how: dict[str, Any] = {"address": address}
    if address:
        _require_answer(address)
    else:
        how = {"address": "local", "num_cpus": count or device.cores(), "object_store_memory": STORE_BYTES}
        how["include_dashboard"] = False
    try:
        with quiet():
            ray.init(**how, log_to_driver=False, configure_logging=False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        place = f"the Ray cluster {address}" if address else "Ray on this machine"
        first_line = str(error).strip().partition("\n")[0]
        raise ClusterError(f"{place} cannot be reached: {first_line}; see `ray status`") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """`ClusterError` where nothing answers: Ray itself would go on trying for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and host and port.isdecimal()):
        if address == "auto":
            return
        raise ClusterError(f"corpus.ray_address: {address!r} is no address; write auto, HOST:6379 or ray://HOST:10001")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"the Ray cluster {address} cannot be reached ({error}); see `ray status` there") from None


@contextmanager
def _errors_of(ray: Any) -> Iterator[None]:
    """What an actor raised, as it was raised; what Ray raises itself, by name."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ClusterError(
            f"Ray lost a worker ({type(error).__name__}: {first_line}); run the same command again, "
            "what is made is kept"
        ) from None


@contextmanager
def _token(folder: Path) -> Iterator[Path]:
    """A file in the folder that only those see who share it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / f".ray-{secrets.token_hex(8)}"
    path.write_text(secrets.token_hex(16))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
