"""Claim due deliveries, attempt them side by side, write down what came of them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from notifier.attempt import Due, Sender, is_the_receivers_doing
from notifier.breaker import Passage
from notifier.fan_out import FanOut
from notifier.health import Receivers
from notifier.intake import Intake, Stores
from notifier.lanes import Lanes
from notifier.releasing import Releasing
from notifier.settings import NotifierSettings
from notifier.settling import Settling
from pipeline.clock import Clock
from pipeline.deliveries.delivery import DeliveryState
from pipeline.errors import GwError
from pipeline.following import follow
from pipeline.protocol import Keyspace
from pipeline.streams import StreamReader

log = logging.getLogger(__name__)

#: So many deliveries are claimed in one round trip.
_ROUND_TRIP_MAX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the notifier works with."""

    keys: Keyspace
    reader: StreamReader
    stores: Stores
    receivers: Receivers
    sender: Sender
    clock: Clock


class Notifier:
    """The service's loops; *run* them all."""

    def __init__(self, settings: NotifierSettings, around: Surroundings) -> None:
        self._settings = settings
        self._keys = around.keys
        self._reader = around.reader
        self._receivers = around.receivers
        self._sender = around.sender
        stores = around.stores
        self._settling = Settling(
            deliveries=stores.deliveries, reader=around.reader, clock=around.clock
        )
        self._intake = Intake(
            keys=around.keys,
            reader=around.reader,
            stores=stores,
            receivers=around.receivers,
            settling=self._settling,
            clock=around.clock,
        )
        self._fan_out = FanOut(
            events=stores.events,
            jobs=stores.jobs,
            endpoints=stores.endpoints,
            receivers=stores.receivers,
        )
        self._releasing = Releasing(
            deliveries=stores.deliveries,
            backlogs=stores.receivers,
            endpoints=stores.endpoints,
            receivers=around.receivers,
            clock=around.clock,
            most_per_s=settings.backlog_per_s,
        )
        self._lanes = Lanes[Due](
            self._attempt,
            concurrency=settings.endpoint_concurrency,
            queue_max=settings.endpoint_queue,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until *stop* is set; then finish what has begun and hand back the rest."""
        settled = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settling.renew(settled), name="renew-leases")
            tasks.create_task(self._releasing.release_due(stop), name="release-due")
            tasks.create_task(
                self._releasing.release_backlogs(self._lanes, stop), name="release-backlogs"
            )
            tasks.create_task(self._fan_out.run(stop), name="fan-out")
            settling = tasks.create_task(self._settling.write_outcomes(), name="settle")
            async with asyncio.TaskGroup() as claiming:
                claiming.create_task(self._claim(self._keys.deliveries, stop), name="claim-new")
                claiming.create_task(self._claim(self._keys.retries, stop), name="claim-retries")
            for due in self._lanes.withdraw():
                self._settling.postpone(due.entry, due.delivery, delay_s=0.0)
            await self._lanes.idle()
            await self._settling.written()
            settling.cancel()
            settled.set()

    async def _claim(self, stream: str, stop: asyncio.Event) -> None:
        def room() -> int:
            left = self._settings.held_max - self._settling.held()
            if stream == self._keys.retries:
                # Half of all places are never taken by what is tried again.
                left = min(left, self._settings.held_max // 2 - self._settling.held(stream))
            return min(left, _ROUND_TRIP_MAX)

        async for entries in follow(self._reader, stream, stop, room=room):
            await self._intake.take(entries, self._lanes)

    async def _attempt(self, due: Due) -> None:
        """Make one attempt. The one broad except of this service: a delivery fails alone."""
        delivery = due.delivery
        if not (due.is_probe or delivery.once):
            gate = self._receivers.gate(due.receiver)
            if gate.passage is not Passage.FREE:
                # It was let in before the receiver opened; its backlog knows when to go on.
                self._settling.postpone(due.entry, delivery, delay_s=0.0, receiver=due.receiver)
                return
        try:
            settlement, outcome = await self._sender.attempt(due)
        except Exception as exc:
            log.exception("attempt.broken", extra={"delivery_id": delivery.delivery_id})
            code = exc.code if isinstance(exc, GwError) else "internal_error"
            self._settling.give_up(due.entry, delivery, code)
            return
        attempt = settlement.attempt
        log.debug(
            "delivery.attempted",
            extra={
                "delivery_id": settlement.delivery_id,
                "state": settlement.state,
                "status": attempt.status if attempt else 0,
            },
        )
        if settlement.state is DeliveryState.EXHAUSTED and not delivery.once:
            log.warning(
                "delivery.exhausted",
                extra={"delivery_id": delivery.delivery_id, "error": outcome.error},
            )
        # The receiver's state first: what this outcome lets go must find the gate as it is now.
        if not delivery.once and is_the_receivers_doing(outcome.error):
            await self._receivers.heard(outcome)
        self._settling.settle(settlement)
