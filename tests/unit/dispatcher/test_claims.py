"""What is claimed is counted by stream, held by entry, and its release is told."""

from __future__ import annotations

import asyncio

from dispatcher.claims import Claims
from tests.builders_dispatcher import make_held


def test_claims_are_counted_by_stream() -> None:
    """Each stream has its own count, which falls with each release."""
    claims = Claims()
    one, two, other = make_held(), make_held(), make_held(stream="other")
    for held in (one, two, other):
        claims.add(held)
    assert (claims.count("infer"), claims.count("other"), claims.count("none")) == (2, 1, 0)
    claims.release(one)
    assert (claims.count("infer"), claims.count("other"), len(claims)) == (1, 1, 2)


def test_a_claim_is_held_until_it_is_released() -> None:
    """Entries are told apart by stream and id; releasing one twice counts once."""
    claims = Claims()
    one, other = make_held(), make_held()
    claims.add(one)
    claims.add(other)
    assert claims.holds(one.entry)
    claims.release(one)
    claims.release(one)
    assert not claims.holds(one.entry)
    assert claims.holds(other.entry)
    assert (claims.count("infer"), len(claims)) == (1, 1)


async def test_every_waiter_hears_of_a_release() -> None:
    """Several wait, one entry is released: all go on at once, also those that come between."""
    claims = Claims()
    held = make_held()
    claims.add(held)
    waits = [asyncio.create_task(claims.released()) for _ in range(3)]
    await asyncio.sleep(0)
    claims.release(held)
    done, _ = await asyncio.wait(waits, timeout=0.3)
    assert len(done) == 3


async def test_a_release_of_what_is_not_held_wakes_nobody() -> None:
    """Only a claim that ends makes room."""
    claims = Claims()
    wait = asyncio.create_task(claims.released())
    await asyncio.sleep(0)
    claims.release(make_held())
    await asyncio.sleep(0)
    assert not wait.done()
    wait.cancel()
