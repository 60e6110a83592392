"""Recovering and replaying: deliveries put on their way in the background, at a rate.

Step by step: some places are read, their deliveries judged, and one script writes them with the
place that was come to. Each delivery is due a little after the one before, so that an endpoint
which has just come back is not run over; the notifier takes them as it takes every retry.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from operations import stopping
from operations.parts import OperationParts
from pipeline.clock import Clock
from pipeline.deliveries.delivery import Delivery, DeliveryState, place_of
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.deliveries.index import DeliveryIndex, id_at
from pipeline.deliveries.operation import Operation, OperationKind, OperationState
from pipeline.deliveries.operation_store import OperationStore, Sending, Step
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.errors import GwError
from pipeline.events.event import Event
from pipeline.events.job_events import event_of
from pipeline.events.log import EventLog, LoggedEvent
from pipeline.events.matching import deliveries_of
from pipeline.events.store import EventStore
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore

log = logging.getLogger(__name__)

#: So many places are worked on in one step.
STEP_PLACES: Final = 100

_ENDED: Final = frozenset({DeliveryState.DELIVERED, DeliveryState.EXHAUSTED})
_EXHAUSTED: Final = frozenset({DeliveryState.EXHAUSTED})
_NONE: Final[frozenset[DeliveryState]] = frozenset()

#: The two logs that a replay reads one after the other, as its cursor names them.
_JOBS, _OTHERS = "jobs:", "others:"
_LAST_OF_MS: Final = 2**64 - 1
_TERMINAL: Final = frozenset(state.value for state in JobState if state.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What one step is about: *deliveries* among *looked_at* places, and where the next begins."""

    deliveries: Sequence[Delivery]
    looked_at: int
    cursor: str
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainStores:
    """Where deliveries and events are read."""

    operations: OperationStore
    deliveries: DeliveryStore
    index: DeliveryIndex
    event_log: EventLog
    events: EventStore
    jobs: JobStore
    endpoints: EndpointStore
    receivers: ReceiverStore

    @classmethod
    def of(cls, parts: OperationParts) -> Self:
        """Make them of an operation's parts."""
        redis, keys = parts.redis, parts.keys
        retention_ms = parts.settings.service.job_retention_s * 1000
        return cls(
            operations=OperationStore(redis, keys, retention_ms=retention_ms),
            deliveries=DeliveryStore(redis, keys, retention_ms=retention_ms),
            index=DeliveryIndex(redis, keys),
            event_log=EventLog(redis, keys),
            events=parts.events,
            jobs=parts.jobs,
            endpoints=EndpointStore(redis, keys),
            receivers=ReceiverStore(redis, keys),
        )


class SendingAgain:
    """Works operations that recover or replay."""

    def __init__(self, stores: AgainStores, clock: Clock, *, per_s: float) -> None:
        self._stores = stores
        self._clock = clock
        self._per_s = per_s

    async def run(self, operation_id: str) -> str:
        """Take an operation to its end, from where it was; give the state it is left in.

        Raises HandedBack when told to stop, and Unavailable.
        """
        while True:
            stopping.check()
            operation = await self._stores.operations.get(operation_id)
            if operation is None:
                return "gone"
            if operation.state is not OperationState.RUNNING:
                return operation.state
            await self.step(operation)

    async def step(self, operation: Operation) -> bool:
        """Take one step; False when somebody else has taken it."""
        now_unix_ms = self._clock.unix_ms()
        endpoint = await self._stores.endpoints.get(operation.endpoint_id)
        fault = await self._fault(endpoint)
        if endpoint is None or fault:
            step = Step(
                sendings=(),
                cursor=operation.cursor,
                paced_unix_ms=operation.paced_unix_ms,
                state=OperationState.FAILED,
                reason=fault,
            )
        else:
            found = await self._candidates(operation, endpoint)
            step = self._step(operation, endpoint, found, now_unix_ms)
        is_taken = await self._stores.operations.advance(operation, step, now_unix_ms=now_unix_ms)
        if is_taken and step.state is not OperationState.RUNNING:
            log.info(
                "operation.ended",
                extra={"operation": operation.operation_id, "state": step.state},
            )
        return is_taken

    def _step(
        self, operation: Operation, endpoint: Endpoint, found: Candidates, now_unix_ms: int
    ) -> Step:
        per_s = min(self._per_s, endpoint.rate_per_s or self._per_s)
        due = float(max(now_unix_ms, operation.paced_unix_ms))
        is_recovery = operation.kind is OperationKind.RECOVER
        missing = _NONE if operation.only_missing else _ENDED
        sendings = []
        for delivery in found.deliveries:
            sendings.append(
                Sending(
                    delivery=replace(delivery, due_unix_ms=int(due)),
                    due_unix_ms=int(due),
                    states=_EXHAUSTED if is_recovery else missing,
                    may_be_made=not is_recovery,
                )
            )
            due += 1000 / per_s
        return Step(
            sendings=sendings,
            cursor=found.cursor,
            paced_unix_ms=int(due),
            passed_over=found.looked_at - len(sendings),
            state=OperationState.COMPLETED if found.is_last else OperationState.RUNNING,
        )

    async def _fault(self, endpoint: Endpoint | None) -> str:
        if endpoint is None:
            return "endpoint_removed"
        (health,) = await self._stores.receivers.get_many([endpoint.endpoint_id])
        return "" if endpoint.enabled and not health.disabled_reason else "endpoint_disabled"

    async def _candidates(self, operation: Operation, endpoint: Endpoint) -> Candidates:
        if operation.kind is OperationKind.RECOVER:
            return await self._exhausted(operation)
        log_name, _, place = operation.cursor.partition(":")
        if f"{log_name}:" == _OTHERS:
            return await self._other_events(operation, endpoint, place)
        return await self._ends(operation, endpoint, place)

    async def _exhausted(self, operation: Operation) -> Candidates:
        places = await self._stores.index.exhausted_after(
            operation.tenant,
            operation.cursor or place_of(operation.from_unix_ms),
            until_unix_ms=operation.until_unix_ms,
            limit=STEP_PLACES,
        )
        records = await self._stores.deliveries.get_many([id_at(place) for place in places])
        return Candidates(
            deliveries=[
                each for each in records if each and each.endpoint_id == operation.endpoint_id
            ],
            looked_at=len(places),
            cursor=places[-1] if places else operation.cursor,
            is_last=len(places) < STEP_PLACES,
        )

    async def _ends(self, operation: Operation, endpoint: Endpoint, place: str) -> Candidates:
        """Give the ends of jobs behind *place* of the tenant's log."""
        rows = await self._stores.event_log.after(
            operation.tenant,
            place or f"{operation.from_unix_ms - 1}-{_LAST_OF_MS}",
            limit=STEP_PLACES,
        )
        within = [row for row in rows if row.unix_ms < operation.until_unix_ms]
        is_through = len(within) < STEP_PLACES
        ends = [row for row in within if row.event in _TERMINAL]
        return Candidates(
            deliveries=[
                delivery
                for event in await self._events_of(ends)
                for delivery in _to(endpoint, event, job_id=event.subject)
            ],
            looked_at=len(ends),
            cursor=_OTHERS if is_through else f"{_JOBS}{within[-1].cursor}",
            is_last=False,
        )

    async def _other_events(
        self, operation: Operation, endpoint: Endpoint, place: str
    ) -> Candidates:
        places = await self._stores.index.events_after(
            operation.tenant,
            place or place_of(operation.from_unix_ms),
            until_unix_ms=operation.until_unix_ms,
            limit=STEP_PLACES,
        )
        events = await self._stores.events.get_many([id_at(each) for each in places])
        return Candidates(
            deliveries=[
                delivery
                for event in events
                if event is not None
                for delivery in _to(endpoint, event, job_id="")
            ],
            looked_at=len(places),
            cursor=f"{_OTHERS}{places[-1]}" if places else operation.cursor,
            is_last=len(places) < STEP_PLACES,
        )

    async def _events_of(self, ends: Sequence[LoggedEvent]) -> list[Event]:
        jobs = await self._stores.jobs.get_many([each.job_id for each in ends]) if ends else []
        events = []
        for job in jobs:
            if job is None or not job.state.is_terminal:
                continue
            try:
                events.append(event_of(job))
            except (GwError, ValueError) as exc:
                log.error("record.unreadable", extra={"job_id": job.job_id, "reason": str(exc)})
        return events


def sending_again_of(parts: OperationParts) -> SendingAgain:
    """Make what recovers and replays."""
    return SendingAgain(AgainStores.of(parts), parts.clock, per_s=parts.settings.replay_per_s)


def _to(endpoint: Endpoint, event: Event, *, job_id: str) -> list[Delivery]:
    """Give the delivery of *event* to *endpoint*, outside its order; none where it gets none."""
    made = deliveries_of(event, [endpoint], [endpoint], job_id=job_id)
    return [replace(each, order="") for each in made if each.endpoint_id == endpoint.endpoint_id]
