"""Files of jobs give way: a request waits for the batch that is under way at most, whatever jobs there are."""

import concurrent.futures
import os
import signal
from pathlib import Path

import numpy as np
from tests.service.http.serving import MODEL, answering, client, models_of, recording, until
from tests.service.jobs.databases import settings_of
from tests.service.jobs.test_routes import Client
from tests.service.model import fake_recognizer

from shoptalk.service.access.access import Access
from shoptalk.service.app import create_app
from shoptalk.service.model.messages import BatchFigures, Batching
from shoptalk.service.model.scheduler import Claim, Limits, Scheduler
from shoptalk.service.model.worker import WorkerModel
from shoptalk.service.store import open_store


def test_what_is_asked_for_is_in_the_next_batch_whatever_jobs_wait() -> None:
    scheduler = Scheduler()
    rng = np.random.default_rng(3)
    for file in range(100):
        scheduler.add(file, Claim(f"key {file % 3}", 0.0, 1e9, background=True))
        scheduler.more(file, [(number, 30.0) for number in range(20)], 0.0)
    waiting: set[int] = set()
    for step in range(1, 100):
        wanted = {1000 * step + number for number in range(rng.integers(0, 4))}
        for request in wanted:
            scheduler.add(request, Claim("ward", float(step), step + 60.0))
            scheduler.more(request, [(0, float(rng.uniform(1, 30)))], float(step))
        waiting |= wanted
        batch = {taken.recording for taken in scheduler.take(float(step), Limits())}
        assert batch
        if waiting:
            assert batch <= waiting, "a batch with what was asked for has nothing of a job"
            waiting -= batch
        else:
            assert max(batch) < 100


def test_a_request_that_comes_amid_a_job_has_the_next_batch_of_the_worker(tmp_path: Path) -> None:
    batches: list[BatchFigures] = []
    settings = settings_of(tmp_path, batch=8, jobs_at_once=8)
    worker = WorkerModel(MODEL, fake_recognizer.opening, batching=Batching(8), observe=batches.append)
    app = create_app(models_of(worker, settings), settings, access=Access(), store=open_store(settings))
    with answering(app, settings) as url, concurrent.futures.ThreadPoolExecutor(1) as pool:
        jobs = Client(url)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            before = len(batches)
            answer = jobs.submit(*[recording(0.5)] * 24)
            until(lambda: worker.statistics().under_way == 8)
            asked = pool.submit(client(url).audio.transcriptions.create, model=MODEL, file=("a.wav", recording(0.7)))
            until(lambda: worker.statistics().under_way == 9)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        assert asked.result().text
        until(lambda: len(batches) >= before + 2)  # a batch's figures come after its answers
        sizes = [figures.windows for figures in batches[before : before + 2]]
        assert 1 in sizes, f"the request shares no batch with a job, and waits for one at most: {sizes}"
        assert jobs.finished(answer)["status"] == "succeeded"
