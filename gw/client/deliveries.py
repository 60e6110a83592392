"""Deliveries of webhooks: listing, sending again, recovering, replaying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypedDict

from gw.client.documents import Attempt, Subscriber
from gw.client.reading import read
from gw.client.retrying import Retrying, sent
from gw.client.wire import Answer, Call, Flow, Give, JsonBody, Request, given, path_of

_PAGE_MAX: Final = 200


class DeliveryFilters(TypedDict, total=False):
    """Which deliveries a list is to have; *state* ``exhausted`` alone lists the dead letters."""

    state: str
    endpoint: str
    event_type: str
    job: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDelivery:
    """One event, told to one subscriber. *attempts* are there where it was read alone."""

    id: str
    state: str
    event_id: str | None
    event_type: str | None
    event_at: datetime | None
    job: str | None
    subscriber: Subscriber
    tries: int
    due: datetime | None
    reason: str | None
    attempts: tuple[Attempt, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Background work that somebody asked for, and how far it is."""

    id: str
    kind: str
    state: str
    endpoint: str
    sent: int
    passed_over: int
    last_due: datetime | None
    finished_at: datetime | None
    reason: str | None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def listed(filters: Mapping[str, Any], limit: int | None, retrying: Retrying) -> Flow[None]:
    """Give deliveries, those of the newest events first; *limit* None gives all."""
    texts = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in filters.items()
        if value is not None
    }
    cursor, left = "", limit
    while left is None or left > 0:
        page = _PAGE_MAX if left is None else min(left, _PAGE_MAX)
        query = texts | given(limit=page, cursor=cursor)
        request = Request(method="GET", path=path_of("deliveries"), query=query)
        document = (yield from sent(request, retrying)).document()
        for each in document["deliveries"]:
            yield Give(read(ListedDelivery, each))
        left = None if left is None else left - len(document["deliveries"])
        cursor = document["next"]
        if cursor is None:
            return


def delivery(delivery_id: str) -> Call[ListedDelivery]:
    """Read a delivery with its attempts."""
    return Call(Request(method="GET", path=path_of("deliveries", delivery_id)), _delivery_of)


def resend(delivery_id: str) -> Call[ListedDelivery]:
    """Send a delivery again. Twice might send two."""
    path = path_of("deliveries", delivery_id, "resend")
    return Call(Request(method="POST", path=path, is_safe=False), _delivery_of)


def recover(endpoint_id: str, since: datetime) -> Call[Operation]:
    """Send again what has failed since a moment."""
    return _begin(endpoint_id, "recover", {"since": since.isoformat()})


def replay(
    endpoint_id: str, since: datetime, until: datetime | None, *, only_missing: bool
) -> Call[Operation]:
    """Send the events of a time."""
    document: dict[str, Any] = {"since": since.isoformat(), "only_missing": only_missing}
    if until is not None:
        document["until"] = until.isoformat()
    return _begin(endpoint_id, "replay", document)


def operation(operation_id: str) -> Call[Operation]:
    """Read how far an operation is."""
    request = Request(method="GET", path=path_of("operations", operation_id))
    return Call(request, _operation_of)


def _begin(endpoint_id: str, what: str, document: Mapping[str, Any]) -> Call[Operation]:
    request = Request(
        method="POST",
        path=path_of("webhooks", endpoint_id, what),
        body=JsonBody(document),
        is_safe=False,
    )
    return Call(request, _operation_of)


def _delivery_of(answer: Answer) -> ListedDelivery:
    return read(ListedDelivery, answer.document())


def _operation_of(answer: Answer) -> Operation:
    return read(Operation, answer.document())
