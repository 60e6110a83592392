"""The notifier against a real server and real receivers."""

from __future__ import annotations

import pytest

from pipeline.deliveries.delivery import DeliveryState
from pipeline.deliveries.operation_store import OperationStore, Sent
from pipeline.protocol import NOTIFIER_GROUP
from tests.builders import make_id, make_subscriber
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.notifier.site import SECRET, Site
from tests.waiting import wait_until


async def test_an_end_is_told_once_to_each_subscriber(site: Site) -> None:
    """Each subscriber gets one signed request under its own id, and the attempt is on record."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        subscribers = [make_subscriber(url=receiver.url("204"), secret=SECRET) for _ in range(2)]
        await site.end_job(*subscribers)

        for subscriber in subscribers:
            assert (await site.ended(subscriber)).state is DeliveryState.DELIVERED

        ids = sorted(request.headers["webhook-id"] for request in receiver.requests)
        assert ids == sorted(subscriber.delivery_id for subscriber in subscribers)
        assert all(request.is_verified for request in receiver.requests)
        (attempt,) = await site.attempts(subscribers[0])
        assert (attempt.number, attempt.status, attempt.error) == (1, 204, "")


async def test_a_failed_attempt_is_made_again_under_the_same_id(site: Site) -> None:
    """After an error, a hang and a closed connection the fourth attempt arrives, all on record."""
    async with (
        WebhookReceiver(secret=SECRET) as receiver,
        site.notifier([receiver], retry_schedule="1s 1s 1s"),
    ):
        receiver.script.extend(["500", "hang", "close", "200"])
        subscriber = make_subscriber(url=receiver.url("200"), secret=SECRET)
        await site.end_job(subscriber)

        delivery = await site.ended(subscriber)

        assert delivery.state is DeliveryState.DELIVERED
        assert delivery.attempts == 4
        attempts = await site.attempts(subscriber)
        assert [attempt.number for attempt in attempts] == [1, 2, 3, 4]
        assert [attempt.status for attempt in attempts] == [500, 0, 0, 200]
        assert attempts[0].answer == "oops"
        assert attempts[1].error == "timeout"
        assert {request.headers["webhook-id"] for request in receiver.requests} == {
            subscriber.delivery_id
        }


@pytest.mark.parametrize(
    ("behaviour", "schedule", "attempts"), [("500", "1s", 2), ("410", "1s 1s", 1)]
)
async def test_a_hopeless_delivery_ends_exhausted(
    site: Site, behaviour: str, schedule: str, attempts: int
) -> None:
    """When the schedule is used up, or the receiver is gone for good, the delivery is kept so."""
    async with (
        WebhookReceiver() as receiver,
        site.notifier([receiver], retry_schedule=schedule),
    ):
        subscriber = make_subscriber(url=receiver.url(behaviour))
        await site.end_job(subscriber)

        delivery = await site.ended(subscriber)

        assert (delivery.state, delivery.attempts) == (DeliveryState.EXHAUSTED, attempts)
        assert len(receiver.requests) == attempts


async def test_a_forbidden_target_is_never_called(site: Site) -> None:
    """A loopback address that the operator has not opened ends the delivery with the reason."""
    async with WebhookReceiver() as receiver, site.notifier([]):
        subscriber = make_subscriber(url=receiver.url("200"))
        await site.end_job(subscriber)

        assert (await site.ended(subscriber)).state is DeliveryState.EXHAUSTED

        (attempt,) = await site.attempts(subscriber)
        assert attempt.error == "target_not_allowed"
        assert receiver.connections == 0


async def test_a_registered_endpoint_is_looked_up(site: Site) -> None:
    """A delivery to an endpoint goes to its URL with its secret; a removed one is given up."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        endpoint = await site.add_endpoint(url=receiver.url("200"), event_types=())
        known = make_subscriber(url="", secret="", endpoint_id=endpoint.endpoint_id)
        gone = make_subscriber(url="", secret="", endpoint_id=make_id("ep"))
        await site.end_job(known, gone)

        assert (await site.ended(known)).state is DeliveryState.DELIVERED
        assert (await site.ended(gone)).state is DeliveryState.EXHAUSTED

        assert [request.is_verified for request in receiver.requests] == [True]
        (attempt,) = await site.attempts(gone)
        assert attempt.error == "endpoint_removed"


async def test_no_subscriber_can_delay_another(site: Site) -> None:
    """With hanging receivers that have more to get than may be held, healthy ones are served."""
    async with (
        WebhookReceiver() as bad,
        WebhookReceiver() as good,
        site.notifier(
            [bad, good],
            endpoint_concurrency=2,
            endpoint_queue=8,
            held_max=64,
            attempt_timeout_s=5.0,
        ),
    ):
        for _ in range(100):
            await site.end_job(make_subscriber(url=bad.url("hang")))
        healthy = [make_subscriber(url=good.url("200")) for _ in range(20)]
        for subscriber in healthy:
            await site.end_job(subscriber)

        await good.wait_for(20, timeout_s=20)

        # While the first two of the others' hundred still hang.
        assert len(bad.requests) <= 4


async def test_a_restarted_notifier_goes_on_where_the_last_one_stopped(site: Site) -> None:
    """What waited in a stopped notifier is handed back, and the next one delivers it."""
    async with WebhookReceiver(secret=SECRET) as receiver:
        subscribers = [make_subscriber(url=receiver.url("200"), secret=SECRET) for _ in range(50)]
        async with site.notifier([receiver], endpoint_concurrency=1) as stop:
            for subscriber in subscribers:
                await site.end_job(subscriber)
            await receiver.wait_for(5)
            stop.set()

        async with site.notifier([receiver]):
            for subscriber in subscribers:
                assert (await site.ended(subscriber)).state is DeliveryState.DELIVERED

        pending = await site.redis.xpending(site.keys.deliveries, NOTIFIER_GROUP)
        assert pending["pending"] == 0
        assert await site.redis.xlen(site.keys.deliveries) == 0
        assert await site.redis.zcard(site.keys.delivery_schedule) == 0


async def test_an_unreadable_entry_is_parked(site: Site) -> None:
    """An entry of another kind lands in the dead stream with its reason; the others go on."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        await site.redis.xadd(site.keys.deliveries, {"kind": "delivery.due.v9", "delivery_id": "x"})
        subscriber = make_subscriber(url=receiver.url("200"), secret=SECRET)
        await site.end_job(subscriber)

        await site.ended(subscriber)

        async def parked() -> bool:
            return bool(await site.redis.xlen(site.keys.dead) == 1)

        await wait_until(parked)


async def test_what_is_sent_again_has_its_whole_schedule(site: Site) -> None:
    """An exhausted delivery goes out under its id, and is tried as often as the first time."""
    async with (
        WebhookReceiver() as receiver,
        site.notifier([receiver], retry_schedule="1s"),
    ):
        subscriber = make_subscriber(url=receiver.url("500"))
        await site.end_job(subscriber)
        given_up = await site.ended(subscriber)
        assert (given_up.attempts, given_up.reason) == (2, "500")
        receiver.script.extend(["500", "200"])

        again = OperationStore(site.redis, site.keys)
        assert await again.send_one(given_up, now_unix_ms=1) is Sent.ON_ITS_WAY

        delivered = await site.ended(subscriber)
        assert (delivered.state, delivered.attempts) == (DeliveryState.DELIVERED, 4)
        assert delivered.reason == ""
        assert {request.headers["webhook-id"] for request in receiver.requests} == {
            subscriber.delivery_id
        }
