"""Expansion against a real store: every item once, wherever it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from operations import room, stopping
from operations.expansion import ATTEMPTS_MAX, CHUNK_ITEMS, Expansion, ExpansionLimits
from operations.parts import OperationParts
from operations.sources import Candidate
from operations.stopping import HandedBack
from pipeline.access.tenants import Tenant, TenantStore
from pipeline.batches.batch import Batch, BatchState, SourceFault
from pipeline.errors import Unavailable
from pipeline.jobs.job import JobState
from pipeline.jobs.loads import LoadStore, bytes_field, jobs_field
from pipeline.jobs.store import Move
from tests.integration.operations.conftest import PICTURE, submit, zipped

ITEMS = 3 * CHUNK_ITEMS + 5


@pytest.fixture(autouse=True)
def _go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget that an earlier test asked to stop."""
    monkeypatch.setattr(stopping, "_asked", False)


def archive() -> bytes:
    """Zip ITEMS pictures."""
    return zipped([(f"{index:03d}.jpg", PICTURE) for index in range(ITEMS)])


class Crash(Exception):
    """Stands for the death of the process."""


class CrashingParts:
    """A store in whose calls the process dies, before or after the call is carried out."""

    def __init__(self, real: object, name: str, call: int, *, is_done: bool) -> None:
        self._real = real
        self._name = name
        self._calls_left = call
        self._is_done = is_done

    def __getattr__(self, name: str) -> object:
        """Give the real method, or the one that dies."""
        method = getattr(self._real, name)
        if name != self._name:
            return method

        async def dying(*args: object, **kwargs: object) -> object:
            self._calls_left -= 1
            if self._calls_left:
                return await method(*args, **kwargs)
            if self._is_done:
                await method(*args, **kwargs)
            raise Crash

        return dying


def crashing(
    parts: OperationParts, store: str, method: str, call: int, *, is_done: bool
) -> Expansion:
    """Make an expansion that dies at one call of one store's method."""
    stores = {"jobs": parts.jobs, "batches": parts.batches}
    stores[store] = CrashingParts(stores[store], method, call, is_done=is_done)
    return Expansion(
        batches=stores["batches"],  # type: ignore[arg-type]
        jobs=stores["jobs"],  # type: ignore[arg-type]
        blobs=parts.blobs,
        clock=parts.clock,
        limits=ExpansionLimits(waiting_max=10_000, picture_max_pixels=10**6),
        room=parts.room(),
    )


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize(
    ("store", "method", "call"),
    [
        ("batches", "begin_attempt", 1),
        ("jobs", "absent", 2),
        ("jobs", "accept", 1),
        ("jobs", "accept", 3),
        ("batches", "add_items", 1),
        ("batches", "add_items", 4),
        ("batches", "close", 1),
    ],
)
async def test_an_expansion_that_dies_anywhere_is_made_whole(
    store: str, method: str, call: int, is_done: bool, parts: OperationParts
) -> None:
    """Before or after each call that writes: the next life makes each item's job exactly once."""
    submitted = await submit(parts, archive())
    dying = crashing(parts, store, method, call, is_done=is_done)
    with pytest.raises(Crash):
        await dying.run(submitted.accepted, parts.source(submitted.accepted))

    if (await submitted.now()).state is BatchState.EXPANDING:
        await parts.expansion().run(await submitted.now(), parts.source(submitted.accepted))

    batch = await submitted.now()
    assert (batch.state, batch.counts.items, batch.counts.jobs) == (
        BatchState.RUNNING,
        ITEMS,
        ITEMS,
    )
    assert (await parts.jobs.counts())[JobState.QUEUED] == ITEMS
    ids = [batch.job_id(index) for index in range(ITEMS)]
    jobs = await parts.jobs.get_many(ids)
    assert all(job is not None and job.batch_id == batch.batch_id for job in jobs)
    assert all(parts.blobs.get(job_id) == PICTURE for job_id in ids)
    items = await parts.batches.items(batch.batch_id, first=0, limit=1000)
    assert [item.name for item in items] == [f"{index:03d}.jpg" for index in range(ITEMS)]


async def test_two_expansions_at_once_make_each_job_once(parts: OperationParts) -> None:
    """A worker that was taken for dead and goes on does no harm."""
    submitted = await submit(parts, archive())
    late = await submitted.now()
    await parts.expansion().run(late, parts.source(late))

    await parts.expansion().run(late, parts.source(late))
    assert await parts.batches.add_items(late.batch_id, [], first=0) == 0

    assert (await parts.jobs.counts())[JobState.QUEUED] == ITEMS
    assert (await submitted.now()).counts.items == ITEMS


async def test_what_is_no_picture_is_an_error_of_its_item(parts: OperationParts) -> None:
    """The others become jobs; the item says what is wrong with it."""
    source = zipped([("a.jpg", PICTURE), ("readme.txt", b"hello"), ("cut.jpg", PICTURE[:-30])])
    submitted = await submit(parts, source)

    await parts.expansion().run(submitted.accepted, parts.source(submitted.accepted))

    items = await parts.batches.items(submitted.accepted.batch_id, first=0, limit=10)
    assert [item.error_code for item in items] == ["", "invalid_picture", "invalid_picture"]
    counts = (await submitted.now()).counts
    assert (counts.items, counts.jobs, counts.refused) == (3, 1, 2)


async def test_an_item_past_the_deadline_becomes_no_job(parts: OperationParts) -> None:
    """Nobody waits for it any more."""
    submitted = await submit(parts, archive(), template={"deadline_unix_ms": 1})

    await parts.expansion().run(submitted.accepted, parts.source(submitted.accepted))

    assert (await submitted.now()).counts.refused == ITEMS
    (item, *_) = await parts.batches.items(submitted.accepted.batch_id, first=0, limit=1)
    assert item.error_code == "deadline_passed"


async def test_expansion_waits_for_room_and_hands_back(
    parts: OperationParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit of waiting jobs nothing is accepted; told to stop, it goes on another time."""
    submitted = await submit(parts, archive())
    narrow = replace(parts, settings=replace(parts.settings, batch_jobs_waiting_max=10))
    checks = iter(range(20))
    monkeypatch.setattr(
        stopping, "check", lambda: None if next(checks, None) is not None else _hand_back()
    )
    monkeypatch.setattr(room, "_PAUSE_S", (0.0, 0.0))

    with pytest.raises(HandedBack):
        await narrow.expansion().run(submitted.accepted, parts.source(submitted.accepted))

    assert (await parts.jobs.counts())[JobState.QUEUED] == 10
    monkeypatch.undo()
    await parts.expansion().run(await submitted.now(), parts.source(submitted.accepted))
    assert (await parts.jobs.counts())[JobState.QUEUED] == ITEMS
    assert (await submitted.now()).counts.jobs == ITEMS


async def limit(parts: OperationParts, **settings: Any) -> None:
    """Set what the batches' tenant may."""
    await TenantStore(parts.redis, parts.keys).add(Tenant(tenant="default", **settings))


async def end_waiting(parts: OperationParts, batch: Batch) -> int:
    """End the jobs of *batch* that wait, as if they were through; give how many waited."""
    records = await parts.jobs.get_many([batch.job_id(index) for index in range(ITEMS)])
    waiting = [job for job in records if job is not None and job.state is JobState.QUEUED]
    if waiting:
        await parts.jobs.move(
            [Move(job=job, to=JobState.CANCELED, finished_unix_ms=1) for job in waiting]
        )
    return len(waiting)


@pytest.mark.parametrize(
    ("limits", "waiting_max"),
    [({"jobs_waiting_max": 40}, 20), ({"bytes_max": 30 * len(PICTURE)}, 15)],
)
async def test_a_batch_keeps_within_its_tenants_limits(
    limits: dict[str, int], waiting_max: int, parts: OperationParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits at half of them and goes on as its jobs end; every item becomes a job."""
    monkeypatch.setattr(room, "_PAUSE_S", (0.001, 0.01))
    await limit(parts, **limits)
    submitted = await submit(parts, archive())
    batch = submitted.accepted
    expanding = asyncio.create_task(parts.expansion().run(batch, parts.source(batch)))

    most, through = 0, 0
    async with asyncio.timeout(60):
        while through < ITEMS:
            most = max(most, (await parts.jobs.counts())[JobState.QUEUED])
            through += await end_waiting(parts, batch)
            await asyncio.sleep(0)
        await expanding

    assert most == waiting_max
    assert (await submitted.now()).counts.jobs == ITEMS
    loads = await LoadStore(parts.redis, parts.keys).read()
    assert (loads.of(jobs_field("default")), loads.of(bytes_field("default"))) == (0, 0)


async def test_a_batch_keeps_to_its_tenants_rate_and_gives_way(
    parts: OperationParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the bucket stays; out of patience it hands back, and that is no failed attempt."""
    monkeypatch.setattr(room, "_PAUSE_S", (0.001, 0.001))
    monkeypatch.setattr(room, "_PATIENCE_S", 0.002)
    await limit(parts, jobs_per_s=0.001, burst=21)
    submitted, _ = await submit(parts, archive()), await submit(parts, archive())

    with pytest.raises(HandedBack):
        await parts.expansion().run(submitted.accepted, parts.source(submitted.accepted))

    assert (await parts.jobs.counts())[JobState.QUEUED] == 11
    assert (await submitted.now()).attempts == 0
    await limit(parts)
    await parts.expansion().run(await submitted.now(), parts.source(submitted.accepted))
    assert (await submitted.now()).counts.jobs == ITEMS


async def test_a_picture_that_never_fits_is_an_error_of_its_item(parts: OperationParts) -> None:
    """Waiting would not help: it is larger than all of the tenant's pictures may be."""
    await limit(parts, bytes_max=len(PICTURE) - 1)
    submitted = await submit(parts, zipped([("a.jpg", PICTURE)]))

    await parts.expansion().run(submitted.accepted, parts.source(submitted.accepted))

    (item,) = await parts.batches.items(submitted.accepted.batch_id, first=0, limit=10)
    assert item.error_code == "quota_reached"


def _hand_back() -> None:
    raise HandedBack("stop")


class FaultySource:
    """Gives some pictures, then a fault."""

    def __init__(self, count: int, fault: Exception) -> None:
        self._count = count
        self._fault = fault

    async def candidates(self, first: int) -> AsyncGenerator[Candidate, None]:
        """Give the pictures from *first* on."""
        for index in range(first, self._count):
            yield Candidate(name=f"{index}", data=PICTURE)
        raise self._fault


async def test_a_source_that_breaks_off_keeps_what_it_gave(parts: OperationParts) -> None:
    """Its pictures are jobs, and the batch says why there are no more."""
    submitted = await submit(parts, b"")
    fault = SourceFault("the video breaks off", code="video_too_long")

    await parts.expansion().run(submitted.accepted, FaultySource(3, fault))

    batch = await submitted.now()
    assert (batch.state, batch.counts.jobs, batch.items_total) == (BatchState.RUNNING, 3, 3)
    assert (batch.reason_code, batch.reason) == ("video_too_long", "the video breaks off")


async def test_an_expansion_that_gets_nowhere_is_given_up(parts: OperationParts) -> None:
    """What kills its worker each time ends the batch with a reason, not with more workers."""
    submitted = await submit(parts, b"")
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(Unavailable):
            await parts.expansion().run(
                await submitted.now(), FaultySource(0, Unavailable("killed"))
            )

    await parts.expansion().run(await submitted.now(), FaultySource(0, Unavailable("killed")))

    batch = await submitted.now()
    assert (batch.state, batch.reason_code) == (BatchState.RUNNING, "expansion_failed")
    assert batch.final_state is BatchState.FAILED
