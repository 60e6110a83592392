"""Any one process may be killed at any moment: every accepted job ends once and is announced."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from pipeline.jobs.job import JobState
from tests.e2e.embedded import Embedded, embedded
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.waiting import wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
JOBS = 200

#: So many webhooks are in when the process is killed; the other jobs are somewhere on the way.
TOLD_BEFORE = 40


def stack_environ(receiver: WebhookReceiver) -> dict[str, str]:
    """Give the settings of a stack that may call *receiver* and takes about three seconds."""
    return {
        "GW_RUNTIME": "tests.fakes.slow_runtime:SlowRuntime",
        "GW_EGRESS_ALLOW": f"127.0.0.1/32:{receiver.port}",
        "GW_RETRY_SCHEDULE": "1s 1s 1s 1s 1s",
        "GW_DISPATCHER_LEASE_S": "3",
        "GW_POSTPROCESS_LEASE_S": "3",
        "GW_NOTIFIER_LEASE_S": "3",
    }


async def submit_all(stack: Embedded, receiver: WebhookReceiver, count: int = JOBS) -> set[str]:
    """Submit *count* jobs, some at once; give their ids."""
    gate = asyncio.Semaphore(16)

    async def one() -> str:
        async with gate:
            webhook = {"url": receiver.url("200"), "secret": SECRET}
            job = await stack.submit(webhook=webhook)
            return str(job["id"])

    return set(await asyncio.gather(*(one() for _ in range(count))))


def announced(receiver: WebhookReceiver) -> dict[str, set[str]]:
    """Give the webhook ids under which each job was announced."""
    ids: dict[str, set[str]] = defaultdict(set)
    for request in receiver.requests:
        ids[json.loads(request.body)["data"]["id"]].add(request.headers["webhook-id"])
    return ids


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["webapp", "dispatcher", "postprocess", "notifier", "redis"])
async def test_a_killed_process_loses_no_job(victim: str, tmp_path: Path) -> None:
    """With 200 jobs under way one process is killed: all succeed once, each told under one id."""
    async with (
        WebhookReceiver(secret=SECRET) as receiver,
        embedded(tmp_path, stack_environ(receiver)) as stack,
    ):
        accepted = await submit_all(stack, receiver)
        await receiver.wait_for(TOLD_BEFORE, timeout_s=60)
        assert len(announced(receiver)) < JOBS
        killed_pid = stack.kill(victim)

        await wait_until(lambda: set(announced(receiver)) == accepted, timeout_s=120)

        assert all(len(ids) == 1 for ids in announced(receiver).values())
        assert all(request.is_verified for request in receiver.requests)
        states = Counter([(await stack.job(job_id))["state"] for job_id in accepted])
        assert states == {"succeeded": JOBS}
        assert await stack.counts() == {JobState.SUCCEEDED: JOBS}
        service = stack.services()[victim]
        assert service["pid"] != killed_pid
        assert service["restarts"] == 1
