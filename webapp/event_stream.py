"""Server-sent events (HTML Living Standard, 9.2): an answer that goes on, bounded on every side.

A stream ends when its events do, when its reader is gone or does not read, and when the service
stops. A reader comes back by itself, with the id of the last event that it has seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.documents import compact_json
from pipeline.errors import GwError, Overloaded, Unavailable
from webapp.body import disconnected

log = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"

#: What the scope's extension is called by which a connection is cut (see ``http_protocol.py``).
CUT_EXTENSION = "gw.cut"

#: How long a reader waits before it comes back.
_RETRY_MS = 2000

_HEADERS = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    # A proxy that gathers an answer before it passes it on would hold the events back.
    (b"x-accel-buffering", b"no"),
]

Blocks = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTimes:
    """How often a silent stream gives a sign of life, and how long a reader may take to read."""

    heartbeat_s: float
    send_timeout_s: float


class StreamSlots:
    """How many streams may be open, in all and for each tenant."""

    def __init__(self, *, total: int, per_tenant: int) -> None:
        self._total = total
        self._per_tenant = per_tenant
        self._open: Counter[str] = Counter()

    @contextmanager
    def hold(self, tenant: str) -> Iterator[None]:
        """Hold a slot; raises Overloaded past the tenant's share and Unavailable past the total."""
        if self._open[tenant] >= self._per_tenant:
            raise Overloaded(
                f"{self._per_tenant} event streams are open already.", retry_after_s=10
            )
        if self._open.total() >= self._total:
            raise Unavailable("too many event streams are open", retry_after_s=10)
        self._open[tenant] += 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            self._open += Counter()  # drops what is 0


def event_block(event: str, document: dict[str, Any], *, event_id: str = "") -> bytes:
    """Give one event as the bytes that are sent; JSON text has no line ends of its own."""
    data = compact_json(document)
    lines = [f"id: {event_id}"] if event_id else []
    return "\n".join([*lines, f"event: {event}", f"data: {data}", "", ""]).encode(errors="replace")


class EventStream(Response):
    """An answer of events. *blocks* is what is sent, in pieces.

    In the end it is closed, and so is *held*, with whatever the stream takes up while it is open.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, blocks: Blocks, held: ExitStack, *, times: StreamTimes, stopping: asyncio.Event
    ) -> None:
        super().__init__()
        self._blocks = blocks
        self._held = held
        self._times = times
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        gone = asyncio.ensure_future(disconnected(receive))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            if await self._pass_on(send, gone, stopping):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not gone.done():
                scope["extensions"][CUT_EXTENSION]["call"]()
                # The server takes note of it in its own time.
                await asyncio.wait({gone}, timeout=self._times.send_timeout_s)
        finally:
            gone.cancel()
            stopping.cancel()
            await self._blocks.aclose()
            self._held.close()

    async def _pass_on(
        self, send: Send, gone: asyncio.Future[None], stopping: asyncio.Future[Any]
    ) -> bool:
        """Send until the end; False when there is nobody who reads."""
        await self._sent(send, f"retry: {_RETRY_MS}\n\n".encode())
        coming = asyncio.ensure_future(self._next())
        try:
            while True:
                awaited: set[asyncio.Future[Any]] = {coming, gone, stopping}
                done, _ = await asyncio.wait(
                    awaited,
                    timeout=self._times.heartbeat_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if gone in done:
                    return False
                block: bytes | None = b": \n\n"
                if coming in done:
                    block = coming.result()
                    coming = asyncio.ensure_future(self._next())
                elif stopping in done:
                    block = None
                if block is None:
                    return True
                if not await self._sent(send, block):
                    return False
        finally:
            coming.cancel()
            await asyncio.wait({coming})

    async def _next(self) -> bytes | None:
        try:
            return await anext(self._blocks)
        except StopAsyncIteration:
            return None
        except GwError as exc:
            # Its reader comes back, and is then told what is wrong.
            log.warning("stream.broken", extra={"reason": str(exc)})
            return None

    async def _sent(self, send: Send, block: bytes) -> bool:
        """Send a block; False when the reader does not take it in time."""
        try:
            async with asyncio.timeout(self._times.send_timeout_s):
                await send({"type": "http.response.body", "body": block, "more_body": True})
        except TimeoutError:
            log.info("stream.cut", extra={"timeout_s": self._times.send_timeout_s})
            return False
        return True
