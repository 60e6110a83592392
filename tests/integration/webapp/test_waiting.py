"""Waiting for jobs to end (Prefer: wait)."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.raw_http import connected
from tests.integration.webapp.running import PICTURE, Webapp, finish, running
from tests.waiting import wait_until
from webapp import schemas, waiting

RESULT = '{"labels": ["猫"]}'


async def queued(look: Look, count: int = 1) -> list[str]:
    """Wait until *count* jobs are accepted; give their ids."""

    async def ids() -> list[str]:
        pictures = (await look()).pictures
        return sorted(pictures) if (await look()).counts[JobState.QUEUED] == count else []

    found: list[str] = await wait_until(ids)
    return found


def wait(webapp: Webapp, seconds: int) -> asyncio.Future[httpx.Response]:
    """Submit a picture and wait for its end."""
    return asyncio.ensure_future(webapp.post(headers={"prefer": f"wait={seconds}"}))


async def test_a_job_that_ends_in_time_is_answered_with_its_result(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """200, at once when it ends, with the whole document."""
    waiting_for = wait(webapp, 20)
    (job_id,) = await queued(look)

    await finish(JobStore(redis, keys), job_id, to=JobState.SUCCEEDED, result=RESULT)
    answer = await waiting_for

    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    job = schemas.FinishedJobDocument.model_validate(answer.json())
    assert (job.id, job.state, job.result) == (job_id, JobState.SUCCEEDED, json.loads(RESULT))


async def test_a_job_that_fails_in_time_is_answered_with_its_reason(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """An end without a result is an end too."""
    waiting_for = wait(webapp, 20)
    (job_id,) = await queued(look)

    await finish(JobStore(redis, keys), job_id, to=JobState.FAILED, reason_code="a", reason="b")
    job = schemas.FinishedJobDocument.model_validate((await waiting_for).json())

    assert (job.state, job.result) == (JobState.FAILED, None)
    assert job.reason == schemas.Reason(code="a", detail="b")


async def test_a_job_that_does_not_end_in_time_is_merely_accepted(webapp: Webapp) -> None:
    """202 after the time, and not before."""
    started_s = time.monotonic()

    answer = await wait(webapp, 1)

    assert time.monotonic() - started_s >= 1
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"


async def test_several_jobs_are_waited_for_together(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """The answer comes when the last of them has ended."""
    files = [("picture", ("x", PICTURE))] * 2
    waiting_for = asyncio.ensure_future(
        webapp.http.post(
            "/v1/jobs", files=files, data={"model": "echo"}, headers={"prefer": "wait=20"}
        )
    )
    first, second = await queued(look, 2)

    await finish(JobStore(redis, keys), first, to=JobState.SUCCEEDED, result=RESULT)
    await asyncio.sleep(0.1)
    assert not waiting_for.done()
    await finish(JobStore(redis, keys), second, to=JobState.SUCCEEDED, result=RESULT)
    answer = await waiting_for

    assert answer.status_code == 200
    jobs = schemas.FinishedJobsDocument.model_validate(answer.json()).jobs
    assert sorted(job.id for job in jobs) == [first, second]


async def test_a_lost_message_loses_no_wait(
    environ: dict[str, str],
    token: str,
    redis: Redis,
    keys: Keyspace,
    look: Look,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without any message the poll finds the end within a second or two."""
    monkeypatch.setattr(waiting.EndWatcher, "_listen", lambda _: asyncio.sleep(3600))
    async with running(environ, token=token) as webapp:
        waiting_for = wait(webapp, 20)
        (job_id,) = await queued(look)
        await finish(JobStore(redis, keys), job_id, to=JobState.SUCCEEDED, result=RESULT)
        answer = await asyncio.wait_for(waiting_for, 5)

    assert answer.status_code == 200


async def test_the_message_is_enough(
    environ: dict[str, str],
    token: str,
    redis: Redis,
    keys: Keyspace,
    look: Look,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the poll the message alone ends the wait."""
    monkeypatch.setattr(waiting, "POLL_INTERVAL_S", 3600)
    async with running(environ, token=token) as webapp:
        waiting_for = wait(webapp, 20)
        (job_id,) = await queued(look)
        await finish(JobStore(redis, keys), job_id, to=JobState.SUCCEEDED, result=RESULT)
        answer = await asyncio.wait_for(waiting_for, 5)

    assert answer.status_code == 200


async def test_waiting_is_bounded(environ: dict[str, str], token: str) -> None:
    """The operator's longest wait counts, and the answer says so."""
    environ["GW_WAIT_MAX_S"] = "1"
    async with running(environ, token=token) as webapp:
        answer = await wait(webapp, 3600)

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")


@pytest.mark.parametrize("prefer", ["wait=0", "wait=-5", "wait=soon", "respond-async"])
async def test_without_a_preference_nobody_waits(webapp: Webapp, prefer: str) -> None:
    """What makes no sense is ignored, as RFC 7240 has it."""
    answer = await webapp.post(headers={"prefer": prefer})

    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_a_stopping_service_lets_everybody_go(webapp: Webapp, look: Look) -> None:
    """The job is accepted, and that is the answer."""
    waiting_for = wait(webapp, 60)
    await queued(look)

    webapp.stop.set()
    answer = await asyncio.wait_for(waiting_for, 3)

    assert answer.status_code == 202


async def test_a_caller_that_leaves_is_not_waited_for(webapp: Webapp, look: Look) -> None:
    """Its place is free again, and its job goes on."""
    head = (
        f"POST /v1/jobs?model=echo HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {webapp.token}\r\n"
        f"Content-Type: image/jpeg\r\nPrefer: wait=60\r\nContent-Length: {len(PICTURE)}\r\n\r\n"
    )

    async with connected(webapp.port) as connection:
        await connection.send(head.encode() + PICTURE)
        await queued(look)
        assert webapp.parts.ends.waiters == 1

    await wait_until(lambda: webapp.parts.ends.waiters == 0)
    assert (await look()).counts[JobState.QUEUED] == 1
    assert webapp.parts.budget.held_bytes == 0
