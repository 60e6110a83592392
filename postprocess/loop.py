"""Claim inferred jobs, judge them, end them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.errors import DeadlinePassed, GwError, MalformedMessage, Unavailable
from pipeline.following import PAUSE_S, follow
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.catalogue import Catalogue
from pipeline.models.rules import Rules
from pipeline.protocol import POSTPROCESS_GROUP, JobInferred, Keyspace
from pipeline.streams import Entry, StreamReader
from postprocess.document import result_document
from postprocess.judgement import judge

log = logging.getLogger(__name__)


class RulesMissing(GwError):
    """The rules that the dispatcher named are not published: the job cannot be judged."""

    code = "rules_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A readable entry with its job."""

    entry: Entry
    inferred: JobInferred
    job: Job


class Postprocess:
    """The service's one loop."""

    def __init__(
        self, *, reader: StreamReader, store: JobStore, catalogue: Catalogue, clock: Clock
    ) -> None:
        self._reader = reader
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        # Rules never change under their sha256, and a box has a handful of models.
        self._rules: dict[str, Rules] = {}

    async def run(self, keys: Keyspace, stop: asyncio.Event, *, batch_size: int) -> None:
        """Judge jobs until *stop* is set; a claimed batch is finished first.

        A batch takes milliseconds, far less than its lease, so leases are not renewed.
        """
        async for entries in follow(self._reader, keys.results, stop, room=lambda: batch_size):
            for first in range(0, len(entries), batch_size):
                await self._settle(entries[first : first + batch_size], stop)

    async def _settle(self, entries: Sequence[Entry], stop: asyncio.Event) -> None:
        """End the jobs of *entries*, however long Redis is away in between."""
        while True:
            try:
                await self.settle(entries)
            except Unavailable as exc:
                log.warning("results.unsettled", extra={"size": len(entries), "reason": str(exc)})
                # A stopping service leaves them claimed: its next life finds them.
                if await sleep_or_stop(stop, PAUSE_S):
                    return
            else:
                return

    async def settle(self, entries: Sequence[Entry]) -> None:
        """End the jobs of *entries* in one round trip each for reading and writing."""
        jobs = await self._store.get_many([entry.fields.get("job_id", "") for entry in entries])
        moves: list[Move] = []
        parked: list[tuple[Entry, str]] = []
        for entry, job in zip(entries, jobs, strict=True):
            if job is None:
                parked.append((entry, f"no readable record of {entry.fields.get('job_id')}"))
                continue
            try:
                inferred = JobInferred.from_fields(entry.fields)
            except MalformedMessage as exc:
                # The job ends all the same, before its entry is put aside for the operator.
                moves.append(self._fail(job, exc))
                parked.append((entry, str(exc)))
            else:
                moves.append(await self._judged(Claimed(entry=entry, inferred=inferred, job=job)))
        await self._move(moves)
        for entry, reason in parked:
            await self._reader.park(entry, reason)

    async def _move(self, moves: Sequence[Move]) -> None:
        moved = await self._store.move(moves) if moves else []
        for move, happened in zip(moves, moved, strict=True):
            event = f"job.{move.to}" if happened else "job.stale_result"
            log.debug(event, extra={"job_id": move.job.job_id})

    async def _judged(self, claimed: Claimed) -> Move:
        """Give the move that ends the job: succeeded, failed where its rules fail, or expired.

        The one broad except of this service: whatever a rule does to one job, it fails alone.
        """
        now_unix_ms = self._clock.unix_ms()
        if claimed.job.is_past_deadline(now_unix_ms):
            late = DeadlinePassed("the deadline passed before the result was ready")
            return self._fail(claimed.job, late, cause=claimed.entry)
        try:
            result = await self._result(claimed, now_unix_ms)
        except Unavailable:
            raise
        except Exception as exc:
            log.exception("job.broken", extra={"job_id": claimed.job.job_id})
            return self._fail(claimed.job, exc, cause=claimed.entry)
        return Move(
            job=claimed.job,
            to=JobState.SUCCEEDED,
            expected=frozenset({JobState.INFERRED}),
            finished_unix_ms=now_unix_ms,
            result=result,
            cause=claimed.entry,
            group=POSTPROCESS_GROUP,
        )

    def _fail(self, job: Job, exc: Exception, *, cause: Entry | None = None) -> Move:
        return Move(
            job=job,
            to=JobState.EXPIRED if isinstance(exc, DeadlinePassed) else JobState.FAILED,
            expected=frozenset({JobState.INFERRED}),
            finished_unix_ms=self._clock.unix_ms(),
            reason_code=exc.code if isinstance(exc, GwError) else "postprocess_failed",
            reason=str(exc) if isinstance(exc, GwError) else "the business rules failed",
            cause=cause,
            group=POSTPROCESS_GROUP,
        )

    async def _result(self, claimed: Claimed, now_unix_ms: int) -> str:
        inferred = claimed.inferred
        judgement = judge(
            inferred.findings,
            await self._rules_of(inferred.rules_sha256),
            width_px=inferred.width_px,
            height_px=inferred.height_px,
        )
        return result_document(claimed.job, inferred, judgement, now_unix_ms=now_unix_ms)

    async def _rules_of(self, sha256: str) -> Rules:
        if sha256 not in self._rules:
            rules = await self._catalogue.rules(sha256)
            if rules is None:
                raise RulesMissing("the model's rules are not published any more")
            self._rules[sha256] = rules
        return self._rules[sha256]
