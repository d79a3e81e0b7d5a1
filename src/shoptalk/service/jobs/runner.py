"""Claims files of jobs, transcribes them when nothing else asks for the model, and stores the results.

Whatever dies, a file is taken up again when its lease is over. Nothing here holds what only this process knows.
"""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from shoptalk.core.errors import DiskFullError, EncryptionKeyError, StoreError
from shoptalk.core.protocols import Phrase
from shoptalk.service.access.callers import SCOPES, Caller, Limits
from shoptalk.service.account import Account
from shoptalk.service.http import answers, fields
from shoptalk.service.http.intake import MIB, Intake
from shoptalk.service.http.phrases import Boosted
from shoptalk.service.http.recognising import Entrance, Taken, recognise
from shoptalk.service.jobs.ledger import ATTEMPTS, Ledger, new_id, upload_name
from shoptalk.service.jobs.records import PENDING, Claimed, Figures, Result
from shoptalk.service.jobs.sources import UPLOAD, Sources
from shoptalk.service.jobs.webhooks import Courier
from shoptalk.service.problems import Problem
from shoptalk.service.telemetry.watching import place_of

ROUTE = "/v1/jobs"
POLL_S = 1.0
"""So often is looked for files and news that other servers brought, or whose time has come."""
SWEEP_S = 60.0
FIGURES_S = 5.0
COURIERS = 4
"""News that are sent at the same time."""
LATER = frozenset({429, 503, 504})
"""What is answered where a file may well be transcribed later."""
TRIES = 3
"""A file of which the recogniser says so often that it failed has failed."""
LONGEST_WAIT_S = 60.0
NAMES = 500
"""Files that are asked about at once."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Runner:
    """Of one server; every method is called on the event loop."""

    def __init__(self, ledger: Ledger, sources: Sources, entrance: Entrance, courier: Courier | None) -> None:
        """`entrance` has the models and what is noted of recordings; jobs decode apart from requests."""
        settings = entrance.settings
        own = settings.model_copy(update={"decoders": 1, "decoded_audio_s": settings.max_audio_s})
        self._ledger = ledger
        self._sources = sources
        self._entrance = entrance
        self._intake = Intake(own)
        self._courier = courier
        self._settings = settings
        self._worker = new_id("worker")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._events = asyncio.Event()
        # threads of its own: those of requests are not kept waiting by a slow disk or database
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="jobs")
        self._senders = ThreadPoolExecutor(COURIERS, thread_name_prefix="webhooks")
        self.figures = Figures()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work within the block; files that are not done at its end are given back at once."""
        loops = [self._work, self._hold, self._sweep, self._count]
        if self._courier is not None:
            loops += [self._send] * COURIERS
        tasks = [asyncio.create_task(self._for_ever(step)) for step in loops]
        try:
            yield
        finally:
            under_way = list(self._tasks.values())
            for task in [*tasks, *under_way]:
                task.cancel()
            await asyncio.gather(*tasks, *under_way, return_exceptions=True)
            self._intake.stop()
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._senders.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        """There are new files, or free places for them."""
        self._news.set()

    async def in_thread(self, work: Callable[..., T], *arguments: object, **named: object) -> T:
        """Do what blocks, in a thread of the jobs."""
        call = partial(work, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    # ---- what is done again and again

    async def _for_ever(self, step: Callable[[], Awaitable[float]]) -> None:
        """Do a step, wait for as long as it says, and so on; errors are logged and the step is done again."""
        while True:
            try:
                wait_s = await step()
            except StoreError as error:
                log.error("jobs: %s", error)
                wait_s = POLL_S
            except Exception as error:  # noqa: BLE001 - jobs must go on; the message is kept from the log
                log.error("jobs: %s", place_of(error))
                wait_s = POLL_S
            await asyncio.sleep(wait_s)

    async def _work(self) -> float:
        """Claim files for the places that are free, while the models have room."""
        self._news.clear()
        free = self._settings.jobs_at_once - len(self._tasks)
        claimed: list[Claimed] = []
        if free > 0 and self._entrance.models.has_any_room:
            claimed = await self.in_thread(self._ledger.claim, self._worker, free)
        for file in claimed:
            task = asyncio.create_task(self._run(file))
            self._tasks[file.file.id] = task
            task.add_done_callback(partial(self._ended, file.file.id))
        if not claimed:
            await _set_or_late(self._news)
        return 0.0

    def _ended(self, file_id: str, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(file_id, None)
        self.wake()

    async def _hold(self) -> float:
        """Renew the leases; what this worker holds no more is given up."""
        own = list(self._tasks)
        if own:
            held = await self.in_thread(self._ledger.renew, self._worker, own)
            for file_id in set(own) - held:
                if file_id in self._tasks:
                    self._tasks[file_id].cancel()
        return self._settings.jobs_lease_s / 4

    async def _sweep(self) -> float:
        expired = await self.in_thread(self._ledger.expire)
        if expired:
            log.info("jobs: %d expired", len(expired))
        await self.in_thread(self._sweep_uploads)
        return SWEEP_S

    async def _count(self) -> float:
        self.figures = await self.in_thread(self._ledger.figures)
        return FIGURES_S

    async def _send(self) -> float:
        if self._courier is None:
            raise ValueError("there is nobody to send news")
        outcome = await asyncio.get_running_loop().run_in_executor(self._senders, self._courier.deliver)
        if outcome:
            self._entrance.telemetry.metrics.job_news.labels(outcome).inc()
            return 0.0
        self._events.clear()
        await _set_or_late(self._events)
        return 0.0

    # ---- a file

    async def _run(self, claimed: Claimed) -> None:
        """Transcribe a file; whatever comes of it, the lease is over then."""
        account = Account(request_id=claimed.file.id, route=ROUTE, caller=claimed.job.owner, model=claimed.job.model)
        clock = self._entrance.telemetry.clock
        began_s = clock()
        try:
            outcome = await self._outcome(claimed, account)
        except asyncio.CancelledError:
            await asyncio.shield(self.in_thread(self._ledger.release, claimed))
            raise
        except StoreError as error:
            log.error("jobs: %s", error)  # its lease will be over
            return
        if outcome:
            account.seconds = clock() - began_s
            self._entrance.telemetry.metrics.job_file_ended(account, outcome)
            self._entrance.access.note(account)
            self._events.set()

    async def _outcome(self, claimed: Claimed, account: Account) -> str:
        """``succeeded``, ``failed``, ``again`` or, where another worker has the file, empty."""
        try:
            is_stored = await self._transcribe(claimed, account)
            if not is_stored:
                await self._entrance.access.unkeep(account)
            account.status = 200
            return "succeeded" if is_stored else ""
        except Problem as problem:
            return await self._failed(claimed, account, problem)
        except (DiskFullError, MemoryError):
            await self.in_thread(self._ledger.release, claimed, wait_s=LONGEST_WAIT_S)
            return "again"
        except EncryptionKeyError:
            changed = Problem(400, "the recording was changed in the store; hand it in again", code="input_gone")
            return await self._failed(claimed, account, changed)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one file must not end the others; its message is kept from the log
            log.error("job file %s failed: %s", claimed.file.id, place_of(error))
            return await self._failed(claimed, account, Problem(500, "the server failed", code="internal_error"))

    async def _failed(self, claimed: Claimed, account: Account, problem: Problem) -> str:
        account.status, account.code = problem.status, problem.code
        wait_s = min(LONGEST_WAIT_S, 2.0**claimed.attempts)
        if problem.status in LATER:
            await self.in_thread(self._ledger.release, claimed, wait_s=wait_s)
            return "again"
        most = TRIES if problem.code == "recognition_failed" else ATTEMPTS
        if problem.status >= 500 and claimed.attempts < most:
            await self.in_thread(self._ledger.release, claimed, wait_s=wait_s, is_blamed=True)
            return "again"
        is_over = await self.in_thread(self._ledger.fail, claimed, problem.code, problem.message)
        await self._delete_upload(claimed)
        return "failed" if is_over else ""

    async def _transcribe(self, claimed: Claimed, account: Account) -> bool:
        """Read, decode, recognise, and store the result; whether it was stored."""
        taken_in = self._intake.audio.share(), self._intake.uploads.share()
        with taken_in[0] as audio_share, taken_in[1] as bytes_share:
            bytes_share.hold(min(claimed.file.place.bytes, self._settings.max_upload_mb * MIB))
            content = await self.in_thread(self._sources.read, claimed)
            wanted = fields.read(claimed.options.fields)
            model = self._entrance.models.resolve(claimed.job.model)
            file = io.BytesIO(content)
            del content
            decoded = await self._intake.decode(file, audio_share, separate=wanted.asked.each_channel)
            del file
            bytes_share.hold(0)
            warnings = [*wanted.warnings, *claimed.options.warnings]
            boosted = Boosted(_phrases(claimed.options.phrases), _phrases(claimed.options.of_prompt))
            below = self._settings.review_confidence
            taken = Taken(wanted, model, boosted, decoded, warnings, below)
            caller = Caller(claimed.job.owner, SCOPES, Limits(), claimed.job.keeps_audio)
            recognitions = await recognise(self._entrance, account, caller, taken, background=True)
            transcript = taken.transcript(recognitions)
            result = await self.in_thread(_rendered, transcript, wanted.asked, taken.headers)
            await self.in_thread(self._sources.write, claimed, wanted.asked.form, result)
            is_stored = await self.in_thread(self._ledger.succeed, claimed, result, taken.duration_s)
        await self._delete_upload(claimed)
        return is_stored

    async def _delete_upload(self, claimed: Claimed) -> None:
        """After the transaction that ended the file; what a crash leaves behind is swept."""
        if claimed.file.place.kind == UPLOAD:
            await self.in_thread(self._ledger.store.delete, upload_name(claimed.job.id, claimed.file.id))

    # ---- recordings that nobody needs

    def _sweep_uploads(self) -> None:
        """Delete uploaded recordings of files that are over or gone, and of jobs that were never handed in whole."""
        store = self._ledger.store
        oldest_s = store.now_s - self._settings.upload_timeout_s - SWEEP_S
        for folder in sorted((store.folder / "jobs").glob("*")):
            paths = sorted(folder.glob("*"))
            for start in range(0, len(paths), NAMES):
                self._sweep_some(paths[start : start + NAMES], oldest_s)
            if _is_older(folder, oldest_s):
                _remove_if_empty(folder)

    def _sweep_some(self, paths: list[Path], oldest_s: float) -> None:
        states = self._ledger.states([path.name for path in paths])
        for path in paths:
            state = states.get(path.name)
            if state not in PENDING and (state is not None or _is_older(path, oldest_s)):
                path.unlink(missing_ok=True)


def _rendered(transcript: answers.Transcript, asked: answers.Asked, headers: dict[str, str]) -> Result:
    """The result as a request would have got it."""
    answer = answers.render(transcript, asked)
    own = {name: value for name, value in answer.headers.items() if name.startswith("x-shoptalk-")}
    return Result(bytes(answer.body), answer.headers["content-type"], {**own, **headers})


def _phrases(pairs: tuple[tuple[str, float], ...]) -> tuple[Phrase, ...]:
    return tuple(Phrase(text, weight) for text, weight in pairs)


async def _set_or_late(event: asyncio.Event) -> None:
    """Wait for an event, or `POLL_S`."""
    try:
        async with asyncio.timeout(POLL_S):
            await event.wait()
    except TimeoutError:
        pass


def _is_older(path: Path, at_s: float) -> bool:
    """Whether a file was written last before then; False if it is gone."""
    try:
        return path.stat().st_mtime < at_s
    except FileNotFoundError:
        return False


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it has files again, or is gone
        folder.rmdir()
