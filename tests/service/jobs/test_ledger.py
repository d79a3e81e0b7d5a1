"""Jobs and files in the database: claims, leases, results and announcements, over SQLite and PostgreSQL."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.service.jobs.databases import Clock, database, postgres, settings_of, store_of

from shoptalk.service.jobs import records
from shoptalk.service.jobs.ledger import ATTEMPTS, Ledger, new_id
from shoptalk.service.jobs.records import Claimed, NewFile, NewJob, Options, Place, Result, State, Status
from shoptalk.service.jobs.tables import EVENTS, FILES
from shoptalk.service.problems import Problem
from shoptalk.service.settings import Settings

__all__ = ["database", "postgres"]
CANARY = "Kakapo"
RESULT = Result(f'{{"text": "{CANARY}"}}'.encode(), "application/json", {"x-shoptalk-gaps": "1.0-2.0"})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    return settings_of(tmp_path, database=database, jobs_per_key=3, jobs_lease_s=30)


@pytest.fixture
def ledger(settings: Settings, clock: Clock) -> Iterator[Ledger]:
    store = store_of(settings, clock)
    yield Ledger(store, settings)
    store.close()


def job(files: int = 1, owner: str = "ward", key: str = "", digest: str = "", **changes: Any) -> NewJob:
    own = tuple(NewFile(new_id("file"), Place("upload", str(n), f"{CANARY} {n}.wav", 1000)) for n in range(files))
    options = Options(fields=(("prompt", CANARY),), webhook_url=changes.pop("url", ""), digest=digest)
    return NewJob(new_id("job"), owner, False, "tiny", options, own, idempotency_key=key, **changes)


def done(ledger: Ledger, claims: list[Claimed]) -> None:
    for claimed in claims:
        assert ledger.succeed(claimed, RESULT, 2.0)


def test_a_job_from_its_begin_to_its_end(ledger: Ledger, clock: Clock) -> None:
    new = job(3)
    taken, is_new = ledger.submit(new)
    assert is_new and taken.status is Status.QUEUED and taken.waiting == 3
    first, second = ledger.claim("w", 2)
    assert [first.file.number, second.file.number] == [1, 2]
    assert first.options == new.options and first.file.place == new.files[0].place
    now = ledger.get("ward", new.id)
    assert (now.status, now.waiting, now.running) == (Status.RUNNING, 1, 2)
    assert now.left_s(clock.now.timestamp()) is None
    clock.pass_s(10)
    done(ledger, [first])
    assert ledger.fail(second, "invalid_audio", "no audio")
    assert ledger.get("ward", new.id).left_s(clock.now.timestamp()) == pytest.approx(5.0)  # 2 files in 10 s, 1 left
    done(ledger, ledger.claim("w", 5))
    over = ledger.get("ward", new.id)
    assert (over.status, over.succeeded, over.failed, over.audio_s) == (Status.PARTLY_FAILED, 2, 1, 4.0)
    assert over.ended_s == clock.now.timestamp() and over.left_s(over.ended_s) is None
    files, has_more = ledger.files(new.id, 2)
    assert has_more and [file.state for file in files] == [State.SUCCEEDED, State.FAILED]
    assert files[1].code == "invalid_audio" and files[0].place.name == f"{CANARY} 0.wav"
    rest, has_more = ledger.files(new.id, 2, after=files[1].id)
    assert not has_more and [file.number for file in rest] == [3]
    assert ledger.result(new.id, files[0].id) == (files[0], RESULT)
    assert [result for _, result in ledger.results(new.id, 10)[0]] == [RESULT, None, RESULT]
    assert ledger.claim("w", 5) == []


@pytest.mark.parametrize(("fails", "status"), [(0, Status.SUCCEEDED), (2, Status.FAILED)])
def test_a_job_ends_as_its_files_did(ledger: Ledger, fails: int, status: Status) -> None:
    new = job(2)
    ledger.submit(new)
    for number, claimed in enumerate(ledger.claim("w", 2)):
        if number < fails:
            ledger.fail(claimed, "x", "y")
        else:
            done(ledger, [claimed])
    assert ledger.get("ward", new.id).status is status


def test_nothing_that_is_spoken_can_be_read_in_the_database(ledger: Ledger, settings: Settings) -> None:
    ledger.submit(job(url="https://kakapo.example", tells_files=True, tells_text=True))
    done(ledger, ledger.claim("w", 1))
    with ledger.store.reading() as connection:
        for table in (FILES, EVENTS):
            for row in connection.execute(select(table)):
                assert not any(CANARY.lower() in str(bytes(v) if isinstance(v, bytes) else v).lower() for v in row)
    assert settings.store_dir is not None
    for path in settings.store_dir.rglob("*"):
        assert path.is_dir() or CANARY.lower().encode() not in path.read_bytes().lower()


def test_a_worker_that_is_silent_loses_its_file_and_cannot_end_it(ledger: Ledger, clock: Clock) -> None:
    new = job()
    ledger.submit(new)
    (lost,) = ledger.claim("first", 1)
    clock.pass_s(20)
    assert ledger.renew("first", [lost.file.id]) == {lost.file.id}
    clock.pass_s(20)
    assert ledger.claim("second", 1) == []
    clock.pass_s(20)
    (again,) = ledger.claim("second", 1)
    assert again.file.id == lost.file.id and again.attempts == 2
    assert ledger.renew("first", [lost.file.id]) == set()
    assert not ledger.succeed(lost, Result(b"{}", "application/json"), 9.0)
    assert not ledger.fail(lost, "x", "y") and not ledger.release(lost)
    done(ledger, [again])
    assert not ledger.succeed(again, RESULT, 2.0)  # once is enough
    over = ledger.get("ward", new.id)
    assert (over.succeeded, over.failed, over.audio_s) == (1, 0, 2.0)


def test_a_file_with_which_servers_die_comes_last_and_fails_in_the_end(ledger: Ledger, clock: Clock) -> None:
    new = job(2)
    ledger.submit(new)
    (poison,) = ledger.claim("w", 1)
    clock.pass_s(31)
    (other,) = ledger.claim("w", 1)
    assert other.file.id != poison.file.id
    done(ledger, [other])
    for attempt in range(2, ATTEMPTS + 1):
        (claimed,) = ledger.claim("w", 1)
        assert (claimed.file.id, claimed.attempts) == (poison.file.id, attempt)
        clock.pass_s(31)
    assert ledger.claim("w", 1) == []
    assert ledger.get("ward", new.id).status is Status.PARTLY_FAILED
    assert ledger.files(new.id, 5)[0][0].code == "gave_up"


def test_a_file_that_is_given_back_waits_and_is_not_blamed(ledger: Ledger, clock: Clock) -> None:
    ledger.submit(job())
    for _ in range(2 * ATTEMPTS):
        (claimed,) = ledger.claim("w", 1)
        assert claimed.attempts == 1
        assert ledger.release(claimed, wait_s=5)
        assert ledger.claim("w", 1) == []
        clock.pass_s(6)
    (claimed,) = ledger.claim("w", 1)
    assert ledger.release(claimed, is_blamed=True)
    assert ledger.claim("w", 1)[0].attempts == 2


def test_a_small_job_does_not_wait_for_a_large_one(ledger: Ledger) -> None:
    large, own, small = job(20), job(3), job(3, owner="other")
    ledger.submit(large)
    done(ledger, ledger.claim("w", 5))
    ledger.submit(own)  # behind the same key's large one
    ledger.submit(small)
    order = [claimed.job.id for claimed in ledger.claim("w", 30)]
    assert set(order[:6]) == {large.id, small.id} and Counter(order[:6])[small.id] == 3
    assert order[-3:] == [own.id] * 3 and len(order) == 21


def test_the_same_idempotency_key_gives_the_same_job(ledger: Ledger) -> None:
    first, same, changed = job(key="k", digest="a"), job(key="k", digest="a"), job(key="k", digest="b")
    ledger.submit(first)
    taken, is_new = ledger.submit(same)
    assert taken.id == first.id and not is_new
    with pytest.raises(Problem) as caught:
        ledger.submit(changed)
    assert caught.value.status == 409
    assert ledger.submit(job(key="k", digest="b", owner="other"))[1]
    assert len(ledger.listed("ward", 10)[0]) == 1


def test_many_at_once_with_the_same_idempotency_key_make_one_job(ledger: Ledger) -> None:
    taken: list[tuple[Any, bool]] = []
    threads = [
        threading.Thread(target=lambda: taken.append(ledger.submit(job(2, key="k", digest="a")))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job, _ in taken}) == 1 and sum(is_new for _, is_new in taken) == 1
    assert len(ledger.claim("w", 99)) == 2


def test_a_key_has_so_many_jobs_that_are_not_over(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.submit(job())
    with pytest.raises(Problem, match="not over"):
        ledger.submit(job())
    ledger.submit(job(owner="other"))
    ledger.cancel("ward", ledger.listed("ward", 1)[0][0].id)
    ledger.submit(job())


def test_jobs_are_listed_page_by_page_and_each_key_sees_its_own(ledger: Ledger, clock: Clock) -> None:
    ids = []
    for number in range(3):
        clock.pass_s(number % 2)  # two in the same second
        ids.append(ledger.submit(job())[0].id)
    ledger.submit(job(owner="other"))
    page, has_more = ledger.listed("ward", 2)
    rest, has_less = ledger.listed("ward", 2, after=page[-1].id)
    assert has_more and not has_less
    assert sorted(job.id for job in page + rest) == sorted(ids)
    assert page[0].created_s >= page[1].created_s >= rest[0].created_s
    for method in (ledger.get, ledger.cancel, ledger.delete):
        with pytest.raises(Problem) as caught:
            method("other", ids[0])
        assert caught.value.status == 404


def test_a_job_that_is_cancelled_keeps_its_results_and_does_nothing_more(ledger: Ledger) -> None:
    new = job(3)
    ledger.submit(new)
    first, second = ledger.claim("w", 2)
    done(ledger, [first])
    cancelled = ledger.cancel("ward", new.id)
    assert (cancelled.status, cancelled.succeeded, cancelled.cancelled) == (Status.CANCELLED, 1, 2)
    assert ledger.renew("w", [second.file.id]) == set() and not ledger.succeed(second, RESULT, 1.0)
    assert ledger.claim("w", 5) == [] and ledger.cancel("ward", new.id) == cancelled
    assert ledger.result(new.id, first.file.id)[1] == RESULT


def test_a_job_that_is_deleted_is_gone(ledger: Ledger) -> None:
    new = job(2, url="https://example.org")
    ledger.submit(new)
    (claimed,) = ledger.claim("w", 1)
    ledger.delete("ward", new.id)
    assert not ledger.succeed(claimed, RESULT, 1.0) and ledger.claim("w", 5) == []
    with ledger.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(FILES)).scalar() == 0


def test_what_is_kept_of_a_request_id_is_deleted(ledger: Ledger) -> None:
    new = job(2, url="https://example.org", tells_files=True, tells_text=True)
    ledger.submit(new)
    first = new.files[0].id
    done(ledger, ledger.claim("w", 1))
    assert ledger.forget(first, "other") == 0 and ledger.forget("req_1", None) == 0
    assert ledger.forget(first, "ward") == 1 and ledger.forget(first, None) == 0
    file, result = ledger.result(new.id, first)
    assert result is None and file.place.name == "" and file.code == "deleted"
    assert ledger.claim_event() is None
    assert ledger.forget(new.files[1].id, None) == 1  # which was not transcribed yet, and will not be
    assert ledger.claim("w", 1) == [] and ledger.get("ward", new.id).status is Status.PARTLY_FAILED


def test_jobs_expire_after_their_last_progress(ledger: Ledger, clock: Clock) -> None:
    new = job(2)
    ledger.submit(new)
    clock.pass_s(6 * 86_400)
    done(ledger, ledger.claim("w", 1))
    clock.pass_s(6 * 86_400)
    assert ledger.expire() == []
    clock.pass_s(86_401)
    assert ledger.expire() == [new.id]
    with pytest.raises(Problem):
        ledger.get("ward", new.id)


def test_each_end_is_announced_once(ledger: Ledger, clock: Clock) -> None:
    new = job(2, url="https://example.org/news", tells_files=True)
    ledger.submit(new)
    done(ledger, ledger.claim("w", 2))
    events = []
    while event := ledger.claim_event():
        events.append(event)
    assert len(events) == 3 and {event.url for event in events} == {"https://example.org/news"}
    kinds = Counter(records_of(event.payload)["type"] for event in events)
    assert kinds == {"transcription.job.file.succeeded": 2, "transcription.job.succeeded": 1}
    assert not any(CANARY.encode() in event.payload for event in events)
    assert ledger.claim_event() is None  # who claimed one has its time to send it
    ledger.event_was_taken(events[0])
    ledger.event_was_refused(events[1], 3600)
    ledger.event_was_refused(events[2], None)
    clock.pass_s(600)
    assert ledger.claim_event() is None
    clock.pass_s(3600)
    again = ledger.claim_event()
    assert again is not None and (again.id, again.attempts) == (events[1].id, 2)


def records_of(payload: bytes) -> dict[str, Any]:
    import json

    return dict(json.loads(payload))


def test_news_have_names_and_texts_only_if_asked(ledger: Ledger) -> None:
    ledger.submit(job(url="https://example.org", tells_files=True, tells_text=True))
    done(ledger, ledger.claim("w", 1))
    payloads = [event.payload for _ in range(2) if (event := ledger.claim_event())]
    (of_file,) = [payload for payload in payloads if b"job.file" in payload]
    assert records_of(of_file)["data"]["result"] == {"text": CANARY}
    assert sum(CANARY.encode() in payload for payload in payloads) == 1


def test_workers_of_many_threads_transcribe_each_file_once(ledger: Ledger) -> None:
    new = job(60, url="https://example.org", tells_files=True)
    ledger.submit(new)
    ended: list[str] = []

    def work(name: str) -> None:
        while claims := ledger.claim(name, 3):
            for claimed in claims:
                if ledger.succeed(claimed, RESULT, 1.0):
                    ended.append(claimed.file.id)

    threads = [threading.Thread(target=work, args=[f"w{number}"]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work("last")  # whoever found all that waited in others' hands had gone
    assert sorted(ended) == sorted(file.id for file in new.files)
    over = ledger.get("ward", new.id)
    assert (over.status, over.succeeded, over.audio_s) == (Status.SUCCEEDED, 60, 60.0)
    with ledger.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(EVENTS)).scalar() == 61


def test_servers_may_start_at_once(tmp_path: Path, database: str, clock: Clock) -> None:
    settings = settings_of(tmp_path, database=database)
    opened: list[Ledger] = []
    threads = [
        threading.Thread(target=lambda: opened.append(Ledger(store_of(settings, clock), settings))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    for ledger in opened:
        ledger.store.close()


def test_figures(ledger: Ledger, clock: Clock) -> None:
    ledger.submit(job(2))
    clock.pass_s(50)
    done(ledger, ledger.claim("w", 1))
    figures = ledger.figures()
    assert figures == records.Figures({"running": 1}, {"waiting": 1, "succeeded": 1}, 2.0, 50.0, 0)
