"""What is claimed is counted by model and priority, held by entry, and its release is told."""

from __future__ import annotations

import asyncio

from dispatcher.claims import Claims
from pipeline.jobs.job import Priority
from tests.builders_dispatcher import make_held


def test_claims_are_counted_by_model_and_priority() -> None:
    """Each has its own count, over all tenants, which falls with each release."""
    claims = Claims()
    one, two = make_held(turn=2.0), make_held(stream="another tenant's", turn=1.0)
    high, other = make_held(priority=Priority.HIGH), make_held(model="other")
    for held in (one, two, high, other):
        claims.add(held)
    assert claims.count("echo", Priority.NORMAL) == 2
    assert claims.count("echo", Priority.HIGH) == claims.count("other", Priority.NORMAL) == 1
    assert claims.count("none", Priority.NORMAL) == 0
    assert sorted(claims.turns("echo", Priority.NORMAL)) == [1.0, 2.0]
    claims.release(two)
    assert (claims.count("echo", Priority.NORMAL), len(claims)) == (1, 3)
    assert claims.turns("echo", Priority.NORMAL) == [2.0]


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
    assert (claims.count("echo", Priority.NORMAL), len(claims)) == (1, 1)


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
