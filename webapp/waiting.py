"""Waiting for jobs to end: one subscription for the whole process, and a poll that never trusts it.

Pub/sub messages can be lost (a reconnect, an overflowing buffer), so every job that somebody waits
for is also read once a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from starlette.types import Receive

from pipeline.errors import Unavailable
from pipeline.jobs.ended import EndedJobs
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import sleep_or_stop
from webapp.body import disconnected

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0
_RESUBSCRIBE_AFTER_S = 0.5

#: Past this many nobody else may wait: their answer is an ordinary 202.
WAITERS_MAX = 2000


class Waiter:
    """One request that waits for some jobs."""

    def __init__(self, job_ids: Iterable[str]) -> None:
        self.missing = set(job_ids)
        self._all_ended = asyncio.Event()

    def note(self, job_id: str) -> None:
        """Take note of a job's end."""
        self.missing.discard(job_id)
        if not self.missing:
            self._all_ended.set()

    def give_up(self) -> None:
        """Stop waiting: the service stops."""
        self._all_ended.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until every job has ended, at most *timeout_s*; tell whether they have."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_ended.wait()
        except TimeoutError:
            return False
        return not self.missing


async def ended_unless_gone(receive: Receive, waiter: Waiter, wait_s: float) -> bool:
    """Wait for the jobs' ends, but not longer than the caller, whose whole body was received."""
    waiting = asyncio.ensure_future(waiter.wait(wait_s))
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
        return waiting.done() and waiting.result()
    finally:
        waiting.cancel()
        gone.cancel()


class EndWatcher:
    """Tells waiters which jobs have ended."""

    def __init__(self, ended_jobs: EndedJobs, store: JobStore) -> None:
        self._ended_jobs = ended_jobs
        self._store = store
        self._waiters: dict[str, set[Waiter]] = defaultdict(set)
        #: How many requests wait.
        self.waiters = 0
        self._is_stopping = False

    @property
    def has_room(self) -> bool:
        """Whether one more request may wait."""
        return self.waiters < WAITERS_MAX and not self._is_stopping

    @contextmanager
    def watch(self, job_ids: Sequence[str]) -> Iterator[Waiter]:
        """Watch *job_ids*, from before they are accepted: so no end can be missed."""
        waiter = Waiter(job_ids)
        self.waiters += 1
        for job_id in job_ids:
            self._waiters[job_id].add(waiter)
        try:
            yield waiter
        finally:
            self.waiters -= 1
            for job_id in job_ids:
                self._waiters[job_id].discard(waiter)
                if not self._waiters[job_id]:
                    del self._waiters[job_id]

    def release_all(self) -> None:
        """Let everybody go, and nobody wait any more: the service stops."""
        self._is_stopping = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.give_up()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen and poll until *stop* is set."""
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen(), name="listen-for-ends")
            tasks.create_task(self._poll(stop), name="poll-for-ends")
            await stop.wait()
            listening.cancel()

    async def _listen(self) -> None:
        while True:
            try:
                await self._ended_jobs.listen(self._ended)
            except Unavailable as exc:
                log.debug("subscription.lost", extra={"reason": str(exc)})
            await asyncio.sleep(_RESUBSCRIBE_AFTER_S)

    async def _poll(self, stop: asyncio.Event) -> None:
        while not await sleep_or_stop(stop, POLL_INTERVAL_S):
            job_ids = list(self._waiters)
            if not job_ids:
                continue
            try:
                jobs = await self._store.get_many(job_ids)
            except Unavailable as exc:
                log.warning("poll.failed", extra={"reason": str(exc)})
                continue
            for job in jobs:
                # One that is not there yet is being accepted.
                if job is not None and job.state.is_terminal:
                    self._ended(job.job_id)

    def _ended(self, job_id: str) -> None:
        for waiter in self._waiters.get(job_id, ()):
            waiter.note(job_id)
