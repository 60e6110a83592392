"""From claimed entries to lanes: records looked up, receivers judged, each let in or put off."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from egress.brokers import is_broker, parse_broker
from egress.targets import Target, parse_target
from notifier.attempt import Due
from notifier.breaker import Passage
from notifier.health import Receivers
from notifier.lanes import Lanes
from notifier.settling import Settling
from pipeline.clock import Clock
from pipeline.deliveries.delivery import Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.errors import GwError, MalformedMessage, Unavailable
from pipeline.events.event import Event
from pipeline.events.job_events import event_of
from pipeline.events.store import EventStore
from pipeline.jobs.store import JobStore
from pipeline.protocol import DeliveryDue, Keyspace
from pipeline.streams import Entry, StreamReader

log = logging.getLogger(__name__)

#: A delivery that came between two probes looks again so much later.
_PROBE_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where the notifier reads and writes."""

    jobs: JobStore
    deliveries: DeliveryStore
    endpoints: EndpointStore
    events: EventStore
    receivers: ReceiverStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    entry: Entry
    delivery: Delivery
    event: Event
    endpoint: Endpoint | None


@dataclass(slots=True, kw_only=True)
class _Turns:
    left: int
    wait_s: float


class Intake:
    """Puts claimed entries into lanes, or ends or puts off what cannot go now."""

    def __init__(
        self,
        *,
        keys: Keyspace,
        reader: StreamReader,
        stores: Stores,
        receivers: Receivers,
        settling: Settling,
        clock: Clock,
    ) -> None:
        self._retries = keys.retries
        self._reader = reader
        self._stores = stores
        self._receivers = receivers
        self._settling = settling
        self._clock = clock

    async def take(self, entries: Sequence[Entry], lanes: Lanes[Due]) -> None:
        """Put *entries* into their lanes. While Redis is away they stay claimed."""
        try:
            due = await self._due(await self._found(entries))
            await self._receivers.look_at(sorted({each.receiver for each in due}))
            turns = await self._turns(due)
            for each in due:
                await self._enter(each, lanes, turns)
        except Unavailable as exc:
            # Their leases run out and somebody claims them again.
            log.warning("deliveries.untaken", extra={"size": len(entries), "reason": str(exc)})

    async def _found(self, entries: Sequence[Entry]) -> list[_Found]:
        parsed = []
        for entry in entries:
            try:
                parsed.append((entry, DeliveryDue.from_fields(entry.fields)))
            except MalformedMessage as exc:
                await self._reader.park(entry, str(exc))
        deliveries = await self._stores.deliveries.get_many([due.delivery_id for _, due in parsed])
        known = []
        for (entry, due), delivery in zip(parsed, deliveries, strict=True):
            if delivery is None or delivery.state is not DeliveryState.PENDING:
                await self._reader.park(entry, f"no pending record of {due.delivery_id}")
            else:
                known.append((entry, delivery))
        events = await self._events([delivery for _, delivery in known])
        endpoint_ids = sorted({delivery.endpoint_id for _, delivery in known} - {""})
        found = await self._stores.endpoints.get_many(endpoint_ids)
        endpoints = dict(zip(endpoint_ids, found, strict=True))
        whole = []
        for (entry, delivery), event in zip(known, events, strict=True):
            if event is None:
                # Ended and not parked: in an order the next one waits for it.
                self._settling.give_up(entry, delivery, "event_gone")
            else:
                endpoint = endpoints.get(delivery.endpoint_id)
                whole.append(_Found(entry=entry, delivery=delivery, event=event, endpoint=endpoint))
        return whole

    async def _events(self, deliveries: Sequence[Delivery]) -> list[Event | None]:
        job_ids = sorted({each.job_id for each in deliveries} - {""})
        jobs = dict(zip(job_ids, await self._stores.jobs.get_many(job_ids), strict=True))
        event_ids = sorted({each.event_id for each in deliveries if not each.job_id})
        events = dict(zip(event_ids, await self._stores.events.get_many(event_ids), strict=True))
        made: list[Event | None] = []
        for each in deliveries:
            if not each.job_id:
                made.append(events.get(each.event_id))
                continue
            job = jobs.get(each.job_id)
            try:
                made.append(event_of(job) if job is not None else None)
            except ValueError as exc:
                log.error("record.unreadable", extra={"job_id": each.job_id, "reason": str(exc)})
                made.append(None)
        return made

    async def _due(self, found: Sequence[_Found]) -> list[Due]:
        """Give what can be attempted at all, and hold its claims."""
        due = []
        for each in found:
            delivery, endpoint = each.delivery, each.endpoint
            if delivery.endpoint_id and endpoint is None:
                self._settling.give_up(each.entry, delivery, "endpoint_removed")
                continue
            url = endpoint.url if endpoint else delivery.url
            try:
                origin = _origin_of(url, endpoint)
            except GwError as exc:
                self._settling.give_up(each.entry, delivery, exc.code)
                continue
            if not self._settling.hold(each.entry):
                continue
            due.append(
                Due(
                    entry=each.entry,
                    delivery=delivery,
                    event=each.event,
                    receiver=endpoint.endpoint_id if endpoint else _receiver_of(origin),
                    url=url,
                    secret=delivery.secret,
                    endpoint=endpoint,
                )
            )
        return due

    async def _turns(self, due: Sequence[Due]) -> dict[str, _Turns]:
        """Take turns for receivers with a rate: how many of *due* go now."""
        wanted: dict[str, list[Due]] = {}
        for each in due:
            if not each.delivery.once and math.isfinite(self._rate_per_s(each)):
                wanted.setdefault(each.receiver, []).append(each)
        turns = {}
        for receiver, those in wanted.items():
            if self._receivers.gate(receiver).passage is not Passage.FREE:
                continue
            granted = await self._stores.receivers.take_turns(
                receiver,
                rate_per_s=min(self._rate_per_s(each) for each in those),
                wanted=len(those),
                now_unix_ms=self._clock.unix_ms(),
            )
            turns[receiver] = _Turns(left=granted.granted, wait_s=granted.wait_ms / 1000)
        return turns

    def _rate_per_s(self, due: Due) -> float:
        """Give the rate that *due* has to keep: its endpoint's, and that of catching up.

        What is new and waits for nothing is not part of catching up.
        """
        own = due.endpoint.rate_per_s if due.endpoint else 0.0
        has_waited = due.delivery.order or due.entry.stream == self._retries
        catch_up = self._receivers.catch_up_per_s(due.receiver) if has_waited else math.inf
        return min(own or math.inf, catch_up)

    async def _enter(self, due: Due, lanes: Lanes[Due], turns: Mapping[str, _Turns]) -> None:
        entry, delivery, receiver = due.entry, due.delivery, due.receiver
        if not delivery.once:
            if due.endpoint and not due.endpoint.enabled:
                self._settling.give_up(entry, delivery, "endpoint_disabled")
                return
            admitted = await self._admitted(due)
            if admitted is None:
                return
            due = admitted
            share = turns.get(receiver)
            if share is not None and math.isfinite(self._rate_per_s(due)):
                share.left -= 1
                if share.left < 0:
                    delay_s = share.wait_s
                    self._settling.postpone(entry, delivery, delay_s=delay_s, receiver=receiver)
                    return
        concurrency = due.endpoint.concurrency if due.endpoint else 0
        is_retry = entry.stream == self._retries
        # An example does not wait behind what it may be meant to explain.
        lane = f"{receiver} example" if delivery.once else receiver
        if not lanes.offer(lane, due, is_retry=is_retry, concurrency=concurrency or None):
            delay_s = lanes.put_off_s(receiver)
            self._settling.postpone(entry, delivery, delay_s=delay_s, receiver=receiver)

    async def _admitted(self, due: Due) -> Due | None:
        """Give what may go now, marked if it is a probe; None when it was put off or ended."""
        gate = self._receivers.gate(due.receiver)
        if gate.passage is Passage.FREE:
            return due
        if gate.passage is Passage.REFUSED:
            self._settling.give_up(due.entry, due.delivery, "endpoint_disabled")
            return None
        if gate.passage is Passage.PROBE and await self._receivers.begin_probe(due.receiver):
            return replace(due, is_probe=True)
        delay_s = _PROBE_PAUSE_S
        if gate.passage is Passage.WAIT:
            delay_s = (gate.until_unix_ms - self._clock.unix_ms()) / 1000
        self._settling.postpone(
            due.entry, due.delivery, delay_s=max(delay_s, 0.0), receiver=due.receiver
        )
        return None


def _origin_of(url: str, endpoint: Endpoint | None) -> str:
    """Give the place that a URL leads to; raises GwError for one that cannot be called."""
    # Only an endpoint can log in at a broker.
    parse = parse_target if endpoint is None or not is_broker(url) else _broker_target
    target = parse(url)
    return f"{target.scheme}://{target.authority}"


def _broker_target(url: str) -> Target:
    return parse_broker(url).target


def _receiver_of(origin: str) -> str:
    """Give the word for a place that is no endpoint; a digest, since it becomes part of a key."""
    return f"url_{hashlib.sha256(origin.encode()).hexdigest()[:24]}"
