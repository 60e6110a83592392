"""Bringing deliveries back when their moment has come: from the schedule, and from backlogs."""

from __future__ import annotations

import asyncio
import logging

from notifier.attempt import Due
from notifier.breaker import portion
from notifier.health import Receivers
from notifier.lanes import Lanes
from pipeline.clock import Clock
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.errors import Unavailable
from pipeline.lifecycle import sleep_or_stop

log = logging.getLogger(__name__)

#: So many deliveries or receivers are looked at in one round.
_ROUND_TRIP_MAX = 128

#: Between two looks when nothing is known to be due.
_PAUSE_S = 0.2


class Releasing:
    """Lets deliveries go again; *most_per_s* bounds what a receiver gets after an outage."""

    def __init__(
        self,
        *,
        deliveries: DeliveryStore,
        backlogs: ReceiverStore,
        endpoints: EndpointStore,
        receivers: Receivers,
        clock: Clock,
        most_per_s: float,
    ) -> None:
        self._deliveries = deliveries
        self._backlogs = backlogs
        self._endpoints = endpoints
        self._receivers = receivers
        self._clock = clock
        self._most_per_s = most_per_s

    async def release_due(self, stop: asyncio.Event) -> None:
        """Bring retries back when their moment has come, until *stop* is set."""
        while not stop.is_set():
            pause_s = _PAUSE_S
            try:
                now_unix_ms = self._clock.unix_ms()
                release = await self._deliveries.release_due(
                    now_unix_ms=now_unix_ms, limit=_ROUND_TRIP_MAX
                )
                if release.next_due_unix_ms is not None and release.released:
                    next_s = (release.next_due_unix_ms - now_unix_ms) / 1000
                    pause_s = min(pause_s, max(next_s, 0.0))
            except Unavailable as exc:
                log.warning("schedule.unread", extra={"reason": str(exc)})
            await sleep_or_stop(stop, pause_s)

    async def release_backlogs(self, lanes: Lanes[Due], stop: asyncio.Event) -> None:
        """Let backlogs go as far as their receivers are fit for them, until *stop* is set."""
        while not stop.is_set():
            pause_s = _PAUSE_S
            try:
                due = await self._backlogs.due_backlogs(
                    now_unix_ms=self._clock.unix_ms(), limit=_ROUND_TRIP_MAX
                )
                if due:
                    await self._release(due, lanes)
                    pause_s = 0.05
            except Unavailable as exc:
                log.warning("backlogs.unread", extra={"reason": str(exc)})
            await sleep_or_stop(stop, pause_s)

    async def _release(self, due: list[str], lanes: Lanes[Due]) -> None:
        await self._receivers.look_at(due)
        endpoints = await self._endpoints.get_many(due)
        for receiver, endpoint in zip(due, endpoints, strict=True):
            now_unix_ms = self._clock.unix_ms()
            share = portion(
                self._receivers.known(receiver),
                now_unix_ms,
                room=lanes.room(receiver),
                most_per_s=self._most_per_s,
                rate_per_s=endpoint.rate_per_s if endpoint else 0.0,
            )
            await self._backlogs.release_backlog(
                receiver,
                count=share.count,
                now_unix_ms=now_unix_ms,
                next_unix_ms=share.next_unix_ms,
            )
