"""Withdrawing: canceling a job that has not ended, removing one that has."""

from __future__ import annotations

import asyncio
import logging

from pipeline.clock import Clock
from pipeline.errors import NotFound, Unavailable
from pipeline.jobs.index import JobIndex
from pipeline.jobs.job import LIVE_STATES, Job, JobState
from pipeline.jobs.kept import Disposal, KeptPictures
from pipeline.jobs.store import JobStore, Move
from webapp.refusals import JobEnded, JobNotEnded

log = logging.getLogger(__name__)

REASON_CODE = "canceled"
_REASON = "the submitter withdrew the job"

#: A job changes its state a handful of times in its life.
_TRIES_MAX = 5


class Withdrawing:
    """Ends jobs at their submitters' wish."""

    def __init__(
        self,
        *,
        store: JobStore,
        index: JobIndex,
        kept: KeptPictures,
        disposal: Disposal,
        clock: Clock,
    ) -> None:
        self._store = store
        self._index = index
        self._kept = kept
        self._disposal = disposal
        self._clock = clock

    async def cancel(self, job: Job) -> Job:
        """End *job* as canceled, wherever it is; give its record.

        What a dispatcher still does for it is void: its late finish is refused. Raises JobEnded.
        """
        seen: Job | None = job
        for _ in range(_TRIES_MAX):
            if seen is None:
                raise NotFound("There is no job of this id.")
            if seen.state.is_terminal:
                raise JobEnded(seen.state)
            now_unix_ms = self._clock.unix_ms()
            (happened,) = await self._store.move([_canceled(seen, now_unix_ms)])
            if happened:
                log.info("job.canceled", extra={"job_id": job.job_id, "was": seen.state})
                await self._dispose(seen)
                break
            # It has gone on meanwhile, to another attempt or to its end.
            seen = await self._store.get(job.job_id)
        else:
            raise Unavailable("the job is changing hands right now", retry_after_s=1)
        return await self._store.get(job.job_id) or seen

    async def remove(self, job: Job) -> None:
        """Remove an ended job with all that is kept of it; raises JobNotEnded or NotFound.

        The files go last: what a crash leaves of them ends with their own retention.
        """
        state = await self._index.remove(job)
        if state == "gone":
            raise NotFound("There is no job of this id.")
        if state:
            raise JobNotEnded(state, hint="Cancel it first.")
        try:
            await asyncio.to_thread(self._kept.remove, job.job_id)
        except OSError as exc:
            log.warning(
                "picture.undeleted", extra={"job_id": job.job_id, "reason": str(exc.strerror)}
            )
        log.info("job.removed", extra={"job_id": job.job_id})

    async def _dispose(self, job: Job) -> None:
        try:
            await asyncio.to_thread(self._disposal.dispose, job)
        except OSError as exc:
            # What is not removed now is swept later.
            log.warning(
                "picture.undeleted", extra={"job_id": job.job_id, "reason": str(exc.strerror)}
            )


def _canceled(job: Job, now_unix_ms: int) -> Move:
    return Move(
        job=job,
        to=JobState.CANCELED,
        expected=LIVE_STATES,
        finished_unix_ms=now_unix_ms,
        reason_code=REASON_CODE,
        reason=_REASON,
    )
