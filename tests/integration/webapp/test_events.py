"""The event feed: streams, long polling, named subscribers, and the stream of one job."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.keys import KeyStore, Scope, make_key
from pipeline.events.log import EventLog
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.webapp.running import Webapp, add_key, finish, running
from tests.waiting import wait_until
from webapp import schemas

STREAM = {"accept": "text/event-stream"}


async def blocks_of(answer: httpx.Response) -> AsyncGenerator[dict[str, str], None]:
    """Give the events of a stream as fields, comments under the name ''."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, text = line.partition(": ")
            fields[name.removesuffix(":")] = text
        elif fields:
            yield fields
            fields = {}


async def next_event(blocks: AsyncIterator[dict[str, str]]) -> dict[str, Any]:
    """Give the next event's document, with its fields beside it."""
    async with asyncio.timeout(20):
        async for fields in blocks:
            if "data" in fields:
                document: dict[str, Any] = json.loads(fields["data"])
                return document | {"fields": fields}
    raise AssertionError("the stream has ended")


async def poll(webapp: Webapp, **query: Any) -> dict[str, Any]:
    """Read one page of the feed."""
    answer = await webapp.http.get("/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    schemas.EventsDocument.model_validate(answer.json())
    page: dict[str, Any] = answer.json()
    return page


def told(page: dict[str, Any]) -> list[tuple[str, str]]:
    """Give what a page tells, as types and jobs."""
    return [(event["type"], event["data"]["id"]) for event in page["events"]]


async def test_a_page_tells_what_happened(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """One event for a job's acceptance and one for its end, in their order, with the job."""
    first, second = await webapp.submit(), await webapp.submit()
    await finish(JobStore(redis, keys), first["id"], to=JobState.SUCCEEDED, result="{}")
    await webapp.http.delete(f"/v1/jobs/{second['id']}")

    page = await poll(webapp, after="start")

    assert told(page) == [
        ("job.accepted", first["id"]),
        ("job.accepted", second["id"]),
        ("job.succeeded", first["id"]),
        ("job.canceled", second["id"]),
    ]
    assert page["events"][2]["data"]["state"] == "succeeded"
    assert page["next"] == page["events"][-1]["id"]
    assert (await poll(webapp, after=page["next"])) == {"events": [], "next": page["next"]}
    assert told(await poll(webapp, after=page["events"][1]["id"], limit=1)) == [
        ("job.succeeded", first["id"])
    ]
    assert await poll(webapp) == {"events": [], "next": page["next"]}


async def test_a_long_poll_waits_for_the_next_event(webapp: Webapp) -> None:
    """It is answered when there is one, and not before."""
    polling = asyncio.create_task(poll(webapp, after="now", wait=20))
    await wait_until(lambda: webapp.parts.jobs.feed.is_listened_to)

    job = await webapp.submit()

    assert told(await polling) == [("job.accepted", job["id"])]


async def test_a_long_poll_without_events_ends_empty(webapp: Webapp) -> None:
    """After the time that it asked for."""
    page = await poll(webapp, after="now", wait=1)

    assert page == {"events": [], "next": "0-0"}


async def test_a_stream_tells_events_as_they_come(webapp: Webapp) -> None:
    """Each with its id, its type and its job."""
    async with webapp.http.stream("GET", "/v1/events", headers=STREAM) as answer:
        blocks = blocks_of(answer)
        job = await webapp.submit()
        accepted = await next_event(blocks)
        await webapp.http.delete(f"/v1/jobs/{job['id']}")
        canceled = await next_event(blocks)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert (accepted["type"], accepted["data"]["id"]) == ("job.accepted", job["id"])
    assert accepted["fields"]["event"] == "job.accepted"
    assert accepted["fields"]["id"] == accepted["id"]
    assert (canceled["type"], canceled["data"]["state"]) == ("job.canceled", "canceled")


async def test_a_reader_that_comes_back_misses_nothing(webapp: Webapp) -> None:
    """It names the last event that it has seen, and goes on behind it."""
    async with webapp.http.stream("GET", "/v1/events", headers=STREAM) as answer:
        seen = await _after_submitting(webapp, answer)
    missed = [await webapp.submit() for _ in range(3)]

    headers = STREAM | {"last-event-id": seen["id"]}
    async with webapp.http.stream("GET", "/v1/events?after=now", headers=headers) as answer:
        blocks = blocks_of(answer)
        found = [await next_event(blocks) for _ in missed]

    assert [event["data"]["id"] for event in found] == [job["id"] for job in missed]


async def _after_submitting(webapp: Webapp, answer: httpx.Response) -> dict[str, Any]:
    await webapp.submit()
    return await next_event(blocks_of(answer))


async def test_a_silent_stream_gives_signs_of_life(environ: dict[str, str], token: str) -> None:
    """Comments, which no reader takes for events."""
    quick = environ | {"GW_STREAM_HEARTBEAT_S": "0.1"}
    async with (
        running(quick, token=token) as webapp,
        webapp.http.stream("GET", "/v1/events", headers=STREAM) as answer,
    ):
        blocks = blocks_of(answer)
        fields = [await anext(blocks) for _ in range(3)]

    assert fields[0] == {"retry": "2000"}
    assert fields[1:] == [{"": ""}, {"": ""}]


async def test_a_tenant_is_told_of_its_own_jobs_only(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """And a key that may read its own jobs is told of these alone."""
    await webapp.submit()
    stranger = await add_key(redis, keys, tenant="other")
    token, record = make_key(
        tenant="acme", description="", now_unix_ms=1, scopes=(Scope.SUBMIT, Scope.READ_OWN)
    )
    await KeyStore(redis, keys).add(record)
    narrow = {"authorization": f"Bearer {token}"}
    own = (await webapp.post(headers=narrow)).json()

    pages = [
        (await webapp.http.get("/v1/events?after=start", headers=headers)).json()
        for headers in ({"authorization": f"Bearer {stranger}"}, narrow)
    ]

    assert told(pages[0]) == []
    assert told(pages[1]) == [("job.accepted", own["id"])]


async def test_a_named_subscriber_goes_on_where_it_acknowledged(webapp: Webapp) -> None:
    """What it did not acknowledge comes again, and acknowledging never goes back."""
    before = await webapp.submit()
    assert told(await poll(webapp, subscriber="belt-7")) == [], "a new one begins now"
    jobs = [await webapp.submit() for _ in range(3)]

    page = await poll(webapp, subscriber="belt-7")
    again = await poll(webapp, subscriber="belt-7", limit=2)
    ack = {"subscriber": "belt-7", "cursor": again["next"]}
    answer = await webapp.http.post("/v1/events/ack", json=ack)
    rest = await poll(webapp, subscriber="belt-7")
    late = {"subscriber": "belt-7", "cursor": page["events"][0]["id"]}
    back = await webapp.http.post("/v1/events/ack", json=late)

    assert before["id"] not in {job for _, job in told(page)}
    assert [job for _, job in told(page)] == [job["id"] for job in jobs]
    assert told(again) == told(page)[:2]
    assert (answer.status_code, answer.json()["cursor"]) == (200, again["next"])
    schemas.SubscriberCursorDocument.model_validate(answer.json())
    assert told(rest) == told(page)[2:]
    assert back.json()["cursor"] == again["next"]
    (listed,) = (await webapp.http.get("/v1/events/subscribers")).json()["subscribers"]
    assert listed["subscriber"] == "belt-7"
    assert (await webapp.http.delete("/v1/events/subscribers/belt-7")).status_code == 204
    assert (await webapp.http.delete("/v1/events/subscribers/belt-7")).status_code == 404


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"cursor": "1-0"}, "subscriber"),
        ({"subscriber": "A b", "cursor": "1-0"}, "subscriber"),
        ({"subscriber": "a"}, "cursor"),
        ({"subscriber": "a", "cursor": "x"}, "cursor"),
        ({"subscriber": "a", "cursor": "99999999999999-0"}, "cursor"),
        ({"subscriber": "a", "cursor": "0-0", "more": 1}, "more"),
    ],
)
async def test_an_acknowledgement_that_cannot_be_is_refused(
    webapp: Webapp, document: dict[str, Any], field: str
) -> None:
    """400 with the field, and nothing is noted."""
    answer = await webapp.http.post("/v1/events/ack", json=document)

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert (await webapp.http.get("/v1/events/subscribers")).json() == {"subscribers": []}


async def test_a_reader_is_told_of_a_gap(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """410 behind events that were trimmed, and for a cursor of another log; not at their edge."""
    for _ in range(3):
        await webapp.submit()
    first, second, third = (await poll(webapp, after="start"))["events"]
    trimmed = await EventLog(redis, keys).trim("acme", older_than_unix_ms=0, keep_max=1)

    gap = await webapp.http.get("/v1/events", params={"after": first["id"]})
    ahead = await webapp.http.get("/v1/events", params={"after": "99999999999999-0"})

    assert trimmed == 2
    assert (gap.status_code, gap.json()["code"]) == (410, "events_trimmed")
    assert ahead.status_code == 410
    assert (await poll(webapp, after=second["id"]))["events"] == [third]
    assert (await poll(webapp, after="start"))["events"] == [third]


@pytest.mark.parametrize(
    ("query", "field"),
    [("after=x", "after"), ("subscriber=A", "subscriber"), ("wait=-1", "wait"), ("x=1", "x")],
)
async def test_a_query_that_cannot_be_is_refused(webapp: Webapp, query: str, field: str) -> None:
    """400 with its name."""
    answer = await webapp.http.get(f"/v1/events?{query}")

    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_too_many_streams_are_refused(
    environ: dict[str, str], redis: Redis, keys: Keyspace, token: str
) -> None:
    """429 past a tenant's share, 503 past them all; one that ends makes room."""
    few = environ | {"GW_STREAMS_MAX": "2", "GW_STREAMS_PER_TENANT_MAX": "1"}
    others = [
        {"authorization": f"Bearer {await add_key(redis, keys, tenant=name)}"}
        for name in ("one", "two")
    ]
    async with running(few, token=token) as webapp:
        async with (
            webapp.http.stream("GET", "/v1/events", headers=STREAM),
            webapp.http.stream("GET", "/v1/events", headers=STREAM | others[0]),
        ):
            own = await webapp.http.get("/v1/events", headers=STREAM)
            full = await webapp.http.get("/v1/events", headers=STREAM | others[1])

        assert (own.status_code, own.json()["code"]) == (429, "overloaded")
        assert (full.status_code, full.json()["code"]) == (503, "unavailable")
        assert "retry-after" in own.headers
        await wait_until(lambda: _status(webapp))


async def _status(webapp: Webapp) -> bool:
    return (await webapp.http.get("/v1/events")).status_code == 200


async def test_streams_end_when_the_service_stops(environ: dict[str, str], token: str) -> None:
    """In order, so that a reader comes back at once, and the service is not held up."""
    async with running(environ, token=token) as webapp:
        job = await webapp.submit()
        paths = ("/v1/events", f"/v1/jobs/{job['id']}/events")
        async with (
            webapp.http.stream("GET", paths[0], headers=STREAM) as feed,
            webapp.http.stream("GET", paths[1], headers=STREAM) as single,
        ):
            webapp.stop.set()
            async with asyncio.timeout(2):
                texts = [await _rest(answer) for answer in (feed, single)]

    assert all("retry: 2000" in text for text in texts)


async def _rest(answer: httpx.Response) -> str:
    return (await answer.aread()).decode()


async def test_a_reader_that_does_not_read_is_cut(
    environ: dict[str, str], token: str, redis: Redis, keys: Keyspace
) -> None:
    """Its connection is ended, and its place is free again."""
    quick = environ | {"GW_STREAM_SEND_TIMEOUT_S": "0.2", "GW_STREAMS_PER_TENANT_MAX": "1"}
    async with running(quick, token=token) as webapp:
        job = await webapp.submit()
        for _ in range(6_000):
            # As many events as no buffer between the two takes in.
            await redis.xadd(keys.events("acme"), {"job": job["id"], "event": "accepted"})
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(reader, ("127.0.0.1", webapp.port))
            request = "GET /v1/events?after=start HTTP/1.1\r\nhost: a\r\n"
            request += f"authorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
            await loop.sock_sendall(reader, request.encode())
            assert (await loop.sock_recv(reader, 64)).startswith(b"HTTP/1.1 200")

            await wait_until(lambda: _status(webapp))


async def test_a_jobs_stream_goes_from_now_to_its_end(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Its present state at once, then each that is seen, and the end with its end."""
    job = await webapp.submit()
    path = f"/v1/jobs/{job['id']}/events"
    async with (
        webapp.http.stream("GET", path, headers=STREAM) as answer,
        aclosing(blocks_of(answer)) as blocks,
    ):
        now = await next_event(blocks)
        await finish(
            JobStore(redis, keys), job["id"], to=JobState.FAILED, reason_code="x", reason="y"
        )
        end = await next_event(blocks)
        rest = [fields async for fields in blocks if "data" in fields]
    again = await webapp.http.get(path)

    assert (now["type"], now["data"]) == ("job.queued", job)
    assert (end["type"], end["data"]["reason"]["code"]) == ("job.failed", "x")
    assert rest == []
    assert "event: job.failed" in again.text
