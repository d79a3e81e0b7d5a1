"""The load generator and the reading of the service's benchmark, against a server that answers as it is told."""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.service import clips, load, reading
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
Handler = Callable[[bytes], Awaitable[bytes]]


def answer(status: int, content: bytes) -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


HELLO = answer(200, b'{"text": "hello"}')


def run(handler: Handler, plan: dict[str, Any]) -> dict[str, Any]:
    """What the generator tells of a server that answers each request by `handler`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            writer.write(await handler(await reader.readexactly(size)))
        writer.close()

    async def both() -> dict[str, Any]:
        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}/v1/audio/transcriptions"
            requests = [load.make_request(url, wav, {"model": "tiny"}) for wav in (b"first", b"second")]
            return await load.Run(url, requests, plan).run()

    return asyncio.run(both())


def test_arrivals_never_wait_for_answers() -> None:
    under_way = 0
    most = 0

    async def slow(body: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.5)
        under_way -= 1
        return HELLO

    begun = time.perf_counter()
    told = run(slow, {"requests": 20, "rate": 100.0, "seed": 1})
    assert most == 20, "one after the other, twenty answers of half a second take ten seconds"
    assert time.perf_counter() - begun < 5
    assert [given["status"] for given in told["answers"]] == [200] * 20
    assert all(given["taken_s"] >= 0.5 and given["text"] == "hello" for given in told["answers"])


def test_clients_wait_for_their_answers() -> None:
    most = 0
    under_way = 0

    async def handler(body: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return HELLO

    told = run(handler, {"requests": 12, "clients": 3, "seed": 1})
    assert most == 3
    assert len(told["answers"]) == 12


def test_failures_are_errors_and_not_left_out() -> None:
    asked = 0

    async def failing(body: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return [HELLO, answer(500, b"{}"), answer(200, b"no JSON"), answer(200, b'{"text": ""}')][asked % 4]

    told = run(failing, {"requests": 40, "rate": 200.0, "seed": 1})
    figures = reading.read(told, seconds=(2.0, 2.0), expected=("hello", "hello"))
    assert figures.answered == figures.planned == 40
    assert figures.errors == 30
    assert not figures.holds


def test_a_text_that_is_not_the_engines_is_told() -> None:
    async def handler(body: bytes) -> bytes:
        return HELLO

    told = run(handler, {"requests": 10, "rate": 200.0, "seed": 1})
    figures = reading.read(told, seconds=(2.0, 3.0), expected=("hello", "good bye"))
    assert figures.different == sum(given["clip"] == 1 for given in told["answers"]) > 0


def test_a_run_that_cannot_hold_its_percentile_ends_early() -> None:
    async def slow(body: bytes) -> bytes:
        await asyncio.sleep(0.2)
        return HELLO

    told = run(slow, {"requests": 1000, "rate": 100.0, "seed": 1, "late_s": 0.1, "late_share": 0.01})
    assert told["wall_s"] < 5
    assert not reading.read(told, seconds=(2.0, 2.0), expected=()).holds


def test_a_rate_changes_nothing_but_the_gaps() -> None:
    due, clips = load.arrivals(7, 500, 30)
    assert due[-1] == pytest.approx(500), "the mean gap is exactly one"
    gaps = np.diff(due, prepend=0)
    assert gaps.std() == pytest.approx(1.0, abs=0.15), "as of an exponential distribution"
    assert (gaps >= 0).all()
    again, clips_again = load.arrivals(7, 500, 30)
    assert (due == again).all() and (clips == clips_again).all()


@settings(max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_those_of_numpy(taken_s: list[float], share: float) -> None:
    expected_s = np.quantile(taken_s, share, method="inverted_cdf")
    assert reading.percentile_ms(sorted(taken_s), share) == pytest.approx(1e3 * expected_s, abs=0.051)


def test_no_answer_has_no_percentile() -> None:
    assert math.isnan(reading.percentile_ms([], 0.5))


@settings(max_examples=50)
@given(st.floats(0.02, 3.0))
def test_the_search_ends_just_below_the_bound(bound: float) -> None:
    found = reading.highest(lambda rate: rate <= bound, 0.6, 1.05, steps=6)
    if bound >= 1.05:
        assert found <= bound < found * 1.05
    elif bound >= 0.6 / 32:
        assert found <= bound < found * 1.02
    else:
        assert found == 0


def test_lengths_are_within_bounds_and_mostly_short() -> None:
    lengths_s = clips.draw_lengths(np.random.default_rng(7), 5000)
    assert lengths_s.min() >= clips.SHORTEST_S and lengths_s.max() <= clips.LONGEST_S
    assert np.median(lengths_s) == pytest.approx(clips.MEDIAN_S, rel=0.05)


def test_the_generator_is_a_process_that_reads_a_plan_and_prints_answers(tmp_path: Path) -> None:
    (tmp_path / "0000.wav").write_bytes(b"RIFF")
    plan = json.dumps({"requests": 2, "clients": 1, "seed": 1, "model": "tiny"})
    command = [sys.executable, str(ROOT / "benchmarks/service/load.py"), "http://127.0.0.1:9/x", str(tmp_path)]
    done = subprocess.run(command, input=plan, capture_output=True, text=True, check=True)
    assert [given["status"] for given in json.loads(done.stdout)["answers"]] == [0, 0], "nobody listens there"


def test_figures_can_be_written_as_json() -> None:
    given = [{"clip": 0, "taken_s": 1.0, "status": status, "text": "hello"} for status in (200, 200, 429)]
    run_told = {"answers": given, "planned": 3, "wall_s": 2.0, "generator_cpu_s": 0.1, "generator_lag_s": 0.0}
    figures = asdict(reading.read(run_told, seconds=(2.0,), expected=()))
    assert json.loads(json.dumps(figures))["statuses"] == {"200": 2, "429": 1}
