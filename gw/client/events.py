"""The event feed: a stream that is resumed where it broke, and long polling where none comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gw.client.documents import Event, Job, SubscriberCursor
from gw.client.errors import ClientError, ProblemError, TransportFailed, problem_of
from gw.client.reading import read
from gw.client.retrying import Retrying, may_send_again, removed, sent
from gw.client.streams import StreamReader
from gw.client.wire import (
    STREAM_TYPE,
    Answer,
    Call,
    Flow,
    Give,
    JsonBody,
    Open,
    Pause,
    Read,
    Request,
    given,
    path_of,
)

#: A stream shows life every fifteen seconds, unless its server is set otherwise.
_SILENCE_S: Final = 60.0
_POLL_S: Final = 20
_PAGE: Final = 100


def event_of(document: Mapping[str, Any]) -> Event:
    """Read one event, of a page, a stream, or a webhook about a job."""
    data = document["data"]
    event = read(Event, {**document, "job_id": data["id"], "job": None})
    job = read(Job, data) if "accepted_at" in data else None
    return replace(event, job=job, document=document)


def page(
    *, after: str, limit: int, wait_s: int, subscriber: str, retrying: Retrying
) -> Flow[tuple[list[Event], str]]:
    """Read some events, and the cursor behind them."""
    request = Request(
        method="GET",
        path=path_of("events"),
        query=given(after=after, subscriber=subscriber, limit=limit, wait=wait_s),
        read_s=wait_s + 30.0,
    )
    document = (yield from sent(request, retrying)).document()
    return [event_of(each) for each in document["events"]], document["next"]


def acknowledge(subscriber: str, cursor: str) -> Call[SubscriberCursor]:
    """Note that all up to *cursor* has been worked on."""
    body = JsonBody({"subscriber": subscriber, "cursor": cursor})
    request = Request(method="POST", path=path_of("events", "ack"), body=body)
    return Call(request, lambda answer: read(SubscriberCursor, answer.document()))


def subscribers() -> Call[list[SubscriberCursor]]:
    """List the named subscribers."""
    request = Request(method="GET", path=path_of("events", "subscribers"))
    return Call(
        request,
        lambda answer: [read(SubscriberCursor, each) for each in answer.document()["subscribers"]],
    )


def forget(subscriber: str, retrying: Retrying) -> Flow[None]:
    """Forget a named subscriber."""
    path = path_of("events", "subscribers", subscriber)
    return removed(Request(method="DELETE", path=path), retrying)


def followed(after: str, subscriber: str, retrying: Retrying) -> Flow[None]:
    """Give events for ever; raises EventsTrimmed, and whatever else is refused for good.

    A named *subscriber* has acknowledged an event when the next one is asked for.
    """
    reader = _FeedReader(after, subscriber, retrying)
    yield from reader.begin()
    tries, until_s = 0, 0.0
    while True:
        reader.was_answered = False
        error: ClientError | None = None
        try:
            yield from reader.follow()
        except (TransportFailed, ProblemError) as exc:
            error = exc
        if error is None or reader.was_answered:
            tries = 0
            yield Pause(retrying.first_pause_s)
            continue
        now_s = retrying.monotonic_s()
        tries += 1
        until_s = now_s + retrying.give_up_s if tries == 1 else until_s
        pause_s = retrying.pause_s(tries, error)
        if now_s + pause_s > until_s or not may_send_again(_ANY_READING, error):
            raise error
        yield Pause(pause_s)


_ANY_READING: Final = Request(method="GET", path=path_of("events"))


@dataclass(slots=True)
class _FeedReader:
    """Where a reader of the feed is."""

    cursor: str
    subscriber: str
    retrying: Retrying
    streams: bool = True
    was_answered: bool = False

    def begin(self) -> Flow[None]:
        """Find the place: a stream that breaks before its first event would not know it."""
        if self.cursor in ("", "now") and not self.subscriber:
            _, self.cursor = yield from page(
                after="now", limit=1, wait_s=0, subscriber="", retrying=self.retrying
            )

    def follow(self) -> Flow[None]:
        """Follow the feed until something breaks."""
        if self.streams:
            yield from self._stream()
        else:
            yield from self._poll()

    def _stream(self) -> Flow[None]:
        request = Request(
            method="GET",
            path=path_of("events"),
            query=given(after=self.cursor, subscriber=self.subscriber),
            headers={"Accept": STREAM_TYPE},
            read_s=_SILENCE_S,
        )
        answer: Answer = yield Open(request)
        if not answer.is_success:
            raise problem_of(answer)
        # Something on the way that lets no stream through.
        self.streams = answer.media_type == STREAM_TYPE
        reader = StreamReader()
        while self.streams and (piece := (yield Read())) is not None:
            self.was_answered = True
            yield from self._give([event_of(each.data) for each in reader.feed(piece)])

    def _poll(self) -> Flow[None]:
        events, cursor = yield from page(
            after=self.cursor,
            limit=_PAGE,
            wait_s=_POLL_S,
            subscriber=self.subscriber,
            retrying=self.retrying,
        )
        yield from self._give(events)
        self.cursor = cursor

    def _give(self, events: list[Event]) -> Flow[None]:
        for event in events:
            yield Give(event)
            self.cursor = event.id
        if events and self.subscriber:
            call = acknowledge(self.subscriber, self.cursor)
            yield from sent(call.request, self.retrying)
