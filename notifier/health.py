"""The health of receivers: read with each claim, changed by what came of attempts, told of.

Redis has the truth. A change is written only if nobody else has made one meanwhile, so two
notifiers never let two probes go. What a tenant is to be told is announced before the change that
remembers it, under an id that follows from the facts: a crash in between tells it once still.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from egress.targets import without_query
from notifier.breaker import (
    Gate,
    Passage,
    after_failure,
    after_success,
    catch_up_per_s,
    disabled,
    gate,
    is_hopeless,
    is_to_be_warned_of,
    probing,
)
from notifier.events import utc_timestamp
from pipeline.clock import Clock
from pipeline.deliveries.endpoints import Endpoint
from pipeline.deliveries.receivers import Health, ReceiverStore
from pipeline.errors import Unavailable
from pipeline.events.event import Event, EventType
from pipeline.events.store import EventStore
from pipeline.ids import derived_id

log = logging.getLogger(__name__)

_DAY_MS = 24 * 3600 * 1000
_WRITE_TRIES = 16
#: A probe that was not heard of for so much longer than an attempt may take is lost.
_PROBE_MARGIN_MS = 5_000
#: Clocks that differ by more are told of, once a day.
SKEW_MAX_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """What an attempt says about its receiver. *skew_s* is how far its clock is ahead, if known."""

    receiver: str
    endpoint: Endpoint | None
    is_success: bool
    is_gone: bool = False
    error: str = ""
    skew_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverLimits:
    """How long an attempt takes at most, and how much a second a receiver gets after an outage."""

    attempt_timeout_s: float
    catch_up_most_per_s: float


class Receivers:
    """The receivers that this notifier knows. *randomness* gives 0 to 1."""

    def __init__(
        self,
        *,
        store: ReceiverStore,
        events: EventStore,
        clock: Clock,
        limits: ReceiverLimits,
        randomness: Callable[[], float],
    ) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._probe_ms = int(limits.attempt_timeout_s * 1000) + _PROBE_MARGIN_MS
        self._most_per_s = limits.catch_up_most_per_s
        self._randomness = randomness
        self._known: dict[str, Health] = {}
        self._skew_told: dict[str, int] = {}

    async def look_at(self, receivers: Sequence[str]) -> None:
        """Read what is known of *receivers* anew; raises Unavailable."""
        for receiver, health in zip(receivers, await self._store.get_many(receivers), strict=True):
            if health == Health():
                self._known.pop(receiver, None)
            else:
                self._known[receiver] = health

    def known(self, receiver: str) -> Health:
        """Give what was last read or written of a receiver."""
        return self._known.get(receiver, Health())

    def gate(self, receiver: str) -> Gate:
        """Tell whether a delivery to *receiver* may go now, as far as is known."""
        return gate(self.known(receiver), self._clock.unix_ms())

    def catch_up_per_s(self, receiver: str) -> float:
        """Give how many a second of what waited may go to *receiver*; infinity for any number."""
        return catch_up_per_s(
            self.known(receiver), self._clock.unix_ms(), most_per_s=self._most_per_s
        )

    async def begin_probe(self, receiver: str) -> bool:
        """Take the place of the one probe; False when another has it. Raises Unavailable."""
        health = self.known(receiver)
        now_unix_ms = self._clock.unix_ms()
        if gate(health, now_unix_ms).passage is not Passage.PROBE:
            return False
        return await self._write(
            receiver, probing(health, now_unix_ms, longest_ms=self._probe_ms), read=health
        )

    async def heard(self, outcome: AttemptOutcome) -> None:
        """Take note of an attempt's outcome; Redis's absence is waited out by the next one."""
        try:
            await self._heard(outcome)
            await self._tell_of_skew(outcome)
        except Unavailable as exc:
            log.warning("health.unwritten", extra={"reason": str(exc)})

    async def _heard(self, outcome: AttemptOutcome) -> None:
        for _ in range(_WRITE_TRIES):
            old = self.known(outcome.receiver)
            new = self._after(old, outcome)
            if new is old:
                return
            if outcome.endpoint is not None:
                new = await self._tell_of_change(outcome.endpoint, old, new, outcome.error)
            if await self._write(outcome.receiver, new, read=old):
                return
            await self.look_at([outcome.receiver])

    def _after(self, old: Health, outcome: AttemptOutcome) -> Health:
        now_unix_ms = self._clock.unix_ms()
        if outcome.is_success:
            return after_success(old, now_unix_ms)
        new = after_failure(old, now_unix_ms, randomness=self._randomness())
        if outcome.endpoint is None or new.disabled_reason:
            return new
        if outcome.is_gone:
            return disabled(new, now_unix_ms, reason="gone")
        if is_hopeless(new, now_unix_ms):
            return disabled(new, now_unix_ms, reason="failing")
        return new

    async def _tell_of_change(
        self, endpoint: Endpoint, old: Health, new: Health, error: str
    ) -> Health:
        """Announce what a change means to the endpoint's tenant; give what is to be remembered."""
        facts: dict[str, Any] = {
            "failures": new.failures,
            "failing_since": utc_timestamp(new.failing_since or old.failing_since),
            "error": error,
        }
        extra = {"endpoint_id": endpoint.endpoint_id, "failures": new.failures, "error": error}
        if new.disabled_reason and not old.disabled_reason:
            log.warning("endpoint.disabled", extra=extra | {"reason": new.disabled_reason})
            facts["reason"] = new.disabled_reason
            await self._announce(endpoint, EventType.ENDPOINT_DISABLED, new.disabled, facts)
        elif is_to_be_warned_of(new):
            log.warning("endpoint.failing", extra=extra)
            await self._announce(endpoint, EventType.ENDPOINT_FAILING, new.failing_since, facts)
            return replace(new, warned=new.failing_since)
        elif old.warned and not new.warned:
            log.info("endpoint.recovered", extra=extra)
            facts["failures"] = old.failures
            await self._announce(endpoint, EventType.ENDPOINT_RECOVERED, old.failing_since, facts)
        return new

    async def _tell_of_skew(self, outcome: AttemptOutcome) -> None:
        endpoint, skew_s = outcome.endpoint, outcome.skew_s
        if endpoint is None or skew_s is None or abs(skew_s) <= SKEW_MAX_S:
            return
        day_unix_ms = self._clock.unix_ms() // _DAY_MS * _DAY_MS
        if self._skew_told.get(endpoint.endpoint_id) == day_unix_ms:
            return
        facts: dict[str, Any] = {"receiver_ahead_s": round(skew_s, 1)}
        log.warning("clock.skewed", extra={"endpoint_id": endpoint.endpoint_id} | facts)
        await self._announce(endpoint, EventType.CLOCK_SKEWED, day_unix_ms, facts)
        self._skew_told[endpoint.endpoint_id] = day_unix_ms

    async def _announce(
        self, endpoint: Endpoint, event_type: EventType, since_unix_ms: int, facts: dict[str, Any]
    ) -> None:
        event_id = derived_id(
            "evt", since_unix_ms, of=f"{endpoint.endpoint_id}:{event_type}:{since_unix_ms}"
        )
        about = {
            "id": endpoint.endpoint_id,
            "url": without_query(endpoint.url),
            "description": endpoint.description,
        }
        await self._events.announce(
            Event(
                event_id=event_id,
                tenant=endpoint.tenant,
                type=event_type,
                subject=endpoint.endpoint_id,
                unix_ms=self._clock.unix_ms(),
                data=about | facts,
                about_endpoint=endpoint.endpoint_id,
            )
        )

    async def _write(self, receiver: str, health: Health, *, read: Health) -> bool:
        if not await self._store.write(receiver, health, read=read):
            return False
        # Another attempt's change may have come in between: then the next look tells.
        if self.known(receiver) is read or self.known(receiver) == read:
            self._known[receiver] = replace(health, revision=read.revision + 1)
        return True
