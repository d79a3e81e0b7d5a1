"""Several models: names, readiness for each, swaps under load, the golden recording, and the challenger's shadow."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.service.model.fakes import FakeSource, FakeWorker, text_of, until, work

from shoptalk.core.errors import ModelError, ShoptalkError, WrongModelError
from shoptalk.service.model.golden import Golden
from shoptalk.service.model.models import OPENAI_NAMES, Models
from shoptalk.service.model.served import State
from shoptalk.service.model.shadow import ShadowReport
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

BASE, TUNED = Path("base-v1"), Path("tuned-v1")
SECRET = "the patient takes metformin"


def models(
    source: FakeSource, *, on_started: Callable[[ShoptalkError | None], None] | None = None, **settings: Any
) -> Models:
    options = Settings(**{"golden_every_s": 0, **settings})
    rng = np.random.default_rng(7)
    return Models({"base": BASE, "tuned": TUNED}, source, options, rng=rng)


@asynccontextmanager
async def started(source: FakeSource, **settings: Any) -> AsyncIterator[Models]:
    served = models(source, **settings)
    served.start()
    await until(lambda: all(report.state != State.STARTING for report in served.report()))
    try:
        yield served
    finally:
        await served.stop()
        assert all(worker.stopped for worker in source.workers)


def golden(path: Path, *, max_wer: float = 0.3) -> Golden:
    return Golden(work(2.0).samples_T, text_of(path, 2.0), max_wer)


async def refused(pending: Coroutine[Any, Any, Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        await pending
    return caught.value


def states(served: Models) -> dict[str, State]:
    return {report.name: report.state for report in served.report()}


def test_names_and_aliases_mean_a_model() -> None:
    served = models(FakeSource(), aliases={"clinic": "tuned", "whisper-1": "tuned"})
    assert served.resolve("tuned").name == "tuned"
    assert served.resolve("clinic").name == "tuned"
    assert served.resolve("whisper-1").name == "tuned"  # the user's word goes before ours
    assert served.resolve(None).name == served.resolve("").name == "base"
    assert {served.resolve(name).name for name in OPENAI_NAMES if name != "whisper-1"} == {"base"}
    assert models(FakeSource(), default_model="tuned").resolve("gpt-transcribe").name == "tuned"


@pytest.mark.parametrize("name", ["whisper-2", "BASE", " base", "x" * 1000, "../base"])
def test_an_unknown_name_is_told_as_openai_tells_it(name: str) -> None:
    with pytest.raises(Problem) as caught:
        models(FakeSource()).resolve(name)
    problem = caught.value
    assert (problem.status, problem.code, problem.param) == (404, "model_not_found", "model")
    assert "'base', 'tuned'" in problem.message and len(problem.message) < 200


def test_strict_mode_takes_names_only() -> None:
    served = models(FakeSource(), strict_models=True, aliases={"clinic": "tuned"})
    assert served.resolve("tuned").name == "tuned"
    for name in ("whisper-1", "clinic"):
        with pytest.raises(Problem, match="does not exist"):
            served.resolve(name)
    with pytest.raises(Problem, match="`model` is missing"):
        served.resolve(None)


@pytest.mark.parametrize(
    "settings",
    [{"default_model": "x"}, {"challenger": "x"}, {"challenger": "base"}, {"aliases": {"a": "x"}}],
)
def test_settings_that_name_no_model_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="base"):
        models(FakeSource(), **settings)


def test_each_model_is_ready_for_itself() -> None:
    async def scenario() -> None:
        source = FakeSource()
        source.next = {"load_s": 0.2}
        served = models(source)
        served.start()
        assert states(served) == {"base": State.STARTING, "tuned": State.STARTING}
        early = await refused(served.resolve("base").transcribe(work()))
        assert (early.status, early.code) == (503, "not_ready") and early.headers["Retry-After"] == "5"
        await until(lambda: served.ready)
        source.workers[1].ready = False  # its process starts anew
        assert states(served) == {"base": State.READY, "tuned": State.RESTARTING}
        assert not served.ready
        answer = await served.resolve("base").transcribe(work(3.0))
        assert answer.text == "base-v1 hears 3 seconds"
        await served.stop()

    asyncio.run(scenario())


def test_a_model_that_cannot_be_opened_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        outcomes: list[ShoptalkError | None] = []
        paths = {"base": BASE, "tuned": Path("missing")}
        served = Models(paths, FakeSource(), Settings(), rng=np.random.default_rng(7), on_started=outcomes.append)
        served.start()
        await until(lambda: states(served) == {"base": State.READY, "tuned": State.FAILED})
        assert outcomes == [None] and served.error is None and not served.ready
        report = served.report()[1]
        assert "no such bundle" in report.reason
        assert (await refused(served.resolve("tuned").transcribe(work()))).status == 503
        await served.swap("tuned", TUNED)
        assert served.ready and served.report()[1].reason == ""
        await served.stop()

    asyncio.run(scenario())
    assert "no such bundle" in caplog.text


def test_a_service_without_any_model_says_so() -> None:
    async def scenario() -> None:
        outcomes: list[ShoptalkError | None] = []
        paths = {"base": Path("missing")}
        served = Models(paths, FakeSource(), Settings(), rng=np.random.default_rng(7), on_started=outcomes.append)
        served.start()
        await until(lambda: bool(outcomes))
        assert outcomes == [served.error] and isinstance(served.error, ModelError)
        await served.stop()

    asyncio.run(scenario())


def test_a_swap_under_load_fails_no_request() -> None:
    async def scenario() -> None:
        source = FakeSource({"base-v2": golden(Path("base-v2"))})
        source.next = {"load_s": 0.05, "seconds_each": 0.01}
        async with started(source) as served:
            texts: list[str] = []
            ends = asyncio.Event()

            async def client() -> None:
                while not ends.is_set():
                    texts.append((await served.resolve("base").transcribe(work(2.0))).text)

            clients = [asyncio.create_task(client()) for _ in range(8)]
            await asyncio.sleep(0.1)
            await served.swap("base", Path("base-v2"))
            since_swap = len(texts)
            assert served.ready
            await until(lambda: len(texts) > since_swap + 40)
            await until(lambda: source.workers[0].stopped)
            ends.set()
            await asyncio.gather(*clients)  # raises if one request failed
            assert set(texts) == {text_of(BASE, 2.0), text_of(Path("base-v2"), 2.0)}
            assert set(texts[since_swap + 8 :]) == {text_of(Path("base-v2"), 2.0)}
            assert served.report()[0].swaps == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["missing-v2", "wrong-v2"])
def test_a_bad_file_leaves_the_old_model(path: str) -> None:
    async def scenario() -> None:
        source = FakeSource({"wrong-v2": golden(Path("another one altogether"))})
        async with started(source) as served:
            with pytest.raises(ModelError) as caught:
                await served.swap("base", Path(path))
            assert isinstance(caught.value, WrongModelError) == (path == "wrong-v2")
            assert path in str(caught.value)
            report = served.report()[0]
            assert served.ready and path in report.swap_error and report.reason == ""
            assert (await served.resolve("base").transcribe(work())).text == text_of(BASE, 1.0)
            assert source.workers[-1].stopped and not source.workers[0].stopped

    asyncio.run(scenario())


def test_one_swap_at_a_time() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with started(source) as served:
            source.next = {"load_s": 0.2}
            first = asyncio.create_task(served.swap("base", Path("base-v2")))
            await asyncio.sleep(0.05)
            second = await refused(served.swap("base", Path("base-v3")))
            assert (second.status, second.code) == (409, "swap_under_way")
            await first
            assert (await served.resolve("base").transcribe(work())).text == text_of(Path("base-v2"), 1.0)

    asyncio.run(scenario())


def test_stopping_answers_what_is_under_way() -> None:
    async def scenario() -> None:
        source = FakeSource()
        served = models(source)
        served.start()
        await until(lambda: served.ready)
        source.workers[0].gate.clear()
        pending = asyncio.create_task(served.resolve("base").transcribe(work()))
        await until(lambda: bool(source.workers[0].works))
        stopping = asyncio.create_task(served.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        assert (await refused(served.resolve("base").transcribe(work()))).status == 503
        source.workers[0].gate.set()
        assert (await pending).text == text_of(BASE, 1.0)
        await stopping

    asyncio.run(scenario())


def test_a_wrong_model_does_not_become_ready() -> None:
    async def scenario() -> None:
        source = FakeSource({"base-v1": golden(TUNED, max_wer=0.2), "tuned-v1": golden(TUNED)})
        async with started(source) as served:
            assert states(served) == {"base": State.WRONG, "tuned": State.READY}
            base, tuned = served.report()
            assert base.golden_wer == 0.25 and tuned.golden_wer == 0.0
            assert "differs from the text of its golden recording in 25% of the words" in base.reason
            problem = await refused(served.resolve("base").transcribe(work()))
            assert problem.status == 503 and "wrong model" in problem.message

    asyncio.run(scenario())


def test_a_model_that_turns_wrong_is_told_and_told_again_when_it_is_right(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        source = FakeSource({"base-v1": golden(BASE)})
        async with started(source, golden_every_s=0.02) as served:
            [worker] = [worker for worker in source.workers if worker.name == "base"]
            worker.answer = lambda path, seconds: f"{SECRET} twice a day"
            await until(lambda: states(served)["base"] is State.WRONG)
            worker.answer = text_of
            await until(lambda: states(served)["base"] is State.READY)
            worker.fault = Problem(503, "busy", code="not_ready")
            probes = len(worker.works)
            await until(lambda: len(worker.works) > probes + 1)
            assert states(served)["base"] is State.READY  # nothing was learned of it
            worker.fault = None

    caplog.set_level(logging.INFO)
    asyncio.run(scenario())
    assert "golden recording in" in caplog.text and "right again" in caplog.text and SECRET not in caplog.text


def shadow_of(served: Models) -> ShadowReport:
    report = served.shadow_report()
    assert report is not None
    return report


def shadowed(source: FakeSource, **settings: Any) -> Any:
    return started(source, challenger="tuned", **{"challenger_share": 1.0, **settings})


def test_the_challenger_is_compared_and_no_text_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with shadowed(source) as served:
            base, tuned = source.workers
            base.answer = lambda path, seconds: f"{SECRET} twice"
            tuned.answer = lambda path, seconds: f"{SECRET} thrice"
            for _ in range(5):
                assert (await served.resolve("base").transcribe(work())).text == f"{SECRET} twice"
                await until(lambda: shadow_of(served).pending == 0)
            report = shadow_of(served)
            assert (report.champion, report.challenger, report.compared, report.same) == ("base", "tuned", 5, 0)
            assert (report.words, report.words_differing, report.wer) == (25, 5, 0.2)
            assert report.champion_latency and report.challenger_latency
            assert all(work.background and work.on_words is None for work in tuned.works)
            assert SECRET not in repr(report) + repr(served.report()) + caplog.text
            await served.swap("tuned", Path("tuned-v2"))
            assert shadow_of(served).compared == 0

    caplog.set_level(logging.DEBUG)
    asyncio.run(scenario())


def test_a_challenger_that_fails_or_hangs_harms_nobody() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with shadowed(source) as served:
            tuned = source.workers[1]
            tuned.fault = RuntimeError(SECRET)
            await served.resolve("base").transcribe(work())
            await until(lambda: shadow_of(served).failed == 1)
            tuned.fault = None
            tuned.gate.clear()
            for _ in range(10):
                await served.resolve("base").transcribe(work())
            report = shadow_of(served)
            assert (report.compared, report.dropped) == (0, 6)  # four wait in memory

    asyncio.run(scenario())


def test_the_challenger_gets_nothing_while_requests_wait() -> None:
    async def scenario() -> None:
        source = FakeSource()
        async with shadowed(source, batch=2) as served:
            base, tuned = source.workers
            base.gate.clear()
            pending = [asyncio.create_task(served.resolve("base").transcribe(work())) for _ in range(4)]
            await until(lambda: len(base.works) == 4)
            base.gate.set()
            await asyncio.gather(*pending)
            await until(lambda: shadow_of(served).pending == 0)
            report = shadow_of(served)
            assert report.dropped + report.compared == 4 and report.dropped > 0
            assert len(tuned.works) == report.compared

    asyncio.run(scenario())


def test_the_share_is_drawn_by_the_seed() -> None:
    async def scenario() -> int:
        source = FakeSource()
        async with shadowed(source, challenger_share=0.3) as served:
            for _ in range(50):
                await served.resolve("base").transcribe(work(0.1))
                await until(lambda: shadow_of(served).pending == 0)
            assert (await served.resolve("tuned").transcribe(work())).text  # asked by name it answers
            return len(source.workers[1].works)

    first, second = asyncio.run(scenario()), asyncio.run(scenario())
    assert first == second and 8 <= first <= 24


def test_a_fake_worker_that_was_stopped_is_asked_nothing() -> None:
    """Of the fake itself: the tests above rely on it."""
    worker = FakeWorker("base", BASE)
    with pytest.raises(AssertionError):
        asyncio.run(worker.transcribe(work()))
