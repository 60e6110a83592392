"""Named subscribers of the event feed: how far each has come is kept here, for as long as it likes.

So a client behind a firewall, which no webhook reaches, misses nothing though it keeps nothing.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.types import Receive

from pipeline.clock import Clock
from pipeline.errors import NotFound
from pipeline.events.log import EventLog, NamedCursor, is_cursor, place_of
from webapp.body import BodyLimits, MemoryBudget, read_body
from webapp.presentation import subscriber_document
from webapp.refusals import InvalidField, TooManySubscribers
from webapp.uploads import parse_json_object

SUBSCRIBERS_MAX = 100

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BODY = BodyLimits(max_bytes=4096, timeout_s=10.0)


def check_name(name: str) -> None:
    """Refuse what is no subscriber's name; raises InvalidField."""
    if not _NAME.fullmatch(name):
        raise InvalidField(
            "It must be 1 to 64 lower-case letters, digits, dots, dashes and underscores.",
            field="subscriber",
        )


async def read_ack(receive: Receive, budget: MemoryBudget) -> tuple[str, str]:
    """Read an acknowledgement: the subscriber's name and the cursor. Raises InvalidField."""
    with budget.hold() as holding:
        document = parse_json_object(await read_body(receive, _BODY, holding))
    unknown = document.keys() - {"subscriber", "cursor"}
    if unknown:
        raise InvalidField(
            f"There is no field {min(unknown)!r}.",
            field=min(unknown),
            allowed=("subscriber", "cursor"),
        )
    name, cursor = document.get("subscriber"), document.get("cursor")
    if not isinstance(name, str):
        raise InvalidField("The subscriber's name is missing.", field="subscriber")
    check_name(name)
    if not isinstance(cursor, str) or not is_cursor(cursor):
        raise InvalidField("It must be the id of an event, or 'next' of a page.", field="cursor")
    return name, cursor


class Subscribers:
    """The named subscribers of all tenants."""

    def __init__(self, event_log: EventLog, clock: Clock) -> None:
        self._log = event_log
        self._clock = clock

    async def place(self, tenant: str, name: str, *, new_at: str) -> str:
        """Give how far a subscriber has come; a new one is noted at *new_at*.

        Raises TooManySubscribers.
        """
        named = await self._log.cursor(tenant, name)
        if named is not None:
            return named.cursor
        if len(await self._log.cursors(tenant)) >= SUBSCRIBERS_MAX:
            raise TooManySubscribers(SUBSCRIBERS_MAX)
        await self._note(tenant, name, new_at)
        return new_at

    async def acknowledge(self, tenant: str, name: str, cursor: str) -> dict[str, Any]:
        """Note that a subscriber has worked on all up to *cursor*; it never goes back.

        Raises InvalidField for a cursor that is ahead of the log, and TooManySubscribers.
        """
        if place_of(cursor) > place_of(await self._log.end(tenant)):
            raise InvalidField("This cursor is ahead of the events that there are.", field="cursor")
        place = await self.place(tenant, name, new_at=cursor)
        if place_of(cursor) < place_of(place):
            cursor = place
        return subscriber_document(await self._note(tenant, name, cursor))

    async def all(self, tenant: str) -> list[dict[str, Any]]:
        """List the documents of a tenant's subscribers."""
        return [subscriber_document(each) for each in await self._log.cursors(tenant)]

    async def forget(self, tenant: str, name: str) -> None:
        """Forget a subscriber; raises NotFound."""
        if not await self._log.forget_cursor(tenant, name):
            raise NotFound("There is no subscriber of this name.")

    async def _note(self, tenant: str, name: str, cursor: str) -> NamedCursor:
        named = NamedCursor(name=name, cursor=cursor, noted_unix_ms=self._clock.unix_ms())
        await self._log.note_cursor(tenant, named)
        return named
