"""What requests may hold before a model has them: places, bytes of uploads, seconds of decoded audio; all bounded."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

from shoptalk.core import audio
from shoptalk.core.audio import SAMPLE_RATE_HZ
from shoptalk.core.errors import AudioError, AudioTooLongError
from shoptalk.service.problems import Problem, busy
from shoptalk.service.settings import Settings

MIB = 2**20


class Budget:
    """An amount that requests share. Whoever holds all of what is taken gets more in any case; safe between threads."""

    def __init__(self, most: float, refusal: str):
        """`refusal` is what a client is told whose request would exceed it."""
        self._most = most
        self._refusal = refusal
        self._taken = 0.0
        self._lock = threading.Lock()

    @property
    def taken(self) -> float:
        return self._taken

    @contextmanager
    def share(self) -> "Iterator[Share]":
        """A part that starts with nothing, and is given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            share.hold(0.0)

    def change(self, before: float, after: float) -> None:
        """A part becomes larger or smaller; `Problem` 429 if there is not so much."""
        with self._lock:
            others = self._taken - before
            if after > before and others > 0 and others + after > self._most:
                raise busy(self._refusal)
            self._taken = max(0.0, others + after)


class Share:
    """One request's part of a budget."""

    def __init__(self, budget: Budget):
        self._budget = budget
        self.amount = 0.0

    def hold(self, amount: float) -> None:
        """So much is held from now on; `Problem` 429 if there is not so much."""
        self._budget.change(self.amount, amount)
        self.amount = amount


class Intake:
    """Where uploads and decoding are bounded; one for each app."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._places = settings.uploads
        self._taken = 0
        self._pool = ThreadPoolExecutor(settings.decoders, thread_name_prefix="decoder")
        self.uploads = Budget(settings.uploads_mb * MIB, "other uploads fill the memory for them")
        self.audio = Budget(settings.decoded_audio_s, "other recordings fill the memory for them")

    def stop(self) -> None:
        """End the threads; what they still decode is left to itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place to upload and to decode; `Problem` 429 if all are taken."""
        if self._taken >= self._places:
            raise busy(f"{self._taken} uploads are under way")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def decode(self, file: BinaryIO, share: Share, *, separate: bool) -> audio.Decoded:
        """The samples of a recording, decoded in a thread; `Problem` says why it cannot be used.

        Cancelling the task ends decoding, and ends when decoding did: whoever cancels may close the file.
        """
        is_over = threading.Event()

        def watch(samples: int) -> None:
            if is_over.is_set():
                raise AudioError("nobody waits for it any more")
            share.hold(samples / SAMPLE_RATE_HZ)

        read = partial(audio.read, file, max_s=self._settings.max_audio_s, separate=separate, watch=watch)
        decoding = self._pool.submit(read)
        try:
            return await asyncio.wrap_future(decoding)
        except AudioTooLongError as error:
            raise Problem(400, str(error), code="audio_too_long", param="file") from None
        except AudioError as error:
            raise Problem(400, str(error), code="invalid_audio", param="file") from None
        finally:
            is_over.set()
            if not decoding.done():
                await asyncio.gather(asyncio.wrap_future(decoding), return_exceptions=True)
