"""A backup of a working platform comes back elsewhere, and everything in it goes on to its end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import pytest

from pipeline.jobs.job import JobState
from tests.e2e.embedded import Embedded, embedded, gw
from tests.e2e.test_kills import SECRET, stack_environ
from tests.e2e.test_promises import Load
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.waiting import wait_until

#: So many webhooks are in when the backup begins: there are ended jobs, and live ones.
TOLD_BEFORE = 30


async def back_up_under_load(
    stack: Embedded, receiver: WebhookReceiver, path: Path
) -> tuple[set[str], set[str]]:
    """Take a backup while clients submit; give what was accepted before it, and in all."""
    load = Load(stack, receiver)
    async with load.running():
        await receiver.wait_for(TOLD_BEFORE, timeout_s=60)
        # Its webhook is refused, and so tried again and again.
        refused = {"url": receiver.url("500"), "secret": SECRET}
        load.accepted.add(str((await stack.submit(webhook=refused))["id"]))
        before = set(load.accepted)
        where = ("--data", str(stack.data), "--models", str(stack.data.parent / "models"))
        await asyncio.to_thread(gw, "backup", str(path), *where)
    return before, load.accepted


async def states_of(stack: Embedded, job_ids: set[str]) -> dict[str, str]:
    """Give the states of those jobs that the stack has."""
    answers = [await stack.http.get(f"/v1/jobs/{job_id}") for job_id in sorted(job_ids)]
    assert {answer.status_code for answer in answers} <= {200, 404}
    found = [answer.json() for answer in answers if answer.status_code == httpx.codes.OK]
    return {job["id"]: job["state"] for job in found}


async def all_ended(stack: Embedded) -> bool:
    """Whether no job of the stack is live."""
    return all(state.is_terminal for state in await stack.counts())


def told(receiver: WebhookReceiver, *paths: str) -> set[tuple[str, str]]:
    """Give the jobs that were announced at these paths, each with the id of its webhook."""
    return {
        (json.loads(request.body)["data"]["id"], request.headers["webhook-id"])
        for request in receiver.requests
        if request.path in paths
    }


def all_told(receiver: WebhookReceiver, jobs: set[str], places: tuple[str, ...]) -> bool:
    """Whether each of *jobs* was announced at one of these paths."""
    return jobs <= {job_id for job_id, _ in told(receiver, *places)}


def attempts(receiver: WebhookReceiver) -> int:
    """Give how often the webhook that is refused was tried."""
    return sum(request.path == "/500" for request in receiver.requests)


async def check_restored(
    stack: Embedded, receiver: WebhookReceiver, before: set[str], accepted: set[str]
) -> None:
    """Check that each job of the snapshot succeeds once, and is told to all who are to know."""
    told_before = {job_id for job_id, _ in told(receiver, "/200", "/500")}
    tried_before = attempts(receiver)
    await wait_until(lambda: all_ended(stack), timeout_s=60)
    states = await states_of(stack, accepted)
    jobs = set(states)
    assert before <= jobs
    assert Counter(states.values()) == {"succeeded": len(jobs)}
    assert await stack.counts() == {JobState.SUCCEEDED: len(jobs)}
    assert jobs - told_before
    for places in (("/200", "/500"), ("/204",)):
        await wait_until(partial(all_told, receiver, jobs, places), timeout_s=60)
    await wait_until(lambda: attempts(receiver) > tried_before, timeout_s=60)


@pytest.mark.timeout(300)
async def test_a_backup_under_load_comes_back_and_goes_on(tmp_path: Path) -> None:
    """Restored, every job ends once and is told under its one id; keys and endpoints work."""
    path, new = tmp_path / "a.tar", tmp_path / "new"
    (tmp_path / "secret").write_text(SECRET)
    async with WebhookReceiver(secret=SECRET) as receiver:
        environ = stack_environ(receiver) | {"GW_RETRY_SCHEDULE": " ".join(["1s"] * 40)}
        async with embedded(tmp_path / "old", environ) as stack:
            endpoint = ("add", receiver.url("204"), "--event", "job.succeeded")
            secret = ("--secret-file", str(tmp_path / "secret"))
            gw("webhooks", *endpoint, *secret, "--data", str(stack.data))
            before, accepted = await back_up_under_load(stack, receiver, path)
            gw("down", "--now", "--data", str(stack.data))
        where = ("--data", str(new / "data"), "--models", str(new / "models"))
        assert json.loads(gw("restore", "--check", str(path)).stdout)["members"] > 2
        gw("restore", str(path), *where)

        # The key of before opens, and the models come from the archive.
        async with embedded(new, environ, write=lambda models: models) as stack:
            await check_restored(stack, receiver, before, accepted)
            refused = gw("restore", str(path), *where, check=False)
            assert (refused.returncode, "`gw down` stops it" in refused.stderr) == (1, True)

    assert all(request.is_verified for request in receiver.requests)
    for place in ("/200", "/204", "/500"):
        assert set(Counter(job for job, _ in told(receiver, place)).values()) == {1}
