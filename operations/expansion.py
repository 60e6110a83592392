"""Expansion: a batch's items become jobs, a few at a time, as fast as there is room for them.

Per chunk: pictures onto the disk, jobs into the store, then the items are counted. What is killed
in between is repeated with the same ids: a job that is there already is not made again, and items
are counted once, in their order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from operations import stopping
from operations.room import Room
from operations.sources import Candidate, Source
from pipeline.batches.batch import Batch, Item, SourceFault
from pipeline.batches.store import BatchStore, Counted
from pipeline.clock import Clock
from pipeline.errors import DeadlinePassed, GwError, InvalidPicture, TenantBytesExceeded
from pipeline.jobs.job import Job
from pipeline.jobs.store import JobStore
from pipeline.pictures.blobs import FileBlobs
from pipeline.pictures.facts import picture_facts

log = logging.getLogger(__name__)

#: A chunk is bounded by both; the second may be passed by one picture.
CHUNK_ITEMS: Final = 32
CHUNK_BYTES: Final = 16 * 1024 * 1024

#: An expansion that was begun so often without getting further is given up.
ATTEMPTS_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionLimits:
    """How many jobs may wait for a device, and how large a picture may be."""

    waiting_max: int
    picture_max_pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """An item, and its job and picture where it is one."""

    item: Item
    job: Job | None = None
    data: bytes = field(default=b"", repr=False)

    @property
    def size_bytes(self) -> int:
        """Give how large the picture is."""
        return len(self.data)


class Expansion:
    """Expands batches."""

    def __init__(
        self,
        *,
        batches: BatchStore,
        jobs: JobStore,
        blobs: FileBlobs,
        clock: Clock,
        limits: ExpansionLimits,
        room: Room,
    ) -> None:
        self._batches = batches
        self._jobs = jobs
        self._blobs = blobs
        self._clock = clock
        self._limits = limits
        self._room = room

    async def run(self, batch: Batch, source: Source) -> None:
        """Expand *batch* to the end of *source*, from where it was counted to.

        Raises HandedBack when told to stop or when others are to have their turn, and Unavailable.
        """
        if batch.attempts >= ATTEMPTS_MAX:
            reason = f"the expansion broke off {batch.attempts} times at item {batch.counts.items}"
            await self._close(
                batch, batch.counts.items, reason_code="expansion_failed", reason=reason
            )
            return
        if not await self._batches.begin_attempt(batch):
            return
        counted = batch.counts.items
        bytes_max = await self._room.bytes_max(batch.tenant)
        try:
            async with aclosing(source.candidates(counted)) as candidates:
                async for chunk in _chunks(candidates):
                    prepared = [
                        self._prepare(batch, counted + offset, candidate, bytes_max)
                        for offset, candidate in enumerate(chunk)
                    ]
                    if not await self._expand(batch, prepared, first=counted):
                        return
                    counted += len(chunk)
        except SourceFault as fault:
            log.warning(
                "batch.unusable", extra={"batch_id": batch.batch_id, "reason_code": fault.code}
            )
            await self._close(batch, counted, reason_code=fault.code, reason=str(fault))
            return
        await self._close(batch, counted)

    async def _expand(self, batch: Batch, prepared: Sequence[_Prepared], *, first: int) -> bool:
        """Make jobs of *prepared* and count it; False when nothing more is to be expanded."""
        todo = await self._missing(prepared)
        while todo:
            room = await self._room.wait(batch, [each.size_bytes for each in todo])
            if room == 0:
                break
            await self._accept(todo[:room])
            # Asked anew, not concluded: what a killed expansion had made is not made again.
            todo = await self._missing(todo)
        if todo:
            # Withdrawn while it waited. What this chunk has made already counts when it is
            # settled; the rest never was.
            return False
        counted = await self._batches.add_items(
            batch.batch_id, [each.item for each in prepared], first=first
        )
        return counted is Counted.COUNTED

    async def _missing(self, prepared: Sequence[_Prepared]) -> list[_Prepared]:
        """Give those whose job is not there yet."""
        ids = [each.job.job_id for each in prepared if each.job is not None]
        absent = await self._jobs.absent(ids)
        return [each for each in prepared if each.job is not None and each.job.job_id in absent]

    async def _accept(self, prepared: Sequence[_Prepared]) -> None:
        """Store pictures and jobs, unless others have taken the room meanwhile."""
        jobs = [each.job for each in prepared if each.job is not None]
        await asyncio.to_thread(self._put_all, prepared)
        admission = await self._jobs.accept(
            jobs, waiting_max=self._limits.waiting_max, quota=await self._room.quota(jobs)
        )
        if admission.accepted:
            self._room.use(len(jobs))
        else:
            # A picture that waits long without its job would be swept.
            await asyncio.to_thread(self._delete_all, jobs)
            await self._room.pause()

    def _prepare(self, batch: Batch, index: int, candidate: Candidate, bytes_max: int) -> _Prepared:
        fault: GwError | None = candidate.fault
        if fault is None and 0 < bytes_max < len(candidate.data):
            fault = TenantBytesExceeded(f"it is larger than the tenant's {bytes_max} bytes")
        if fault is None:
            try:
                facts = picture_facts(candidate.data, max_pixels=self._limits.picture_max_pixels)
            except InvalidPicture as exc:
                fault = exc
        if fault is None and batch.template.is_past_deadline(self._clock.unix_ms()):
            fault = DeadlinePassed("the deadline passed before the item became a job")
        if fault is not None:
            return _Prepared(
                item=Item(name=candidate.name, error_code=fault.code, error=str(fault))
            )
        return _Prepared(
            item=Item(name=candidate.name), job=batch.job(index, facts), data=candidate.data
        )

    def _put_all(self, prepared: Sequence[_Prepared]) -> None:
        for each in prepared:
            if each.job is not None:
                self._blobs.put(each.job.job_id, each.data)

    def _delete_all(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._blobs.delete(job.job_id)

    async def _close(
        self, batch: Batch, items_total: int, *, reason_code: str = "", reason: str = ""
    ) -> None:
        await self._batches.close(
            batch.batch_id, items_total=items_total, reason_code=reason_code, reason=reason
        )
        log.info("batch.expanded", extra={"batch_id": batch.batch_id, "items": items_total})


async def _chunks(candidates: AsyncIterator[Candidate]) -> AsyncIterator[list[Candidate]]:
    chunk: list[Candidate] = []
    size_bytes = 0
    try:
        async for candidate in candidates:
            chunk.append(candidate)
            size_bytes += len(candidate.data)
            if len(chunk) >= CHUNK_ITEMS or size_bytes >= CHUNK_BYTES:
                yield chunk
                chunk, size_bytes = [], 0
                stopping.check()
        if chunk:
            yield chunk
    except SourceFault:
        # What came before the fault counts.
        if chunk:
            yield chunk
        raise
