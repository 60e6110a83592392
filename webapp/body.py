"""Reading a body: piece by piece, never more than the limit, never longer than the time.

What is counted is what has really arrived. A Content-Length is only good for refusing early.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from pipeline.errors import Overloaded
from webapp.refusals import BodyTooLarge, UploadTimedOut


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """The bounds of one body."""

    max_bytes: int
    timeout_s: float


class MemoryBudget:
    """What all bodies that are in memory may take together."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    @contextmanager
    def hold(self) -> Iterator[Holding]:
        """Open the account of one request; what it holds is free again afterwards."""
        holding = Holding(self)
        try:
            yield holding
        finally:
            holding.release()

    def take(self, size_bytes: int) -> None:
        """Take *size_bytes*; raises Overloaded when the budget does not have them."""
        if self.held_bytes + size_bytes > self._limit_bytes:
            raise Overloaded("Too many uploads are arriving at once.", retry_after_s=1)
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Free *size_bytes*."""
        self.held_bytes -= size_bytes


class Holding:
    """What one request holds of the budget."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Hold *size_bytes* more; raises Overloaded."""
        self._budget.take(size_bytes)
        self.size_bytes += size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Give *size_bytes* of it back."""
        self._budget.give_back(size_bytes)
        self.size_bytes -= size_bytes

    def release(self) -> None:
        """Give everything back; idempotent."""
        self._budget.give_back(self.size_bytes)
        self.size_bytes = 0


async def read_body(receive: Receive, limits: BodyLimits, holding: Holding) -> bytes:
    """Give the body, whole; raises as :func:`read_into` does."""
    chunks: list[bytes] = []
    await read_into(chunks.append, receive, limits, holding)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_into(
    sink: Callable[[bytes], None], receive: Receive, limits: BodyLimits, holding: Holding
) -> None:
    """Hand the body to *sink* piece by piece, holding each.

    Raises BodyTooLarge at the first piece past the limit, UploadTimedOut when the whole is not
    there in time, Overloaded past the budget, ClientDisconnect, and what *sink* raises.
    """
    async with in_time(limits):
        async for piece in pieces_of(receive, limits):
            holding.add(len(piece))
            sink(piece)


async def pieces_of(receive: Receive, limits: BodyLimits) -> AsyncIterator[bytes]:
    """Give what arrives of a body, as it arrives; nothing empty.

    Raises BodyTooLarge at the first piece past the limit, and ClientDisconnect.
    """
    size_bytes = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if piece:
            size_bytes += len(piece)
            if size_bytes > limits.max_bytes:
                raise BodyTooLarge(limits.max_bytes)
            yield piece


@asynccontextmanager
async def in_time(limits: BodyLimits) -> AsyncIterator[None]:
    """Bound what is done with a body; raises UploadTimedOut."""
    try:
        async with asyncio.timeout(limits.timeout_s):
            yield
    except TimeoutError as exc:
        raise UploadTimedOut(limits.timeout_s) from exc


async def disconnected(receive: Receive) -> None:
    """Wait until the caller, whose whole body was received, has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def check_claimed_length(length_bytes: int | None, limits: BodyLimits) -> None:
    """Refuse a body that says itself that it is too large, before any of it is read."""
    if length_bytes is not None and length_bytes > limits.max_bytes:
        raise BodyTooLarge(limits.max_bytes)
