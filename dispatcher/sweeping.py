"""What no job's own way takes care of: deadlines that pass in the queue, pictures left behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pipeline.clock import Clock
from pipeline.errors import DeadlinePassed, Unavailable
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.kept import Disposal
from pipeline.jobs.store import JobStore, Move
from pipeline.lifecycle import sleep_or_stop
from pipeline.pictures.blobs import FileBlobs

log = logging.getLogger(__name__)

#: How late an expiry may be told.
DEADLINE_INTERVAL_S = 0.5

#: Pictures without a live job are looked for this often, and only among those older than that: a
#: picture is stored a moment before its job.
ORPHAN_INTERVAL_S = 600.0

_ROUND_TRIP_MAX = 128

#: So many overdue jobs are looked at in one sweep. More are not held by dispatchers at once.
_OVERDUE_MAX = 10_000

#: Where a job waits for a service that may be away for long.
_WAITING = (JobState.QUEUED, JobState.INFERRED)

#: What a later sweep may not meet any more: Redis away, or a disk that refuses.
_TROUBLE = (Unavailable, OSError)


class Sweeper:
    """The two sweeps. Both are safe to run in several dispatchers at once."""

    def __init__(
        self, *, store: JobStore, blobs: FileBlobs, disposal: Disposal, clock: Clock
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._disposal = disposal
        self._clock = clock

    async def keep_expiring(self, stop: asyncio.Event) -> None:
        """End waiting jobs when their deadline passes, whether or not a device is there."""
        while not await sleep_or_stop(stop, DEADLINE_INTERVAL_S):
            try:
                await self.expire()
            except _TROUBLE as exc:
                log.warning("deadlines.unswept", extra={"reason": str(exc)})

    async def expire(self) -> int:
        """Expire the waiting jobs whose deadline has passed; give how many."""
        now_unix_ms = self._clock.unix_ms()
        # All of them: the most overdue may be running, and must not hide those that wait.
        ids = await self._store.past_deadline(now_unix_ms=now_unix_ms, limit=_OVERDUE_MAX)
        expired = 0
        for first in range(0, len(ids), _ROUND_TRIP_MAX):
            expired += await self._expire_some(ids[first : first + _ROUND_TRIP_MAX], now_unix_ms)
        return expired

    async def _expire_some(self, ids: Sequence[str], now_unix_ms: int) -> int:
        jobs = await self._store.get_many(ids)
        unread = [job_id for job_id, job in zip(ids, jobs, strict=True) if job is None]
        for job_id in await self._store.absent(unread):
            await self._store.forget_deadline(job_id)
        # A job that is running is expired by its dispatcher, at the next boundary.
        waiting = [job for job in jobs if job is not None and job.state in _WAITING]
        if not waiting:
            return 0
        fault = DeadlinePassed("the deadline passed while the job was waiting")
        moves = [
            Move(
                job=job,
                to=JobState.EXPIRED,
                finished_unix_ms=now_unix_ms,
                reason_code=fault.code,
                reason=str(fault),
            )
            for job in waiting
        ]
        answers = await self._store.move(moves)
        expired = [job for job, moved in zip(waiting, answers, strict=True) if moved]
        for job in expired:
            log.info("job.expired", extra={"job_id": job.job_id})
            await asyncio.to_thread(self._disposal.dispose, job)
        return len(expired)

    async def keep_removing_orphans(self, stop: asyncio.Event) -> None:
        """Remove pictures whose job has ended or never came to be."""
        while not await sleep_or_stop(stop, ORPHAN_INTERVAL_S):
            try:
                await self.remove_orphans(older_than_s=ORPHAN_INTERVAL_S)
            except _TROUBLE as exc:
                log.warning("orphans.unswept", extra={"reason": str(exc)})

    async def remove_orphans(self, *, older_than_s: float) -> int:
        """Remove pictures older than this without a live job; give how many."""
        before_unix_ms = self._clock.unix_ms() - int(older_than_s * 1000)
        names = await asyncio.to_thread(lambda: list(self._blobs.older_than(before_unix_ms)))
        removed = 0
        for first in range(0, len(names), _ROUND_TRIP_MAX):
            chunk = names[first : first + _ROUND_TRIP_MAX]
            jobs = dict(zip(chunk, await self._store.get_many(chunk), strict=True))
            orphans = await self._store.absent([name for name, job in jobs.items() if job is None])
            for name in orphans:
                await asyncio.to_thread(self._blobs.delete, name)
            ended = [job for job in jobs.values() if job and not _needs_picture(job)]
            for job in ended:
                await asyncio.to_thread(self._disposal.dispose, job)
            removed += len(orphans) + len(ended)
        if removed:
            log.info("orphans.removed", extra={"count": removed})
        return removed


def _needs_picture(job: Job) -> bool:
    return job.state in (JobState.QUEUED, JobState.RUNNING)
