"""From events to deliveries: who gets them, exactly once whatever dies, in which order."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from notifier.fan_out import FanOut
from pipeline.deliveries.delivery import Delivery, DeliveryState
from pipeline.events.event import Event, EventType
from pipeline.events.store import EventStore
from pipeline.protocol import EventAnnounced
from pipeline.streams import Entry, entries_of
from tests.builders import make_id, make_subscriber
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.notifier.site import SECRET, Site
from tests.waiting import wait_until


async def announcements_left(site: Site) -> int:
    """Count what is not fanned out yet."""
    return int(await site.redis.xlen(site.keys.announcements))


class Died(Exception):
    """The process is gone."""


class DyingEvents(EventStore):
    """An event store whose process dies just before, or just after, the script that fans out."""

    def __init__(self, site: Site, *, after: bool) -> None:
        super().__init__(site.redis, site.keys)
        self._after = after

    async def fan_out(
        self, entry: Entry, message: EventAnnounced, deliveries: Sequence[Delivery]
    ) -> bool:
        """Die around what the store does."""
        if self._after:
            await super().fan_out(entry, message, deliveries)
        raise Died


async def test_a_subscribed_endpoint_gets_what_nobody_named_it_for(site: Site) -> None:
    """An endpoint of the tenant gets the event; a filter, another tenant or a switch keeps it."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        url = receiver.url("200")
        told = await site.add_endpoint(url=url)
        await site.add_endpoint(url=url, models=("plate",))
        await site.add_endpoint(url=url, tenant="globex")
        await site.add_endpoint(url=url, enabled=False)
        await site.add_endpoint(url=url, event_types=())
        job = await site.end_job()

        (request,) = await receiver.wait_for(1)
        await wait_until(lambda: _none_left(site))

        assert request.is_verified
        assert json.loads(request.body)["data"]["id"] == job.job_id
        (delivery,) = await site.deliveries.get_many([request.headers["webhook-id"]])
        assert delivery is not None
        assert (delivery.endpoint_id, delivery.event_type) == (told.endpoint_id, "job.failed")
        assert len(receiver.requests) == 1


async def _none_left(site: Site) -> bool:
    return not await announcements_left(site) and not await site.redis.xlen(site.keys.deliveries)


async def test_named_and_subscribed_is_told_once(site: Site) -> None:
    """A job that names an endpoint which subscribes too makes one delivery, under the job's id."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        endpoint = await site.add_endpoint(url=receiver.url("200"))
        named = make_subscriber(url="", secret="", endpoint_id=endpoint.endpoint_id)
        await site.end_job(named)

        assert (await site.ended(named)).state is DeliveryState.DELIVERED

        await wait_until(lambda: _none_left(site))
        assert [each.headers["webhook-id"] for each in receiver.requests] == [named.delivery_id]


async def test_without_subscribers_nothing_is_announced(site: Site) -> None:
    """A tenant without endpoints pays nothing for them."""
    await site.end_job(make_subscriber())

    assert await announcements_left(site) == 0


async def test_a_death_around_the_fan_out_makes_no_double_and_loses_none(site: Site) -> None:
    """Killed before the script the event is still announced, after it all is made; never twice."""
    first = await site.add_endpoint()
    second = await site.add_endpoint()
    for after in (False, True):
        await site.end_job()
        dying = FanOut(
            events=DyingEvents(site, after=after),
            jobs=site.jobs,
            endpoints=site.endpoints,
            receivers=site.receivers,
        )
        running = asyncio.ensure_future(dying.run(asyncio.Event()))
        await asyncio.wait([running])
        assert isinstance(running.exception(), Died)
        assert await announcements_left(site) == (0 if after else 1)
        stop = asyncio.Event()
        others = [
            asyncio.ensure_future(
                FanOut(
                    events=site.events,
                    jobs=site.jobs,
                    endpoints=site.endpoints,
                    receivers=site.receivers,
                ).run(stop)
            )
            for _ in range(2)
        ]
        await wait_until(lambda: _fanned_out(site))
        stop.set()
        await asyncio.gather(*others)

    entries = entries_of([(site.keys.deliveries, await site.redis.xrange(site.keys.deliveries))])
    ids = [entry.fields["delivery_id"] for entry in entries]
    made = [each for each in await site.deliveries.get_many(ids) if each is not None]
    assert len(set(ids)) == len(ids) == 4
    assert Counter(each.endpoint_id for each in made) == {
        first.endpoint_id: 2,
        second.endpoint_id: 2,
    }


async def _fanned_out(site: Site) -> bool:
    return not await announcements_left(site)


async def test_an_event_without_a_job_is_announced_once(site: Site) -> None:
    """A batch's end reaches endpoints and a URL of its own, however often it is announced."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        await site.add_endpoint(url=receiver.url("200"), event_types=("batch.completed",))
        direct = make_subscriber(url=receiver.url("204"), secret=SECRET)
        event = Event(
            event_id=make_id("evt"),
            tenant="default",
            type=EventType.BATCH_COMPLETED,
            subject="batch_1",
            unix_ms=1_700_000_000_000,
            data={"id": "batch_1", "counts": {"succeeded": 3}},
            subscribers=(direct,),
        )

        assert await site.events.announce(event)
        assert not await site.events.announce(event)

        assert (await site.ended(direct)).state is DeliveryState.DELIVERED
        await receiver.wait_for(2)
        assert sorted(request.path for request in receiver.requests) == ["/200", "/204"]
        for request in receiver.requests:
            assert request.is_verified
            assert json.loads(request.body)["data"] == event.data


async def test_an_unreadable_announcement_is_parked(site: Site) -> None:
    """It lands in the dead stream with its reason, and the next one is fanned out."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        await site.redis.xadd(site.keys.announcements, {"kind": "event.announced.v9"})
        await site.add_endpoint(url=receiver.url("200"))
        await site.end_job()

        await receiver.wait_for(1)

        assert await site.redis.xlen(site.keys.dead) == 1


async def test_deliveries_of_one_model_keep_their_order(site: Site) -> None:
    """Each waits for the one before, whatever retries that takes; another model's pass by."""
    async with (
        WebhookReceiver(secret=SECRET) as receiver,
        site.notifier([receiver], retry_schedule="1s 1s"),
    ):
        await site.add_endpoint(url=receiver.url("200"), ordering="model")
        receiver.script.extend(["500", "500"])
        jobs = [await site.end_job() for _ in range(6)]
        await receiver.wait_for(1)
        other = await site.end_job(model="plate")

        await receiver.wait_for(2 + 6 + 1)

        # The first request was answered 500, and the second, of whichever came then.
        seen = [json.loads(request.body)["data"] for request in receiver.requests]
        first_of: dict[str, int] = {}
        last_of: dict[str, int] = {}
        for at, data in enumerate(seen):
            first_of.setdefault(data["id"], at)
            last_of[data["id"]] = at
        for before, after in pairwise(jobs):
            assert last_of[before.job_id] < first_of[after.job_id]
        assert first_of[other.job_id] < last_of[jobs[0].job_id]


async def test_what_waits_in_an_order_outlives_its_retention(site: Site) -> None:
    """Records behind a failing first are kept until their turn, and end with their retention."""
    async with WebhookReceiver(secret=SECRET) as receiver:
        endpoint = await site.add_endpoint(url=receiver.url("200"), ordering="reference")
        named = [
            make_subscriber(url="", secret="", endpoint_id=endpoint.endpoint_id) for _ in range(2)
        ]
        jobs = [await site.end_job(each, reference="gate-1") for each in named]
        receiver.script.append("hang")
        async with site.notifier([receiver], retry_schedule="1s"):
            await receiver.wait_for(1)
            record = site.keys.delivery(named[1].delivery_id)
            assert await site.redis.pttl(record) == -1
            assert await site.redis.pttl(site.keys.job(jobs[1].job_id)) == -1

            for each in named:
                assert (await site.ended(each)).state is DeliveryState.DELIVERED

            assert await site.redis.pttl(record) > 0
            assert await site.redis.pttl(site.keys.job(jobs[1].job_id)) > 0
            assert not [key async for key in site.redis.scan_iter(f"{site.keys.prefix}:order:*")]


async def test_a_removed_endpoint_does_not_stop_its_order(site: Site) -> None:
    """Everything that waited for it is given up, one after the other."""
    endpoint = await site.add_endpoint(ordering="model")
    named = [make_subscriber(url="", secret="", endpoint_id=endpoint.endpoint_id) for _ in range(3)]
    for each in named:
        await site.end_job(each)
    stop = asyncio.Event()
    fan_out = FanOut(
        events=site.events, jobs=site.jobs, endpoints=site.endpoints, receivers=site.receivers
    )
    running = asyncio.ensure_future(fan_out.run(stop))
    await wait_until(lambda: _fanned_out(site))
    stop.set()
    await running
    await site.endpoints.remove(endpoint.endpoint_id)

    async with site.notifier([]):
        for each in named:
            assert (await site.ended(each)).state is DeliveryState.EXHAUSTED
            (attempt,) = await site.attempts(each)
            assert attempt.error == "endpoint_removed"
