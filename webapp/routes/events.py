"""Events: the feed of a tenant, as a stream or by long polling, and the stream of one job."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, aclosing
from time import monotonic
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.jobs.job import Job
from webapp import documentation as docs
from webapp.body import disconnected
from webapp.event_stream import MEDIA_TYPE, Blocks, EventStream, StreamTimes, event_block
from webapp.following import FeedQuery, Follower, place_for
from webapp.job_states import states_of
from webapp.json_answer import json_answer
from webapp.parts import Parts
from webapp.presentation import job_event_document
from webapp.routes.calling import caller_of_repeatable
from webapp.routes.own_job import own_job
from webapp.subscribers import read_ack


class EventRoutes:
    """The handlers of ``/v1/events`` and ``/v1/jobs/{job_id}/events``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._times = StreamTimes(
            heartbeat_s=parts.settings.events.heartbeat_s,
            send_timeout_s=parts.settings.events.send_timeout_s,
        )

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/v1/jobs/{job_id}/events", **docs.FOLLOW_JOB)(self.follow_job)
        app.get("/v1/events", **docs.READ_EVENTS)(self.read)
        app.post("/v1/events/ack", **docs.ACK_EVENTS)(self.ack)
        app.get("/v1/events/subscribers", **docs.LIST_SUBSCRIBERS)(self.subscribers)
        app.delete("/v1/events/subscribers/{name}", **docs.REMOVE_SUBSCRIBER)(self.forget)

    async def follow_job(self, request: Request) -> Response:
        """Stream a job's states, from the present one to its end."""
        job = await own_job(self._parts, request)
        with ExitStack() as held:
            held.enter_context(self._parts.jobs.streams.hold(job.tenant))
            return self._stream(self._states(job), held.pop_all())

    async def read(self, request: Request) -> Response:
        """Give events: a stream for whoever accepts one, else those that there are."""
        parts = self._parts
        caller = await caller_of_repeatable(parts, request, Scope.READ_OWN)
        query = FeedQuery.parse(
            request.scope["query_string"],
            last_event_id=request.headers.get("last-event-id", ""),
            wait_max_s=parts.settings.wait_max_s,
        )
        place = await place_for(parts.jobs.event_log, parts.jobs.subscribers, caller.tenant, query)
        follower = Follower(parts.jobs.event_log, parts.jobs.index, caller, place)
        with ExitStack() as held:
            held.enter_context(parts.jobs.streams.hold(caller.tenant))
            if MEDIA_TYPE in request.headers.get("accept", ""):
                blocks = self._events(follower, caller.tenant, query.limit)
                return self._stream(blocks, held.pop_all())
            documents = await follower.read(query.limit)
            if not documents and query.wait_s:
                documents = await self._wait(request, follower, caller.tenant, query)
        return json_answer({"events": documents, "next": follower.cursor})

    async def ack(self, request: Request) -> Response:
        """Note how far a named subscriber has come; it never goes back."""
        parts = self._parts
        caller = await caller_of_repeatable(parts, request, Scope.READ_OWN)
        name, cursor = await read_ack(request.receive, parts.budget)
        return json_answer(await parts.jobs.subscribers.acknowledge(caller.tenant, name, cursor))

    async def subscribers(self, request: Request) -> Response:
        """List the named subscribers of the caller's tenant."""
        caller = await caller_of_repeatable(self._parts, request, Scope.READ_OWN)
        return json_answer({"subscribers": await self._parts.jobs.subscribers.all(caller.tenant)})

    async def forget(self, request: Request) -> Response:
        """Forget a named subscriber; raises NotFound."""
        caller = await caller_of_repeatable(self._parts, request, Scope.READ_OWN)
        await self._parts.jobs.subscribers.forget(caller.tenant, request.path_params["name"])
        return Response(status_code=204)

    def _stream(self, blocks: Blocks, held: ExitStack) -> EventStream:
        return EventStream(blocks, held, times=self._times, stopping=self._parts.stopping)

    async def _events(self, follower: Follower, tenant: str, limit: int) -> Blocks:
        async with self._parts.jobs.feed.listening(tenant) as listener:
            while True:
                for document in await follower.read(limit):
                    yield event_block(document["type"], document, event_id=document["id"])
                if follower.is_at_end:
                    await listener.wait()

    async def _states(self, job: Job) -> Blocks:
        """Tell each state that is seen; what a job passes through between two looks is not."""
        async with aclosing(states_of(self._parts, job)) as states:
            async for seen in states:
                document = job_event_document(seen, now_unix_ms=self._parts.clock.unix_ms())
                yield event_block(document["type"], document)

    async def _wait(
        self, request: Request, follower: Follower, tenant: str, query: FeedQuery
    ) -> list[dict[str, Any]]:
        """Wait for the next events, but not longer than the caller or the service does."""
        waiting = asyncio.ensure_future(self._next(follower, tenant, query))
        gone = asyncio.ensure_future(disconnected(request.receive))
        stopping = asyncio.ensure_future(self._parts.stopping.wait())
        awaited: set[asyncio.Future[Any]] = {waiting, gone, stopping}
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else []
        finally:
            for each in awaited:
                each.cancel()
            await asyncio.wait(awaited)

    async def _next(
        self, follower: Follower, tenant: str, query: FeedQuery
    ) -> list[dict[str, Any]]:
        until_s = monotonic() + query.wait_s
        async with self._parts.jobs.feed.listening(tenant) as listener:
            while True:
                documents = await follower.read(query.limit)
                left_s = until_s - monotonic()
                if documents or left_s <= 0:
                    return documents
                if follower.is_at_end:
                    await listener.wait(left_s)
