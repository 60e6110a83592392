"""What goes wrong between client and server, and what never comes of it: a second job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from gw.client import Options, Retrying, TransportFailed
from gw.client.errors import Overloaded, Unavailable
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.gw.client.either import Asynchronous, Blocking, Either
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import PICTURE, Webapp, finish
from tests.waiting import wait_until

QUICK = Options(timeout_s=5, retrying=Retrying(give_up_s=10, first_pause_s=0.01))


@dataclass(slots=True, kw_only=True)
class Way:
    """The way to a webapp, on which the first requests meet what *faults* say, in turn."""

    upstream: int
    faults: list[str] = field(default_factory=list)
    port: int = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        up: asyncio.StreamWriter | None = None
        try:
            while head := await _head(reader):
                fault = self.faults.pop(0) if self.faults else ""
                if fault == "cut-before":
                    return
                body = await reader.readexactly(_length(head))
                if fault.isdecimal():
                    refusal = f"HTTP/1.1 {fault} No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"
                    writer.write(refusal.encode())
                    continue
                up_reader, up = await asyncio.open_connection("127.0.0.1", self.upstream)
                up.write(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1) + body)
                while piece := await up_reader.read(65536):
                    if fault != "cut-after":
                        writer.write(piece)
                    if fault == "cut-within" and b"data:" in piece:
                        return
                return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if up is not None:
                up.close()
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


@asynccontextmanager
async def way_to(port: int, *faults: str) -> AsyncIterator[Way]:
    """Open a way to the webapp on *port*."""
    way = Way(upstream=port, faults=list(faults))
    server = await asyncio.start_server(way.carry, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()


@pytest.fixture(params=[Blocking, Asynchronous])
def kind(request: pytest.FixtureRequest) -> type[Either]:
    """Give each kind of client."""
    kind: type[Either] = request.param
    return kind


@pytest.mark.parametrize(
    "faults",
    [
        ("503", "503"),
        ("502", "429"),
        ("cut-before",),
        ("cut-after",),
        ("cut-after", "503", "cut-after"),
    ],
)
async def test_a_submission_is_repeated_and_makes_one_job(
    kind: type[Either], faults: tuple[str, ...], webapp: Webapp, look: Look
) -> None:
    """Whether the answer was lost or the request, and whoever said that he was away."""
    async with way_to(webapp.port, *faults) as way:
        client = kind(f"http://127.0.0.1:{way.port}", webapp.token, QUICK)
        try:
            job = await client.do("submit", PICTURE, model="echo")
        finally:
            await client.close()

    assert not way.faults
    assert (await look()).pictures == {job.id}


async def test_what_would_be_two_is_sent_once(
    kind: type[Either], webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """A new endpoint has no idempotency key: a lost answer is an error, and there is one."""
    async with way_to(webapp.port, "cut-after") as way:
        client = kind(f"http://127.0.0.1:{way.port}", webapp.token, QUICK)
        try:
            with pytest.raises(TransportFailed):
                await client.do("add_webhook", "https://example.com/x")
            assert len(await client.do("webhooks")) == 1
            way.faults = ["503"]
            with pytest.raises(Unavailable):
                await client.do("add_webhook", "https://example.com/x")
            way.faults = ["429"]
            await client.do("add_webhook", "https://example.com/y")
            assert len(await client.do("webhooks")) == 2
        finally:
            await client.close()


async def test_a_removal_whose_answer_was_lost_is_done(kind: type[Either], webapp: Webapp) -> None:
    """Finding nothing at the second try, and a job canceled, is what was wanted."""
    async with way_to(webapp.port) as way:
        client = kind(f"http://127.0.0.1:{way.port}", webapp.token, QUICK)
        try:
            job = await client.do("submit", PICTURE, model="echo")
            way.faults = ["cut-after"]
            assert (await client.do("cancel", job.id)).state == "canceled"
            way.faults = ["cut-after"]
            await client.do("remove", job.id)
        finally:
            await client.close()


async def test_patience_ends(kind: type[Either], webapp: Webapp) -> None:
    """With the refusal that was there last."""
    brief = Options(timeout_s=5, retrying=Retrying(give_up_s=0.3, first_pause_s=0.1))
    async with way_to(webapp.port, *["429"] * 99) as way:
        client = kind(f"http://127.0.0.1:{way.port}", webapp.token, brief)
        try:
            with pytest.raises(Overloaded):
                await client.do("submit", PICTURE, model="echo")
        finally:
            await client.close()


async def test_a_feed_is_resumed_where_it_broke(kind: type[Either], webapp: Webapp) -> None:
    """No event is missed, and none comes twice."""
    job = await webapp.submit()
    async with way_to(webapp.port, "cut-before", "cut-within", "503", "cut-within") as way:
        client = kind(f"http://127.0.0.1:{way.port}", webapp.token, QUICK)
        try:
            taking = asyncio.ensure_future(client.take(3, "events", "start"))
            await wait_until(lambda: len(way.faults) <= 2)
            jobs = [job, await webapp.submit(), await webapp.submit()]
            events = await asyncio.wait_for(taking, 20)
        finally:
            await client.close()

    assert [event.job_id for event in events] == [job["id"] for job in jobs]


async def test_a_wait_survives_its_stream(
    kind: type[Either], webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Where no stream comes through the job is read now and then."""
    job = await webapp.submit()
    faults = ["", "cut-within", "503", "cut-before", "cut-within", "cut-within"]
    async with way_to(webapp.port, *faults) as way:
        client = kind(f"http://127.0.0.1:{way.port}", webapp.token, QUICK)
        try:
            waiting = asyncio.ensure_future(client.do("wait", job["id"], 20))
            await wait_until(lambda: len(way.faults) <= 2)
            await finish(JobStore(redis, keys), job["id"], to=JobState.EXPIRED)
            assert (await waiting).state == "expired"
        finally:
            await client.close()
