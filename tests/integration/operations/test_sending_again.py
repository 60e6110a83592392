"""Recovering and replaying: at a rate, repeated anywhere, nothing twice and nothing left out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from operations import sending_again, stopping
from operations.parts import OperationParts
from operations.sending_again import AgainStores, SendingAgain
from operations.sweeps import sweep_deliveries
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint
from pipeline.deliveries.index import Times, id_at
from pipeline.deliveries.operation import Operation, OperationKind, OperationState
from pipeline.deliveries.operation_store import OperationStore, Sent, Step
from pipeline.deliveries.receivers import Health
from pipeline.deliveries.store import Settlement
from pipeline.events.event import Event, EventType
from pipeline.events.job_events import event_of
from pipeline.events.matching import deliveries_of
from pipeline.ids import unix_ms_of
from pipeline.protocol import NOTIFIER_GROUP, EventAnnounced, Keyspace
from pipeline.streams import StreamReader
from tests.builders import make_id
from tests.integration.notifier.site import Site

FOREVER_MS = 1 << 47


@pytest.fixture
def site(redis: Redis, keys: Keyspace) -> Site:
    """Give the notifier's surroundings, for the events and deliveries that there are."""
    return Site(redis, keys)


@pytest.fixture
def stores(parts: OperationParts) -> AgainStores:
    """Give the stores."""
    return AgainStores.of(parts)


@pytest.fixture
def again(stores: AgainStores, parts: OperationParts) -> SendingAgain:
    """Give what is tested, at ten a second."""
    return SendingAgain(stores, parts.clock, per_s=10.0)


async def asked(store: OperationStore, endpoint: Endpoint, **changes: Any) -> Operation:
    """Ask for an operation over all time."""
    defaults: dict[str, Any] = {
        "operation_id": make_id("op"),
        "kind": OperationKind.REPLAY,
        "tenant": endpoint.tenant,
        "endpoint_id": endpoint.endpoint_id,
        "from_unix_ms": 1,
        "until_unix_ms": FOREVER_MS,
        "created_unix_ms": 1,
    }
    operation = Operation(**(defaults | changes))
    assert await store.accept(operation) == ""
    return operation


async def fan_out(site: Site, endpoint: Endpoint) -> list[Delivery]:
    """Make the deliveries of what is announced, as the notifier does."""
    made = []
    for entry in await site.events.announcements(count=100, block_ms=1):
        message = EventAnnounced.from_fields(entry.fields)
        if message.job_id:
            job = await site.jobs.get(message.job_id)
            assert job is not None
            event = event_of(job)
        else:
            (found,) = await site.events.get_many([message.event_id])
            assert found is not None
            event = found
        deliveries = deliveries_of(event, [endpoint], [endpoint], job_id=message.job_id)
        assert await site.events.fan_out(entry, message, deliveries)
        made += deliveries
    return made


async def settle(site: Site, state: DeliveryState, *, status: int) -> None:
    """Give all claimed deliveries an end."""
    reader = StreamReader(
        site.redis, site.keys, group=NOTIFIER_GROUP, consumer="n", lease_ms=30_000
    )
    await reader.ensure_groups([site.keys.deliveries])
    entries = await reader.claim([site.keys.deliveries], count=100, block_ms=0)
    deliveries = await site.deliveries.get_many([each.fields["delivery_id"] for each in entries])
    attempt = Attempt(number=1, at_unix_ms=1, duration_ms=1, status=status)
    assert all(
        await site.deliveries.settle(
            [
                Settlement.of(delivery, entry, state, attempt=attempt)
                for entry, delivery in zip(entries, deliveries, strict=True)
                if delivery is not None
            ],
            now_unix_ms=1,
        )
    )


async def scheduled(site: Site) -> dict[str, float]:
    """Give what is due, and when."""
    rows = await site.redis.zrange(site.keys.delivery_schedule, 0, -1, withscores=True)
    return {str(row[0]): float(row[1]) for row in rows}


async def test_a_new_endpoint_gets_the_events_of_before(
    site: Site, stores: AgainStores, again: SendingAgain
) -> None:
    """Ends of jobs and other events that pass its filters, each due a little after the last."""
    old = await site.add_endpoint(event_types=("*",))
    jobs = [await site.end_job(model="helmet") for _ in range(4)]
    await site.end_job(model="plate")
    batch = Event(
        event_id=make_id("evt"),
        tenant=old.tenant,
        type=EventType.BATCH_COMPLETED,
        subject="batch_1",
        unix_ms=5,
        data={},
    )
    assert await site.events.announce(batch)
    new = await site.add_endpoint(event_types=("*",), models=("helmet",))
    operation = await asked(stores.operations, new)

    assert await again.run(operation.operation_id) == OperationState.COMPLETED

    ended = await stores.operations.get(operation.operation_id)
    assert ended is not None
    assert (ended.sent, ended.passed_over) == (5, 1)
    assert await stores.operations.open() == []
    due = await scheduled(site)
    assert len(due) == 5
    moments = sorted(due.values())
    assert [round(after - moments[0]) for after in moments] == [0, 100, 200, 300, 400]
    records = await site.deliveries.get_many(list(due))
    assert {each.event_id for each in records if each} == {
        batch.event_id,
        *(f"evt_{job.job_id[4:]}" for job in jobs),
    }
    assert all(each and each.endpoint_id == new.endpoint_id for each in records)


@pytest.mark.parametrize("dies_after_writing", [False, True])
async def test_a_killed_replay_neither_doubles_nor_loses(
    site: Site,
    stores: AgainStores,
    again: SendingAgain,
    monkeypatch: pytest.MonkeyPatch,
    dies_after_writing: bool,
) -> None:
    """Killed in every step, before or after what it writes, it makes each delivery once."""
    monkeypatch.setattr(sending_again, "STEP_PLACES", 3)
    endpoint = await site.add_endpoint()
    jobs = [await site.end_job() for _ in range(8)]
    operation = await asked(stores.operations, endpoint)
    for _ in range(40):
        before = await stores.operations.get(operation.operation_id)
        assert before is not None
        if before.state is not OperationState.RUNNING:
            break
        if dies_after_writing:
            # The step is written, but whoever took it never learns of it, and takes it again.
            assert await again.step(before)
            assert not await again.step(before)
        else:
            found = await again._candidates(before, endpoint)
            assert found.looked_at <= 3
            assert await again.step(before)

    ended = await stores.operations.get(operation.operation_id)
    assert ended is not None
    assert (ended.state, ended.sent) == (OperationState.COMPLETED, 8)
    records = await site.deliveries.get_many(list(await scheduled(site)))
    assert sorted(each.job_id for each in records if each) == sorted(job.job_id for job in jobs)


async def test_a_replay_hands_back_at_a_boundary(
    site: Site, stores: AgainStores, again: SendingAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the service stops it raises, and goes on from its place when it is asked again."""
    endpoint = await site.add_endpoint()
    await site.end_job()
    operation = await asked(stores.operations, endpoint)
    with monkeypatch.context() as stopped:
        stopped.setattr(stopping, "_asked", True)
        with pytest.raises(stopping.HandedBack):
            await again.run(operation.operation_id)

    assert await again.run(operation.operation_id) == OperationState.COMPLETED
    assert len(await scheduled(site)) == 1


async def test_recovery_sends_what_is_exhausted_of_one_endpoint(
    site: Site, stores: AgainStores, again: SendingAgain
) -> None:
    """Under its own id, with a schedule that begins anew; others' and what was delivered stay."""
    endpoint = await site.add_endpoint()
    other = await site.add_endpoint(event_types=())
    await site.end_job()
    (failed,) = await fan_out(site, endpoint)
    await settle(site, DeliveryState.EXHAUSTED, status=500)
    await site.end_job()
    (delivered,) = await fan_out(site, endpoint)
    await settle(site, DeliveryState.DELIVERED, status=200)
    dead = await stores.index.places("default", Times(), limit=10, exhausted=True)
    assert [id_at(place) for place in dead] == [failed.delivery_id]

    for each in (other, endpoint):
        operation = await asked(stores.operations, each, kind=OperationKind.RECOVER)
        assert await again.run(operation.operation_id) == OperationState.COMPLETED

    assert list(await scheduled(site)) == [failed.delivery_id]
    after, untouched = await site.deliveries.get_many([failed.delivery_id, delivered.delivery_id])
    assert after is not None
    assert untouched is not None
    assert (after.state, after.attempts, after.earlier_attempts) == (DeliveryState.PENDING, 1, 1)
    assert after.reason == ""
    assert untouched.state is DeliveryState.DELIVERED
    assert await stores.index.count_exhausted(["default"]) == 0


async def test_a_replay_sends_again_or_only_what_is_missing(
    site: Site, stores: AgainStores, again: SendingAgain
) -> None:
    """The same event to the same endpoint has the same id, and is never on its way twice."""
    endpoint = await site.add_endpoint()
    await site.end_job()
    (made,) = await fan_out(site, endpoint)
    waiting = await asked(stores.operations, endpoint)
    await again.run(waiting.operation_id)
    assert await scheduled(site) == {}
    await settle(site, DeliveryState.DELIVERED, status=200)

    missing = await asked(stores.operations, endpoint, only_missing=True)
    await again.run(missing.operation_id)
    assert await scheduled(site) == {}
    whole = await asked(stores.operations, endpoint)
    await again.run(whole.operation_id)

    assert list(await scheduled(site)) == [made.delivery_id]


async def test_one_operation_at_a_time_for_an_endpoint(site: Site, stores: AgainStores) -> None:
    """A second one would send at twice the rate: its caller is told of the first."""
    endpoint = await site.add_endpoint()
    first = await asked(stores.operations, endpoint)

    assert await stores.operations.accept(first) == ""
    second = replace(first, operation_id=make_id("op"))
    assert await stores.operations.accept(second) == first.operation_id


@pytest.mark.parametrize("fault", ["endpoint_removed", "endpoint_disabled"])
async def test_an_operation_without_its_endpoint_fails(
    site: Site, stores: AgainStores, again: SendingAgain, fault: str
) -> None:
    """It ends with the reason, and sends nothing to nobody."""
    endpoint = await site.add_endpoint()
    await site.end_job()
    operation = await asked(stores.operations, endpoint)
    if fault == "endpoint_removed":
        await site.endpoints.remove(endpoint.endpoint_id)
    else:
        gone = Health(disabled_reason="gone")
        assert await site.receivers.write(endpoint.endpoint_id, gone, read=Health())

    assert await again.run(operation.operation_id) == OperationState.FAILED

    ended = await stores.operations.get(operation.operation_id)
    assert ended is not None
    assert (ended.reason, ended.sent) == (fault, 0)
    assert await scheduled(site) == {}


async def test_what_is_sent_again_outlives_its_turn(
    site: Site, stores: AgainStores, again: SendingAgain
) -> None:
    """Records of what is due in an hour are kept for that hour and their retention."""
    endpoint = await site.add_endpoint()
    job = await site.end_job()
    now_unix_ms = site.clock.unix_ms()
    operation = await asked(stores.operations, endpoint, paced_unix_ms=now_unix_ms + 3_600_000)

    await again.run(operation.operation_id)

    (delivery_id,) = await scheduled(site)
    for key in (site.keys.delivery(delivery_id), site.keys.job(job.job_id)):
        left_ms = await site.redis.pttl(key)
        assert 86_400_000 < left_ms <= 86_400_000 + 3_600_000


async def test_a_delivery_is_sent_again_once(site: Site, stores: AgainStores) -> None:
    """Two who ask at once send it once; one whose job is gone is not sent."""
    endpoint = await site.add_endpoint()
    job = await site.end_job()
    (made,) = await fan_out(site, endpoint)
    await settle(site, DeliveryState.EXHAUSTED, status=500)

    answers = await asyncio.gather(
        *(stores.operations.send_one(made, now_unix_ms=1) for _ in range(2))
    )

    assert sorted(answers) == [Sent.OTHER_STATE, Sent.ON_ITS_WAY]
    await site.redis.hset(site.keys.delivery(made.delivery_id), "state", "exhausted")
    await site.redis.delete(site.keys.job(job.job_id))
    assert await stores.operations.send_one(made, now_unix_ms=1) is Sent.GONE


async def test_places_end_with_their_records(
    site: Site, stores: AgainStores, parts: OperationParts
) -> None:
    """The sweep forgets deliveries and events whose records are gone, and no others."""
    endpoint = await site.add_endpoint(event_types=("*",))
    for _ in range(2):
        await site.end_job()
    made = await fan_out(site, endpoint)
    await settle(site, DeliveryState.EXHAUSTED, status=500)
    await site.redis.delete(site.keys.delivery(made[0].delivery_id))

    assert await sweep_deliveries(parts) == 1

    for exhausted in (False, True):
        places = await stores.index.places("default", Times(), limit=10, exhausted=exhausted)
        assert [id_at(place) for place in places] == [made[1].delivery_id]
    assert await sweep_deliveries(parts) == 0


async def test_an_operation_that_lost_its_record_is_forgotten(
    site: Site, stores: AgainStores
) -> None:
    """Nobody asks for it for ever, and its endpoint can have another."""
    first, second = await site.add_endpoint(), await site.add_endpoint()
    lost, kept = await asked(stores.operations, first), await asked(stores.operations, second)
    await site.redis.delete(site.keys.operation(lost.operation_id))

    assert await stores.operations.open() == [kept.operation_id]
    await asked(stores.operations, first)


async def test_an_untaken_step_changes_nothing(site: Site, stores: AgainStores) -> None:
    """A step of an operation that has moved on, or is gone, is refused."""
    endpoint = await site.add_endpoint()
    operation = await asked(stores.operations, endpoint)
    step = Step(sendings=(), cursor="others:", paced_unix_ms=unix_ms_of(operation.operation_id))

    assert await stores.operations.advance(operation, step, now_unix_ms=1)
    assert not await stores.operations.advance(operation, step, now_unix_ms=1)
    gone = replace(operation, operation_id=make_id("op"))
    assert not await stores.operations.advance(gone, step, now_unix_ms=1)
