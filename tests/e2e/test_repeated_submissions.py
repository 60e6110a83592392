"""Clients that repeat what was not answered, while the platform dies under them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from pipeline.jobs.job import JobState
from tests.e2e.embedded import PICTURE, Embedded, embedded
from tests.waiting import wait_until

JOBS = 150

#: So many submissions are answered when the process is killed, and when it is killed again.
KILLED_AT = (20, 80)

_PAUSE_S = 0.02


async def submit_until_answered(stack: Embedded, key: str) -> str:
    """Submit under *key*, again and again, until the answer is a job; give its id."""
    headers = {"content-type": "image/jpeg", "idempotency-key": f'"{key}"'}
    while True:
        try:
            answer = await stack.http.post("/v1/jobs?model=mean", content=PICTURE, headers=headers)
        except httpx.TransportError:
            await asyncio.sleep(_PAUSE_S)
            continue
        if answer.status_code == 202:
            return str(answer.json()["id"])
        assert answer.status_code in (409, 503), answer.text
        await asyncio.sleep(_PAUSE_S)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["webapp", "redis"])
async def test_a_repeated_submission_makes_one_job(victim: str, tmp_path: Path) -> None:
    """Each key has one job whatever was killed, the same one when asked again, and it succeeds."""
    gate = asyncio.Semaphore(16)
    ids: dict[str, str] = {}
    async with embedded(tmp_path, {}) as stack:

        async def one(key: str) -> None:
            async with gate:
                ids[key] = await submit_until_answered(stack, key)

        keys = [f"order {number}" for number in range(JOBS)]
        submitting = asyncio.gather(*(one(key) for key in keys))
        for count in KILLED_AT:
            await wait_until(lambda count=count: len(ids) >= count, timeout_s=60)  # type: ignore[misc]
            stack.kill(victim)
        await submitting
        first = dict(ids)
        await asyncio.gather(*(one(key) for key in keys))

        assert len(set(first.values())) == JOBS
        assert ids == first
        await wait_until(lambda: _all_succeeded(stack), timeout_s=60)
        listed = await _listed(stack)
        assert sorted(listed) == sorted(first.values())


async def _all_succeeded(stack: Embedded) -> bool:
    return await stack.counts() == {JobState.SUCCEEDED: JOBS}


async def _listed(stack: Embedded) -> list[str]:
    ids: list[str] = []
    cursor = None
    while True:
        query = {"limit": 40} | ({"cursor": cursor} if cursor else {})
        page = (await stack.http.get("/v1/jobs", params=query)).json()
        ids += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
        if cursor is None:
            return ids
