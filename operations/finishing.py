"""The other steps of a batch: withdrawing it, collecting its results, ending it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from operations import stopping
from operations.expansion import CHUNK_ITEMS
from pipeline.batches.batch import Batch, Item
from pipeline.batches.documents import batch_document
from pipeline.batches.files import BatchFiles
from pipeline.batches.results import PAGE_ITEMS, result_lines
from pipeline.batches.store import BatchStore
from pipeline.clock import Clock
from pipeline.errors import Unavailable
from pipeline.events.event import Event, EventType
from pipeline.events.store import EventStore
from pipeline.ids import event_id_of
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore, Move

log = logging.getLogger(__name__)

_REASON_CODE: Final = "batch_canceled"


class Finishing:
    """Withdraws and ends batches. *dispose* does away with a canceled job's picture; it blocks."""

    def __init__(
        self,
        *,
        batches: BatchStore,
        jobs: JobStore,
        events: EventStore,
        files: BatchFiles,
        dispose: Callable[[Job], None],
        clock: Clock,
    ) -> None:
        self._batches = batches
        self._jobs = jobs
        self._events = events
        self._files = files
        self._dispose = dispose
        self._clock = clock

    async def withdraw(self, batch: Batch) -> None:
        """Cancel what waits of *batch*; what is on a device goes to its end."""
        await self._count_uncounted(batch)
        current = await self._batches.get(batch.batch_id)
        if current is None:
            return
        canceled = 0
        for first in range(0, current.counts.items, PAGE_ITEMS):
            stopping.check()
            last = min(first + PAGE_ITEMS, current.counts.items)
            ids = [current.job_id(index) for index in range(first, last)]
            canceled += await self._cancel(await self._jobs.get_many(ids))
        await self._batches.set_withdrawn(batch.batch_id)
        log.info("batch.withdrawn", extra={"batch_id": batch.batch_id, "canceled": canceled})

    async def finish(self, batch: Batch) -> None:
        """Write the results of *batch*, announce its end, end it, and remove its source.

        Each of these may be repeated: the announcement has an id of its own.
        """
        await self.collect(batch)
        now_unix_ms = self._clock.unix_ms()
        ended = replace(batch, state=batch.final_state, finished_unix_ms=now_unix_ms)
        await self._events.announce(
            Event(
                event_id=event_id_of(batch.batch_id),
                tenant=batch.tenant,
                type=EventType.BATCH_COMPLETED,
                subject=batch.batch_id,
                unix_ms=now_unix_ms,
                data=batch_document(ended),
                subscribers=batch.template.subscribers,
                model=batch.template.model,
                reference=batch.template.reference,
            )
        )
        if await self._batches.end(batch, now_unix_ms=now_unix_ms):
            log.info(
                "batch.ended",
                extra={
                    "batch_id": batch.batch_id,
                    "state": batch.final_state,
                    "jobs": batch.counts.jobs,
                    "refused": batch.counts.refused,
                },
            )
        await asyncio.to_thread(self._files.remove_source, batch.batch_id)

    async def collect(self, batch: Batch) -> None:
        """Write the result lines so far into the batch's file, over the ones before."""
        path = self._files.results(batch.batch_id)
        file = await asyncio.to_thread(self._files.begin, path)
        try:
            async for page in self._lines(batch):
                stopping.check()
                text = "".join(f"{line}\n" for line in page)
                await asyncio.to_thread(file.write, text.encode("utf-8", "replace"))
            await asyncio.to_thread(self._files.commit, file, path)
        except OSError as exc:
            raise Unavailable(f"the results cannot be stored: {exc.strerror}") from exc
        finally:
            self._files.discard(file, path)

    def _lines(self, batch: Batch) -> AsyncIterator[list[str]]:
        return result_lines(
            batch,
            batches=self._batches,
            jobs=self._jobs,
            earlier=self._files.results(batch.batch_id),
        )

    async def _count_uncounted(self, batch: Batch) -> None:
        """Count the jobs that a killed expansion made and did not come to count."""
        first = batch.counts.items
        ids = [batch.job_id(first + offset) for offset in range(CHUNK_ITEMS)]
        absent = await self._jobs.absent(ids)
        last = max((at for at, job_id in enumerate(ids) if job_id not in absent), default=-1)
        items = [
            Item(name="", error_code=_REASON_CODE, error="the batch was withdrawn")
            if job_id in absent
            else Item(name="")
            for job_id in ids[: last + 1]
        ]
        if items:
            await self._batches.add_items(batch.batch_id, items, first=first)

    async def _cancel(self, jobs: list[Job | None]) -> int:
        waiting = [job for job in jobs if job is not None and job.state is JobState.QUEUED]
        if not waiting:
            return 0
        moves = [
            Move(
                job=job,
                to=JobState.CANCELED,
                finished_unix_ms=self._clock.unix_ms(),
                reason_code=_REASON_CODE,
                reason="the batch was withdrawn",
            )
            for job in waiting
        ]
        answers = await self._jobs.move(moves)
        canceled = [job for job, moved in zip(waiting, answers, strict=True) if moved]
        for job in canceled:
            try:
                await asyncio.to_thread(self._dispose, job)
            except OSError as exc:
                # What is not removed now is swept later.
                log.warning(
                    "picture.undeleted", extra={"job_id": job.job_id, "reason": str(exc.strerror)}
                )
        return len(canceled)
