"""Gives up on a picture whose decoding never returns: a thread cannot be killed, a process can.

The job fails at once, so that it does not come back, and the service stops in order and exits: its
supervisor starts it anew with all its threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from pipeline.errors import UndecodablePicture
from pipeline.lifecycle import sleep_or_stop

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOOK_S = 0.5


class DecodeStuck(UndecodablePicture):
    """The decoder did not return. Its thread may still write to the picture's memory."""


class DecodeWatch:
    """Knows what threads decode, and since when. *limit_s* counts from when a thread begins."""

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        # Written by the threads: a dictionary's single steps are atomic.
        self._began_s: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Future[object]] = {}
        self._stuck: set[str] = set()

    @property
    def is_stuck(self) -> bool:
        """Whether a thread was given up that has not come back since."""
        return any(job_id in self._began_s for job_id in self._stuck)

    @property
    def reason(self) -> str:
        """Why no more work should come; empty if it may."""
        return "decoding a picture hangs: the dispatcher starts anew" if self.is_stuck else ""

    @contextmanager
    def timed(self, job_id: str) -> Iterator[None]:
        """Take the time of a picture in its thread."""
        self._began_s[job_id] = monotonic()
        try:
            yield
        finally:
            del self._began_s[job_id]

    async def outcome(self, job_id: str, work: Future[T]) -> T:
        """Wait for *work*; raises DecodeStuck once it is given up.

        Cancelled, it waits all the same: the thread writes to memory until it is through.
        """
        try:
            return await self._watched(job_id, work)
        except asyncio.CancelledError:
            if job_id not in self._stuck and not work.cancelled():
                await asyncio.gather(self._watched(job_id, work), return_exceptions=True)
            if job_id in self._stuck:
                raise DecodeStuck(
                    f"decoding the picture did not end within {self._limit_s:g} s"
                ) from None
            raise

    async def keep_watching(self, stop: asyncio.Event, settled: asyncio.Event) -> None:
        """Give up what takes too long, and then have the service *stop*, until all is *settled*."""
        while not await sleep_or_stop(settled, _LOOK_S):
            overdue_s = monotonic() - self._limit_s
            for job_id, began_s in list(self._began_s.items()):
                if began_s <= overdue_s and job_id not in self._stuck:
                    log.error("decode.stuck", extra={"job_id": job_id, "limit_s": self._limit_s})
                    self._stuck.add(job_id)
                    stop.set()
                waiting = self._waiting.get(job_id)
                if job_id in self._stuck and waiting is not None:
                    waiting.cancel()

    async def _watched(self, job_id: str, work: Future[T]) -> T:
        waiting = asyncio.wrap_future(work)
        self._waiting[job_id] = waiting  # type: ignore[assignment]  # only ever canceled
        try:
            return await waiting
        finally:
            self._waiting.pop(job_id, None)
