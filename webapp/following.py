"""Following a tenant's events: from which place, and what is told of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.access.keys import Scope
from pipeline.events.log import START, EventLog, is_cursor, place_of
from pipeline.jobs.index import JobIndex
from webapp.access import Caller
from webapp.presentation import event_document
from webapp.queries import Query
from webapp.refusals import EventsTrimmed, InvalidField
from webapp.subscribers import Subscribers, check_name

PAGE_DEFAULT = 100
PAGE_MAX = 500

PARAMETERS = ("after", "subscriber", "limit", "wait")

_FROM_START = "start"
_FROM_NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """From where a feed is read (a cursor, ``start`` or ``now``), or by which named subscriber."""

    after: str = ""
    subscriber: str = ""
    limit: int = PAGE_DEFAULT
    wait_s: int = 0

    @classmethod
    def parse(cls, query: bytes, *, last_event_id: str, wait_max_s: int) -> FeedQuery:
        """Read a query string; raises InvalidField.

        *last_event_id* is what a stream's reader has seen when it comes back: it counts more than
        what its URL still says.
        """
        parameters = Query.parse(query, known=PARAMETERS)
        after = last_event_id or parameters.text("after")
        if after not in ("", _FROM_START, _FROM_NOW) and not is_cursor(after):
            raise InvalidField(
                f"It must be the id of an event, {_FROM_START!r} or {_FROM_NOW!r}.",
                field="Last-Event-ID" if last_event_id else "after",
            )
        subscriber = parameters.text("subscriber")
        if subscriber:
            check_name(subscriber)
        return cls(
            after=after,
            subscriber=subscriber,
            limit=parameters.number("limit", default=PAGE_DEFAULT, low=1, high=PAGE_MAX),
            # More than may be waited is asked for in good faith, as with Prefer: wait.
            wait_s=min(parameters.number("wait", default=0, low=0, high=86_400), wait_max_s),
        )


async def place_for(
    event_log: EventLog, subscribers: Subscribers, tenant: str, query: FeedQuery
) -> str:
    """Give the cursor at which *query* begins; raises EventsTrimmed or TooManySubscribers.

    A subscriber that is new begins now, and misses nothing from then on.
    """
    trimmed = await event_log.trimmed(tenant)
    if query.after == _FROM_START:
        return trimmed
    end = await event_log.end(tenant)
    if query.after and query.after != _FROM_NOW:
        cursor = query.after
    elif query.subscriber and query.after != _FROM_NOW:
        cursor = await subscribers.place(tenant, query.subscriber, new_at=end)
    else:
        return end
    if place_of(cursor) < place_of(trimmed):
        raise EventsTrimmed(
            "Events behind this cursor are no longer kept: go on after 'start', and list the jobs"
            " for what is missing."
        )
    if place_of(cursor) > place_of(end):
        raise EventsTrimmed("This cursor is of another log: go on after 'start'.")
    return cursor


class Follower:
    """One reader of a tenant's events, who sees what its caller may see."""

    def __init__(self, event_log: EventLog, index: JobIndex, caller: Caller, cursor: str) -> None:
        self._log = event_log
        self._index = index
        self._caller = caller
        self.cursor = cursor if cursor else START
        #: Whether the last read left nothing behind it.
        self.is_at_end = False

    async def read(self, limit: int) -> list[dict[str, Any]]:
        """Give the documents of at most *limit* events behind the cursor, which moves on.

        What the caller may not see is passed over, as is a job that is gone for those who may not
        see every job.
        """
        events = await self._log.after(self._caller.tenant, self.cursor, limit=limit)
        self.is_at_end = len(events) < limit
        if not events:
            return []
        self.cursor = events[-1].cursor
        job_ids = sorted({event.job_id for event in events})
        jobs = dict(zip(job_ids, await self._index.summaries(job_ids), strict=True))
        documents = []
        for event in events:
            job = jobs[event.job_id]
            if self._caller.sees(job) if job is not None else self._caller.may(Scope.READ_ALL):
                documents.append(event_document(event, job))
        return documents
