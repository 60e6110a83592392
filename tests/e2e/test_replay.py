"""What a receiver or a subscriber missed is brought to it, whoever dies on the way."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.embedded import Embedded, embedded, gw
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.waiting import wait_until

JOBS = 120


@pytest.mark.timeout(240)
async def test_a_new_endpoint_is_given_the_past_though_the_worker_is_killed(
    tmp_path: Path,
) -> None:
    """Each job's end arrives under one id; then one is sent again, all by the command line."""
    async with WebhookReceiver() as receiver:
        environ = {
            "GW_EGRESS_ALLOW": f"127.0.0.1/32:{receiver.port}",
            "GW_REPLAY_PER_S": "200",
            "GW_RETRY_SCHEDULE": "1s",
        }
        async with embedded(tmp_path, environ) as stack:
            began = datetime.now(UTC).isoformat()
            jobs = {(await stack.submit())["id"] for _ in range(JOBS)}
            await wait_until(lambda: _all_ended(stack), timeout_s=60)
            added = await stack.http.post("/v1/webhooks", json={"url": receiver.url("200")})
            endpoint_id = added.json()["id"]
            # Of the job's events it gets those that it asks for, now that they have happened.
            path = f"/v1/webhooks/{endpoint_id}"
            await stack.http.patch(path, json={"event_types": ["job.*"]})

            begun = await stack.http.post(f"{path}/replay", json={"since": began})
            assert begun.status_code == 202, begun.text
            stack.kill("operations")

            await receiver.wait_for(JOBS, timeout_s=90)
            told = Counter(json.loads(each.body)["data"]["id"] for each in receiver.requests)
            assert told == dict.fromkeys(jobs, 1)
            operation = await stack.http.get(begun.headers["location"])
            assert (operation.json()["state"], operation.json()["sent"]) == ("completed", JOBS)
            await _send_one_again(stack, receiver)


async def _send_one_again(stack: Embedded, receiver: WebhookReceiver) -> None:
    place = ("--data", str(stack.data))
    webhook_id = receiver.requests[0].headers["webhook-id"]

    async def delivered() -> bool:
        answer = await stack.http.get(f"/v1/deliveries/{webhook_id}")
        return bool(answer.json()["state"] == "delivered")

    await wait_until(delivered)
    assert webhook_id in gw("deliveries", "list", *place, "--limit", str(JOBS)).stdout
    assert "on its way" in gw("deliveries", "resend", webhook_id, *place).stdout
    await receiver.wait_for(JOBS + 1)
    assert receiver.requests[-1].headers["webhook-id"] == webhook_id
    receiver.script.extend(["500", "500"])
    await wait_until(delivered)
    gw("deliveries", "resend", webhook_id, *place)
    await receiver.wait_for(JOBS + 3)

    async def exhausted() -> bool:
        answer = await stack.http.get(f"/v1/deliveries/{webhook_id}")
        return bool(answer.json()["state"] == "exhausted")

    await wait_until(exhausted)
    assert "1 deliveries are exhausted" in gw("status", *place, check=False).stdout
    shown = gw("deliveries", "show", webhook_id, *place, "--json")
    assert [each["status"] for each in json.loads(shown.stdout)["attempts"]] == [200, 200, 500, 500]
    endpoint_id = json.loads(shown.stdout)["subscriber"]["endpoint"]
    recovered = gw("webhooks", "recover", endpoint_id, "--since", "1h", *place, "--json")
    assert json.loads(recovered.stdout)["sent"] == 1
    await receiver.wait_for(JOBS + 4)


async def _all_ended(stack: Embedded) -> bool:
    counts = await stack.counts()
    return set(counts) == {"succeeded"} and counts["succeeded"] == JOBS  # type: ignore[index]


@pytest.mark.timeout(240)
async def test_a_subscriber_that_comes_and_goes_misses_nothing(tmp_path: Path) -> None:
    """It polls now and then, and acknowledges; the webapp is killed in between."""
    async with embedded(tmp_path, {}) as stack:
        assert await _poll(stack) == []
        told: list[tuple[str, str]] = []
        jobs = {(await stack.submit())["id"] for _ in range(10)}
        told += await _poll(stack, limit=7)
        stack.kill("webapp")
        await wait_until(lambda: _answers(stack), timeout_s=30)
        jobs |= {(await stack.submit())["id"] for _ in range(10)}
        # Read and not acknowledged before it went: it is told again.
        await _poll(stack, limit=5, acknowledge=False)
        stack.kill("webapp")
        await wait_until(lambda: _answers(stack), timeout_s=30)

        deadline_s = time.monotonic() + 60
        while len(told) < 2 * len(jobs) and time.monotonic() < deadline_s:
            told += await _poll(stack, limit=6, wait=2)

        assert Counter(told) == Counter(
            (event, job_id) for job_id in jobs for event in ("job.accepted", "job.succeeded")
        )


async def _answers(stack: Embedded) -> bool:
    try:
        return (await stack.http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def _poll(
    stack: Embedded, *, acknowledge: bool = True, **query: Any
) -> list[tuple[str, str]]:
    answer = await stack.http.get("/v1/events", params={"subscriber": "scada"} | query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    if acknowledge:
        body = {"subscriber": "scada", "cursor": page["next"]}
        assert (await stack.http.post("/v1/events/ack", json=body)).status_code == 200
    return [(each["type"], each["data"]["id"]) for each in page["events"]]
