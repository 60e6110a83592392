"""Receivers that fail: spared, probed, told of, trusted again, given up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from egress.asymmetric_key import PrivateKey
from notifier.breaker import HOPELESS_MS, OPEN_AFTER
from notifier.signing import verify
from pipeline.clock import SystemClock
from pipeline.deliveries.delivery import DeliveryState
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.jobs.job import Subscriber
from tests.builders import make_subscriber
from tests.fakes.webhook_receiver import Received, WebhookReceiver, answering
from tests.integration.notifier.site import SECRET, Site
from tests.waiting import wait_until

SECOND_SECRET = "whsec_" + "c2Vjb25kc2Vjb25kc2Vjb25kc2Vjb25k"


class ShiftedClock(SystemClock):
    """The system's clock, with Unix time moved by hand."""

    def __init__(self) -> None:
        self.shift_ms = 0

    def unix_ms(self) -> int:
        """Give the moved moment."""
        return super().unix_ms() + self.shift_ms


def told(receiver: WebhookReceiver) -> list[dict[str, Any]]:
    """Give the events that came."""
    return [json.loads(request.body) for request in receiver.requests]


def types(receiver: WebhookReceiver) -> list[str]:
    """Give the types of the events that came."""
    return [event["type"] for event in told(receiver)]


async def end_jobs(site: Site, endpoint_id: str, count: int) -> list[Subscriber]:
    """End so many jobs that name an endpoint."""
    named = [make_subscriber(url="", secret="", endpoint_id=endpoint_id) for _ in range(count)]
    for each in named:
        await site.end_job(each)
    return named


async def test_a_failing_endpoint_is_spared_and_told_of(site: Site) -> None:
    """After some failures the rest wait without an attempt; others of its tenant hear of it all."""
    site.clock = clock = ShiftedClock()
    async with (
        WebhookReceiver() as bad,
        WebhookReceiver(secret=SECRET) as watch,
        site.notifier([bad, watch], endpoint_concurrency=1, retry_schedule="2h 2h"),
    ):
        await site.add_endpoint(url=watch.url("200"), event_types=("endpoint.*",))
        bad.script.extend(["500"] * OPEN_AFTER)
        endpoint = await site.add_endpoint(url=bad.url("200"), event_types=())
        named = await end_jobs(site, endpoint.endpoint_id, 20)

        (failing,) = (await watch.wait_for(1))[:1]
        assert failing.is_verified
        data = told(watch)[0]["data"]
        assert types(watch) == ["endpoint.failing"]
        assert (data["id"], data["error"]) == (endpoint.endpoint_id, "500")

        async def waiting() -> bool:
            return await site.receivers.backlog_sizes([endpoint.endpoint_id]) == [15]

        await wait_until(waiting)
        assert len(bad.requests) == OPEN_AFTER
        clock.shift_ms += 60_000
        # The backlog goes on from its pause's end; what has failed waits for its schedule.
        await bad.wait_for(20, timeout_s=30)
        await watch.wait_for(2)

        assert types(watch) == ["endpoint.failing", "endpoint.recovered"]
        deliveries = [await site.delivery(each) for each in named]
        attempts = sorted(each.attempts for each in deliveries)
        assert attempts == [1] * 20
        states = [each.state for each in deliveries]
        assert states.count(DeliveryState.PENDING) == OPEN_AFTER


async def test_a_restart_keeps_what_is_known_of_a_receiver(site: Site) -> None:
    """A new notifier sends nothing to what the last one had found failing."""
    async with WebhookReceiver() as bad:
        endpoint = await site.add_endpoint(url=bad.url("500"), event_types=())
        changes: dict[str, Any] = {"endpoint_concurrency": 1, "retry_schedule": "2h"}

        async def is_open() -> bool:
            (health,) = await site.receivers.get_many([endpoint.endpoint_id])
            return health.is_open

        async with site.notifier([bad], **changes):
            await end_jobs(site, endpoint.endpoint_id, 8)
            await wait_until(is_open)
        requests = len(bad.requests)

        async with site.notifier([bad], **changes):
            await end_jobs(site, endpoint.endpoint_id, 5)

            async def all_wait() -> bool:
                return await site.receivers.backlog_sizes([endpoint.endpoint_id]) == [8]

            await wait_until(all_wait)

        assert requests == len(bad.requests) == OPEN_AFTER


@pytest.mark.parametrize("reason", ["gone", "failing"])
async def test_a_hopeless_endpoint_is_disabled_and_told_of(site: Site, reason: str) -> None:
    """After a 410, or five days without success, nothing is sent any more; others hear why."""
    site.clock = clock = ShiftedClock()
    async with (
        WebhookReceiver() as bad,
        WebhookReceiver(secret=SECRET) as watch,
        site.notifier([bad, watch], retry_schedule="1s", endpoint_concurrency=1),
    ):
        await site.add_endpoint(url=watch.url("200"), event_types=("endpoint.disabled",))
        endpoint = await site.add_endpoint(url=bad.url("410" if reason == "gone" else "500"))
        if reason == "failing":
            await end_jobs(site, endpoint.endpoint_id, OPEN_AFTER)
            await bad.wait_for(OPEN_AFTER)

            async def is_open() -> bool:
                (health,) = await site.receivers.get_many([endpoint.endpoint_id])
                return health.is_open

            await wait_until(is_open)
            clock.shift_ms += HOPELESS_MS + 600_000
        (last,) = await end_jobs(site, endpoint.endpoint_id, 1)

        await watch.wait_for(1, timeout_s=20)
        data = told(watch)[0]["data"]
        assert (data["id"], data["reason"]) == (endpoint.endpoint_id, reason)
        await site.ended(last)
        requests = len(bad.requests)
        (late,) = await end_jobs(site, endpoint.endpoint_id, 1)
        assert (await site.ended(late)).state is DeliveryState.EXHAUSTED

        (attempt,) = await site.attempts(late)
        assert attempt.error == "endpoint_disabled"
        assert len(bad.requests) == requests


async def test_a_wrong_clock_is_told_of_once_a_day(site: Site) -> None:
    """A Date that is minutes off makes one event, however many deliveries there are."""
    async with (
        WebhookReceiver() as skewed,
        WebhookReceiver(secret=SECRET) as watch,
        site.notifier([skewed, watch]),
    ):
        skewed.behaviours["late"] = answering(200, "Date: Sun, 06 Nov 1994 08:49:37 GMT")
        await site.add_endpoint(url=watch.url("200"), event_types=("clock.skewed",))
        endpoint = await site.add_endpoint(url=skewed.url("late"), event_types=())
        for each in await end_jobs(site, endpoint.endpoint_id, 5):
            assert (await site.ended(each)).state is DeliveryState.DELIVERED

        await watch.wait_for(1)

        (event,) = told(watch)
        assert event["type"] == "clock.skewed"
        assert event["data"]["receiver_ahead_s"] < -60


async def test_both_secrets_sign_while_one_is_replaced(site: Site) -> None:
    """Old and new receivers verify, and a v1a signature stands beside them when asked for."""
    key = PrivateKey.generate()
    async with WebhookReceiver() as receiver, site.notifier([receiver]):
        now_unix_ms = site.clock.unix_ms()
        endpoint = await site.add_endpoint(
            url=receiver.url("200"), private_key=key.to_text(), headers={"x-line": "7"}
        )
        await site.endpoints.change(
            endpoint.endpoint_id,
            lambda old: old.with_new_secret(
                SECOND_SECRET, now_unix_ms=now_unix_ms, overlap_ms=60_000
            ),
        )
        await site.end_job()
        (request,) = await receiver.wait_for(1)

        def proves(*keys: Any) -> None:
            verify(keys, request.headers, request.body, now_unix_s=now_unix_ms / 1000)

        proves(SigningSecret.parse(SECOND_SECRET))
        proves(SigningSecret.parse(SECRET))
        proves(key.public)
        versions = [
            item.partition(",")[0] for item in request.headers["webhook-signature"].split(" ")
        ]
        assert versions == ["v1", "v1", "v1a"]
        assert request.headers["x-line"] == "7"


async def test_an_endpoints_rate_is_kept(site: Site) -> None:
    """Of a burst a second's worth goes at once, the rest at the rate, and all arrive."""
    site.clock = clock = ShiftedClock()
    async with WebhookReceiver() as receiver, site.notifier([receiver]):
        endpoint = await site.add_endpoint(url=receiver.url("200"), event_types=(), rate_per_s=0.05)
        named = await end_jobs(site, endpoint.endpoint_id, 3)
        for count in (1, 2, 3):
            await receiver.wait_for(count, timeout_s=20)

            async def rest_waits(left: int = 3 - count) -> bool:
                return await site.receivers.backlog_sizes([endpoint.endpoint_id]) == [left]

            await wait_until(rest_waits)
            assert len(receiver.requests) == count
            clock.shift_ms += 21_000

        for each in named:
            delivery = await site.ended(each)
            assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


async def test_a_cloud_event_goes_under_the_same_signature(site: Site) -> None:
    """Its id is the webhook-id, and the body's signature verifies."""
    async with WebhookReceiver(secret=SECRET) as receiver, site.notifier([receiver]):
        await site.add_endpoint(url=receiver.url("200"), format="cloudevents", payload="thin")
        job = await site.end_job()
        (request,) = await receiver.wait_for(1)

        _is_a_thin_cloud_event(request, job.job_id)


def _is_a_thin_cloud_event(request: Received, job_id: str) -> None:
    event = json.loads(request.body)
    assert request.is_verified
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert event["id"] == request.headers["webhook-id"]
    assert event["data"]["links"]["self"] == f"/v1/jobs/{job_id}"


async def test_an_old_record_is_an_endpoint_that_is_named(site: Site) -> None:
    """A record from before there was anything to choose gets what names it, and nothing else."""
    endpoint = await site.add_endpoint(event_types=())
    old = {
        "endpoint_id": endpoint.endpoint_id,
        "tenant": "default",
        "url": endpoint.url,
        "description": "",
        "created_unix_ms": 1,
        "secret": SECRET,
    }
    await site.redis.hset(site.keys.endpoints, endpoint.endpoint_id, json.dumps(old))

    assert await site.endpoints.get(endpoint.endpoint_id) == replace(endpoint)
    assert await site.endpoints.subscribed("default") == []
