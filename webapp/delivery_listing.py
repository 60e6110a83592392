"""Listing deliveries: what is asked for, and one page of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.deliveries.delivery import Delivery, DeliveryState, place_of
from pipeline.deliveries.index import DeliveryIndex, Times, id_at
from pipeline.deliveries.store import DeliveryStore
from pipeline.ids import is_id
from webapp.paging import LOOKED_AT_ONCE, PAGE_DEFAULT, PAGE_MAX, read_matching
from webapp.queries import Query
from webapp.refusals import InvalidField

PARAMETERS = ("state", "endpoint", "event_type", "job", "since", "until", "limit", "cursor")

_CURSOR = re.compile(r"([0-9]{13})-([0-9a-z]{26})")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDeliveries:
    """Which deliveries are asked for; empty for any."""

    states: frozenset[DeliveryState] = frozenset()
    endpoint_id: str = ""
    event_type: str = ""
    job_id: str = ""
    times: Times = Times()
    limit: int = PAGE_DEFAULT

    @classmethod
    def parse(cls, query: bytes) -> WantedDeliveries:
        """Read a query string; raises InvalidField."""
        parameters = Query.parse(query, known=PARAMETERS)
        for name, prefix in (("endpoint", "ep"), ("job", "job")):
            if parameters.text(name) and not is_id(parameters.text(name), prefix):
                raise InvalidField(f"This is no id of the form {prefix}_...", field=name)
        return cls(
            states=parameters.words("state", DeliveryState),
            endpoint_id=parameters.text("endpoint"),
            event_type=parameters.text("event_type"),
            job_id=parameters.text("job"),
            times=Times(
                before=_place(parameters.text("cursor")),
                from_unix_ms=parameters.unix_ms("since"),
                until_unix_ms=parameters.unix_ms("until"),
            ),
            limit=parameters.number("limit", default=PAGE_DEFAULT, low=1, high=PAGE_MAX),
        )

    @property
    def is_of_dead_letters(self) -> bool:
        """Whether only exhausted ones are asked for, which have an index of their own."""
        return self.states == {DeliveryState.EXHAUSTED}

    def matches(self, delivery: Delivery) -> bool:
        """Whether *delivery* is one of them."""
        return (
            (not self.states or delivery.state in self.states)
            and self.endpoint_id in ("", delivery.endpoint_id)
            and self.event_type in ("", delivery.event_type)
            and self.job_id in ("", delivery.job_id)
        )

    def at_moment(self, unix_ms: int) -> WantedDeliveries:
        """Give these, but only of events of one millisecond: a job ends at one."""
        times = replace(
            self.times,
            from_unix_ms=max(self.times.from_unix_ms, unix_ms),
            until_unix_ms=min(self.times.until_unix_ms or unix_ms + 1, unix_ms + 1),
        )
        return replace(self, times=times)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Some deliveries, newest first, and the cursor of the next page, "" when this is the last."""

    deliveries: Sequence[Delivery]
    cursor: str


async def read_deliveries(
    index: DeliveryIndex, store: DeliveryStore, tenant: str, wanted: WantedDeliveries
) -> DeliveryPage:
    """Give the next page of a tenant's deliveries."""
    times = wanted.times
    if times.is_empty:
        return DeliveryPage(deliveries=(), cursor="")

    async def places_before(place: str) -> Sequence[str]:
        return await index.places(
            tenant,
            replace(times, before=place),
            limit=LOOKED_AT_ONCE,
            exhausted=wanted.is_of_dead_letters,
        )

    async def deliveries_at(places: Sequence[str]) -> Sequence[Delivery | None]:
        return await store.get_many([id_at(place) for place in places])

    deliveries, last = await read_matching(
        places_before, deliveries_at, wanted.matches, before=times.before, limit=wanted.limit
    )
    return DeliveryPage(deliveries=deliveries, cursor=_cursor(last) if last else "")


def _cursor(place: str) -> str:
    unix_ms, _, delivery_id = place.partition(":")
    return f"{unix_ms}-{delivery_id.removeprefix('msg_')}"


def _place(cursor: str) -> str:
    if not cursor:
        return ""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidField("This is no cursor that a list gave.", field="cursor")
    return place_of(int(match[1]), f"msg_{match[2]}")
