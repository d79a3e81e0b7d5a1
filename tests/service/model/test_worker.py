"""A model in a process of its own: what happens to recordings when the process, the client or the recording goes wrong.

The recogniser is a fake that needs no model, in a real process.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.model import fake_recognizer
from tests.service.model.fake_recognizer import (
    CANNOT_GO_ON,
    FINE,
    HANGS,
    KILLS,
    LACKS_MEMORY,
    RAISES,
    clip,
    words_of,
)

from shoptalk.core.errors import ModelError
from shoptalk.core.protocols import Options, Phrase
from shoptalk.core.records import Recognition, Word
from shoptalk.service.model import worker as worker_module
from shoptalk.service.model.memory import SharedSamples, mapped
from shoptalk.service.model.messages import BatchFigures, Batching
from shoptalk.service.model.work import Work
from shoptalk.service.model.worker import WorkerModel
from shoptalk.service.problems import Problem

SOON = Batching(windows=8, aim_s=0.1)
ONE = Batching(windows=1)
"""With which a slow model is warm sooner."""
T = TypeVar("T")


@asynccontextmanager
async def worker(second_s: float = 0.0, batching: Batching = SOON, **options: Any) -> AsyncIterator[WorkerModel]:
    """A model that takes `second_s` for a second of audio; at the end no memory is left behind, anywhere."""
    before = named_memory()
    model = WorkerModel("model", partial(fake_recognizer.opening, second_s), batching=batching, **options)
    await model.start()
    try:
        yield model
    finally:
        await model.stop()
    await until(lambda: audio_held_by("self") == 0 and named_memory() <= before)


class Steady:
    """A worker that several tests use one after the other: none of them makes it die."""

    def __init__(self) -> None:
        self.figures: list[BatchFigures] = []
        self.model = WorkerModel(
            "steady", partial(fake_recognizer.opening, 0.0005), batching=SOON, observe=self.figures.append
        )
        self.loop = asyncio.Runner()
        self.loop.run(self.model.start())

    def run(self, test: Callable[[WorkerModel], Coroutine[Any, Any, T]]) -> T:
        """What a test returns; the worker holds no audio when it is over, and is the same process."""
        self.figures.clear()
        pid = self.model.pid

        async def whole() -> T:
            result = await test(self.model)
            await until(lambda: audio_held_by(pid) == 0 and audio_held_by("self") == 0)
            return result

        result = self.loop.run(whole())
        assert self.model.pid == pid and self.model.statistics().restarts == 0
        return result

    @property
    def audio_s(self) -> float:
        """Of all batches of this test."""
        return sum(batch.audio_s for batch in self.figures)


@pytest.fixture(scope="module")
def steady() -> Iterator[Steady]:
    own = Steady()
    yield own
    own.loop.run(own.model.stop())
    own.loop.close()


def named_memory() -> set[str]:
    """Blocks of shared memory that have a name."""
    return {name for name in os.listdir("/dev/shm") if name.startswith("psm_")}


def audio_held_by(process: object) -> int:
    """So many blocks of audio a process has open or mapped."""
    held = sum("shoptalk-audio" in line for line in Path(f"/proc/{process}/maps").read_text().splitlines())
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            held += "shoptalk-audio" in os.readlink(descriptor)
        except OSError:
            continue  # it was that of the listing
    return held


def pid_of(model: WorkerModel) -> int:
    assert model.pid is not None
    return model.pid


async def text_or_code(model: WorkerModel, work: Work) -> str:
    """What a client gets."""
    try:
        return (await model.transcribe(work)).text
    except Problem as problem:
        return problem.code


async def until(condition: Callable[[], bool], *, most_s: float = 60.0) -> None:
    end_s = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


# ---- recordings that go well


def test_sixty_four_at_once_of_any_length_get_their_own_words_in_order(steady: Steady) -> None:
    lengths_s = [0.0, 0.01, 1.0, 7.0, 29.9, 30.1, 45.0, 600.0, *(1.1 + 0.5 * number for number in range(56))]
    told: dict[float, list[Word]] = {length_s: [] for length_s in lengths_s}

    async def run(model: WorkerModel) -> list[Recognition]:
        works = [
            Work(clip(length_s), caller=f"{number % 3}", on_words=told[length_s].extend)
            for number, length_s in enumerate(lengths_s)
        ]
        return await asyncio.gather(*map(model.transcribe, works))

    recognitions = steady.run(run)
    assert [recognition.text for recognition in recognitions] == [words_of(length_s) for length_s in lengths_s]
    for length_s, words in told.items():
        assert " ".join(word.word for word in words) == words_of(length_s)


def test_each_batch_is_told_in_figures(steady: Steady) -> None:
    lengths_s = [5.0 + 2 * number for number in range(20)]
    before = steady.model.statistics()

    async def run(model: WorkerModel) -> None:
        await asyncio.gather(*(model.transcribe(Work(clip(length_s))) for length_s in lengths_s))

    steady.run(run)
    after = steady.model.statistics()
    windows = sum(len(words_of(length_s).split()) for length_s in lengths_s)
    assert after.windows - before.windows == windows == sum(batch.windows for batch in steady.figures)
    assert after.under_way == after.waiting == 0 and after.real_time_factor
    assert max(batch.windows for batch in steady.figures) > 1
    for batch in steady.figures:
        assert batch.windows == len(batch.waited_s) and min(batch.waited_s) >= 0
        assert batch.audio_s <= batch.padded_s and batch.seconds > 0


def test_a_clip_does_not_wait_for_long_recordings(steady: Steady) -> None:
    order: list[str] = []

    async def run(model: WorkerModel) -> None:
        async def noted(name: str, seconds: float) -> None:
            await model.transcribe(Work(clip(seconds)))
            order.append(name)

        long = [asyncio.create_task(noted("long", 600.0)) for _ in range(3)]
        await until(lambda: len(steady.figures) > 2)
        await noted("clip", 7.0)
        assert order == ["clip"]
        await asyncio.gather(*long)

    steady.run(run)


def test_a_recognition_that_nobody_waits_for_is_dropped(steady: Steady) -> None:
    async def run(model: WorkerModel) -> None:
        long = asyncio.create_task(model.transcribe(Work(clip(6000.0))))
        await until(lambda: len(steady.figures) > 0)
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
        assert model.statistics().under_way == 0
        assert (await model.transcribe(Work(clip(2.0)))).text == words_of(2.0)

    steady.run(run)
    assert steady.audio_s < 3000


def test_time_that_runs_out_is_told_and_costs_no_more(steady: Steady) -> None:
    async def run(model: WorkerModel) -> None:
        late = [text_or_code(model, Work(clip(2000.0), within_s=0.3)) for _ in range(3)]
        assert await asyncio.gather(*late) == ["timeout"] * 3
        assert await text_or_code(model, Work(clip(1.0), within_s=-1.0)) == "timeout"
        assert await text_or_code(model, Work(clip(2.0))) == words_of(2.0)

    steady.run(run)
    assert steady.audio_s < 3000


def test_background_work_waits_for_all_other(steady: Steady) -> None:
    order: list[str] = []

    async def run(model: WorkerModel) -> None:
        async def noted(name: str, work: Work) -> None:
            await model.transcribe(work)
            order.append(name)

        await asyncio.gather(
            noted("client", Work(clip(100.0))),
            *(noted("background", Work(clip(25.0), background=True)) for _ in range(8)),
            *(noted("client", Work(clip(26.0))) for _ in range(8)),
        )

    steady.run(run)
    assert order[-7:] == ["background"] * 7, "one batch may have begun before any client came"


# ---- recordings that go wrong


def test_a_recording_that_cannot_be_transcribed_spoils_no_other(steady: Steady) -> None:
    wrong = {RAISES: "recognition_failed", LACKS_MEMORY: "out_of_memory", CANNOT_GO_ON: "recognition_failed"}
    works = [Work(clip(5.0, does)) for does in (FINE, *wrong)] + [Work(clip(5.0))] * 8
    unspellable = Work(clip(5.0), Options(phrases=(Phrase("unspellable"),)))

    async def run(model: WorkerModel) -> list[str]:
        return await asyncio.gather(*(text_or_code(model, work) for work in (*works, unspellable)))

    assert steady.run(run) == [words_of(5.0), *wrong.values(), *[words_of(5.0)] * 8, "invalid_phrase"]


def test_a_recording_that_kills_the_worker_is_refused_and_takes_no_other_with_it() -> None:
    async def run() -> None:
        async with worker() as model:
            works = [Work(clip(5.0, KILLS if number == 5 else FINE)) for number in range(16)]
            answers = await asyncio.gather(*(text_or_code(model, work) for work in works))
            assert answers.pop(5) == "recording_refused"
            assert answers == [words_of(5.0)] * 15
            assert model.statistics().restarts == 2

    asyncio.run(run())


def test_a_recording_that_hangs_is_ended_and_the_others_are_answered() -> None:
    async def run() -> None:
        async with worker(patience_s=0.5) as model:
            works = [Work(clip(0.1, HANGS)), *[Work(clip(0.1)) for _ in range(7)]]
            answers = await asyncio.gather(*(text_or_code(model, work) for work in works))
            assert answers == ["recording_refused", *[words_of(0.1)] * 7]

    asyncio.run(run())


# ---- a worker that goes wrong


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_under_load_is_replaced_and_nothing_is_lost(signal_number: int) -> None:
    told: list[list[Word]] = [[] for _ in range(24)]

    async def run() -> None:
        async with worker(0.001) as model:
            works = [Work(clip(20.0 + 2 * number), on_words=told[number].extend) for number in range(24)]
            pending = [asyncio.create_task(model.transcribe(work)) for work in works]
            await until(lambda: model.statistics().batches > 2)
            os.kill(pid_of(model), signal_number)
            await until(lambda: not model.ready)
            await until(lambda: model.ready)
            recognitions = await asyncio.gather(*pending)
            for work, recognition, words in zip(works, recognitions, told, strict=True):
                assert recognition.text == words_of(work.samples_T.size / 16_000)
                assert " ".join(word.word for word in words) == recognition.text, "no word is handed out twice"
            assert model.statistics().restarts == 1

    asyncio.run(run())


def test_a_worker_that_was_stopped_by_a_debugger_say_is_replaced() -> None:
    async def run() -> None:
        async with worker(patience_s=0.5) as model:
            os.kill(pid_of(model), signal.SIGSTOP)
            assert await text_or_code(model, Work(clip(1.0))) == words_of(1.0)
            assert model.statistics().restarts == 1

    asyncio.run(run())


def test_time_in_which_the_service_stood_still_counts_for_nobody() -> None:
    async def run() -> None:
        async with worker(second_s=0.3, patience_s=1.5) as model:
            pid = pid_of(model)
            for within_s in (2.5, 60.0):
                asked = asyncio.create_task(model.transcribe(Work(clip(1.0), within_s=within_s)))
                await asyncio.sleep(0.1)
                os.kill(pid, signal.SIGSTOP)
                time.sleep(4.0)
                os.kill(pid, signal.SIGCONT)
                assert (await asked).text == words_of(1.0)
                assert model.pid == pid and model.statistics().restarts == 0

    asyncio.run(run())


def test_a_recording_that_cannot_be_mapped_is_refused_and_the_worker_stays() -> None:
    async def run() -> None:
        async with worker() as model:
            pid = pid_of(model)
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            limits = resource.prlimit(pid, resource.RLIMIT_AS)
            resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**25, limits[1]))
            codes = await asyncio.gather(*(text_or_code(model, Work(clip(s))) for s in (1800.0, 1.0, 1800.0)))
            assert codes == ["out_of_memory", words_of(1.0), "out_of_memory"]
            resource.prlimit(pid, resource.RLIMIT_AS, limits)
            assert await text_or_code(model, Work(clip(1800.0))) == words_of(1800.0)
            assert model.pid == pid and model.statistics().restarts == 0

    asyncio.run(run())


def test_signals_to_the_whole_group_leave_the_worker_to_finish() -> None:
    async def run() -> None:
        async with worker(0.001) as model:
            pending = asyncio.create_task(model.transcribe(Work(clip(100.0))))
            await until(lambda: model.statistics().batches > 0)
            for signal_number in (signal.SIGINT, signal.SIGTERM):
                os.kill(pid_of(model), signal_number)
            assert (await pending).text == words_of(100.0) and model.statistics().restarts == 0

    asyncio.run(run())


def test_a_worker_that_dies_again_and_again_is_started_ever_later_and_work_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MOST_BACK_OFF_S", 0.2)

    async def run() -> None:
        mark = tmp_path / "opened"
        model = WorkerModel("model", partial(fake_recognizer.opening_once, str(mark)), batching=SOON)
        await model.start()
        pending = asyncio.create_task(text_or_code(model, Work(clip(5.0, HANGS))))
        await until(lambda: model.statistics().under_way == 1)
        await asyncio.sleep(0.1)
        os.kill(pid_of(model), signal.SIGKILL)
        assert await pending == "not_ready"
        assert not model.ready and await text_or_code(model, Work(clip(5.0))) == "not_ready"
        mark.unlink()
        await until(lambda: model.ready, most_s=15)
        assert await text_or_code(model, Work(clip(5.0))) == words_of(5.0)
        await model.stop()

    asyncio.run(run())


def test_the_error_of_an_opening_reaches_whoever_starts_the_model() -> None:
    async def run(opening: Any, expected: str) -> None:
        model = WorkerModel("model", opening)
        with pytest.raises(ModelError, match=expected):
            await model.start()
        assert not model.ready and await text_or_code(model, Work(clip(1.0))) == "not_ready"
        await model.stop()

    asyncio.run(run(fake_recognizer.refusing, "no such bundle"))
    asyncio.run(run(fake_recognizer.breaking, "died while it started"))


# ---- the end


def test_a_drained_model_answers_what_it_took_and_takes_no_more() -> None:
    async def run() -> None:
        async with worker(0.001) as model:
            taken = [asyncio.create_task(text_or_code(model, Work(clip(100.0)))) for _ in range(3)]
            await until(lambda: model.statistics().under_way == 3)
            draining = asyncio.create_task(model.drain())
            await asyncio.sleep(0)
            assert await text_or_code(model, Work(clip(1.0))) == "not_ready"
            await draining
            assert [task.result() for task in taken] == [words_of(100.0)] * 3

    asyncio.run(run())


def test_a_model_that_is_stopped_tells_all_who_wait_and_its_process_ends() -> None:
    async def run() -> None:
        async with worker(0.01, ONE) as model:
            taken = [asyncio.create_task(text_or_code(model, Work(clip(500.0)))) for _ in range(3)]
            await until(lambda: model.statistics().under_way == 3)
            pid = pid_of(model)
            await model.stop()
            assert await asyncio.gather(*taken) == ["not_ready"] * 3
            assert is_gone(pid)

    asyncio.run(run())


FRONT = """
import asyncio, sys
from functools import partial
from tests.service.model import fake_recognizer
from tests.service.model.fake_recognizer import clip
from shoptalk.service.model.messages import Batching
from shoptalk.service.model.work import Work
from shoptalk.service.model.worker import WorkerModel

async def main():
    model = WorkerModel("model", partial(fake_recognizer.opening, 0.01), batching=Batching(windows=1))
    await model.start()
    works = [asyncio.create_task(model.transcribe(Work(clip(500.0)))) for _ in range(3)]
    while not model.statistics().batches:
        await asyncio.sleep(0.01)
    print(model.pid, flush=True)
    await asyncio.gather(*works)

asyncio.run(main())
"""


def test_no_worker_and_no_memory_outlive_a_front_process_that_is_killed() -> None:
    before = named_memory()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-c", textwrap.dedent(FRONT)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as front:
        assert front.stdout is not None
        pid = int(front.stdout.readline())
        assert audio_held_by(pid) > 0
        front.kill()
    asyncio.run(until(lambda: is_gone(pid)))
    assert named_memory() <= before


# ---- memory


@given(st.lists(st.floats(-1, 1, width=32), max_size=300), st.booleans())
@settings(max_examples=30, deadline=None)
def test_samples_arrive_as_they_are_and_leave_nothing(values: Sequence[float], strided: bool) -> None:
    samples_T = np.array(values, np.float32)[:: 2 if strided else 1]
    shared = SharedSamples(samples_T)
    arrived_T = mapped(os.dup(shared.descriptor), shared.size)
    assert np.array_equal(arrived_T, samples_T) and arrived_T.dtype == np.float32
    if arrived_T.size:
        arrived_T[0] = 2.0  # its own: the other side sees nothing of it
        assert np.array_equal(mapped(os.dup(shared.descriptor), shared.size), samples_T)
    del shared, arrived_T
    assert audio_held_by("self") == 0


def test_where_memory_has_no_nameless_kind_its_name_goes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = named_memory()
    monkeypatch.delattr(os, "memfd_create")
    samples_T = np.arange(1000, dtype=np.float32)
    shared = SharedSamples(samples_T)
    assert named_memory() <= before
    assert np.array_equal(mapped(os.dup(shared.descriptor), shared.size), samples_T)
