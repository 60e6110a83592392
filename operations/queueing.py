"""Asking RQ for operations, each under an id of our own: asked twice it is there once.

Everything here blocks: run it in a thread. Every method raises Unavailable while Redis is away.
"""

from __future__ import annotations

import logging
from typing import Final

from redis import Redis

from operations.planning import Act, RqJob, RqState, act_on
from operations.rq_names import (
    FAILURE_TTL_S,
    RESULT_TTL_S,
    RETRIES,
    SERIALIZER,
    DuplicateJobError,
    JobStatus,
    NoSuchJobError,
    Retry,
    RqRecord,
    rq_queue,
)
from pipeline.clock import Clock
from pipeline.connection import redis_errors

log = logging.getLogger(__name__)

#: No operation is this long; it bounds one that hangs.
_TIMEOUT_S: Final = 24 * 3600

ADVANCE_BATCH: Final = "operations.tasks.advance_batch"
SEND_AGAIN: Final = "operations.tasks.send_again"
SWEEP: Final = "operations.tasks.sweep"

_STATES: Final = {
    JobStatus.STARTED: RqState.STARTED,
    JobStatus.FINISHED: RqState.FINISHED,
    JobStatus.FAILED: RqState.FAILED,
    JobStatus.STOPPED: RqState.FAILED,
    JobStatus.CANCELED: RqState.FAILED,
}


class OperationQueue:
    """One queue of RQ, and what this process remembers of its jobs."""

    def __init__(self, connection: Redis, name: str, *, clock: Clock, own_prefix: str) -> None:
        self._connection = connection
        self._queue = rq_queue(name, connection)
        self._clock = clock
        self._own_prefix = own_prefix
        # Since when, by our own monotonic clock, a job was seen in the state it is in.
        self._seen: dict[str, tuple[RqState, float]] = {}

    def ensure(
        self, operation_id: str, argument: str, *, worker: str, function: str = ADVANCE_BATCH
    ) -> Act:
        """See to it that RQ has, or works, *function* of *argument*; tell what was done for it."""
        job = self._look(operation_id)
        act = act_on(job, worker=worker, own_prefix=self._own_prefix)
        if act is Act.NOTHING:
            return act
        with redis_errors():
            if act is Act.RENEW:
                log.info(
                    "operation.renewed",
                    extra={"operation": operation_id, "was": job.state.name.lower()},
                )
                self._forget(operation_id)
            self._enqueue(operation_id, function, argument, RESULT_TTL_S)
        self._seen.pop(operation_id, None)
        return act

    def sweep(self, operation_id: str, name: str, *, remember_s: int) -> None:
        """Ask for a sweep, unless it was asked for under this id in the last *remember_s*."""
        with redis_errors():
            self._enqueue(operation_id, SWEEP, name, remember_s)

    def forget_others(self, operation_ids: set[str]) -> None:
        """Drop what is remembered of operations that nobody needs any more."""
        for operation_id in self._seen.keys() - operation_ids:
            del self._seen[operation_id]

    def _look(self, operation_id: str) -> RqJob:
        with redis_errors():
            state, worker = self._rq_state(operation_id)
        now_ms = self._clock.monotonic_ms()
        before, since_ms = self._seen.get(operation_id, (None, now_ms))
        if before is not state:
            since_ms = now_ms
            self._seen[operation_id] = (state, now_ms)
        return RqJob(state=state, worker=worker, since_ms=now_ms - since_ms)

    def _rq_state(self, operation_id: str) -> tuple[RqState, str]:
        try:
            job = RqRecord.fetch(operation_id, connection=self._connection, serializer=SERIALIZER)
        except NoSuchJobError:
            return RqState.ABSENT, ""
        status = job.get_status(refresh=False)
        if status in _STATES:
            return _STATES[status], job.worker_name or ""
        is_listed = self._connection.lpos(self._queue.key, operation_id) is not None
        return (RqState.WAITING if is_listed else RqState.UNLISTED), ""

    def _forget(self, operation_id: str) -> None:
        self._connection.lrem(self._queue.intermediate_queue_key, 0, operation_id)
        try:
            job = RqRecord.fetch(operation_id, connection=self._connection, serializer=SERIALIZER)
        except NoSuchJobError:
            return
        for execution in job.get_executions():
            with self._connection.pipeline() as pipe:
                execution.delete(job, pipe)
                pipe.execute()
        job.delete()

    def _enqueue(self, operation_id: str, function: str, argument: str, result_ttl_s: int) -> None:
        try:
            self._queue.enqueue(
                function,
                argument,
                job_id=operation_id,
                unique=True,
                description=f"{function.rpartition('.')[2]} {argument}",
                job_timeout=_TIMEOUT_S,
                result_ttl=result_ttl_s,
                failure_ttl=FAILURE_TTL_S,
                retry=Retry(max=RETRIES),
            )
        except DuplicateJobError:
            log.debug("operation.asked_before", extra={"operation": operation_id})
