"""Reading a body within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from pipeline.errors import Overloaded
from webapp.body import BodyLimits, MemoryBudget, check_claimed_length, read_body
from webapp.refusals import BodyTooLarge, UploadTimedOut

LIMITS = BodyLimits(max_bytes=10, timeout_s=5)


def receiving(chunks: Iterable[bytes], *, seen: list[int] | None = None) -> Receive:
    """Give a body as uvicorn would, noting in *seen* how many bytes were asked for."""
    pieces = list(chunks)

    async def receive() -> Message:
        if not pieces:
            raise AssertionError("read past the end")
        chunk = pieces.pop(0)
        if seen is not None:
            seen.append(len(chunk))
        return {"type": "http.request", "body": chunk, "more_body": bool(pieces)}

    return receive


async def test_a_body_is_read_whole() -> None:
    """The pieces are joined, and held while they are needed."""
    budget = MemoryBudget(100)

    with budget.hold() as holding:
        body = await read_body(receiving([b"ab", b"", b"cd"]), LIMITS, holding)
        held_bytes = budget.held_bytes

    assert (body, held_bytes, budget.held_bytes) == (b"abcd", 4, 0)


async def test_an_empty_body_is_empty() -> None:
    """No byte is no error here."""
    with MemoryBudget(100).hold() as holding:
        assert await read_body(receiving([b""]), LIMITS, holding) == b""


async def test_reading_stops_at_the_first_piece_past_the_limit() -> None:
    """What follows is not even asked for, and nothing stays held."""
    budget = MemoryBudget(100)
    seen: list[int] = []

    with pytest.raises(BodyTooLarge), budget.hold() as holding:
        await read_body(receiving([b"x" * 6] * 10, seen=seen), LIMITS, holding)

    assert (seen, budget.held_bytes) == ([6, 6], 0)


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    """The limit itself is allowed."""
    with MemoryBudget(100).hold() as holding:
        assert len(await read_body(receiving([b"x" * 10]), LIMITS, holding)) == 10


async def test_a_body_that_does_not_come_in_time_is_refused() -> None:
    """A sender that stalls is let go, with an error of its own."""

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(UploadTimedOut), MemoryBudget(100).hold() as holding:
        await read_body(never, BodyLimits(max_bytes=10, timeout_s=0.001), holding)


async def test_a_sender_that_leaves_is_noticed() -> None:
    """A broken connection is no empty body."""

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect), MemoryBudget(100).hold() as holding:
        await read_body(gone, LIMITS, holding)


async def test_all_bodies_together_stay_within_the_budget() -> None:
    """The request that would pass it is told to come back, and the others go on."""
    budget = MemoryBudget(12)

    with budget.hold() as first:
        await read_body(receiving([b"x" * 8]), LIMITS, first)
        with pytest.raises(Overloaded) as caught, budget.hold() as second:
            await read_body(receiving([b"x" * 8]), LIMITS, second)
        assert budget.held_bytes == 8

    assert caught.value.retry_after_s == 1
    assert budget.held_bytes == 0


def test_releasing_twice_frees_once() -> None:
    """An account that was closed early is empty when its request ends."""
    budget = MemoryBudget(10)

    with budget.hold() as holding:
        holding.add(5)
        holding.release()
        budget.take(3)

    assert budget.held_bytes == 3


def test_a_claimed_length_past_the_limit_is_refused_at_once() -> None:
    """Only a claim that is too large is believed."""
    check_claimed_length(None, LIMITS)
    check_claimed_length(10, LIMITS)

    with pytest.raises(BodyTooLarge):
        check_claimed_length(11, LIMITS)
