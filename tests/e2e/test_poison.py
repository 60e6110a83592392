"""Promise 4: a picture that crashes or hangs a model fails alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.jobs.job import JobState
from tests.e2e.embedded import Embedded, embedded
from tests.fakes.poisonable_runtime import CRASHES, HANGS, RAISES
from tests.waiting import wait_until

ENVIRON = {
    "GW_RUNTIME": "tests.fakes.poisonable_runtime:PoisonableRuntime",
    "GW_INFER_TIMEOUT_S": "1",
}

POISON = {
    5: (CRASHES, "the device process was killed"),
    14: (HANGS, "the device process hung past 1 s"),
    23: (RAISES, "a value that the model cannot take"),
}
JOBS = 32


def picture(red: int) -> bytes:
    """Give a picture of one colour, lossless, so that the runtime sees its red as it is."""
    return cv2.imencode(".png", np.full((48, 64, 3), (30, 20, red), np.uint8))[1].tobytes()


async def submit(stack: Embedded, reds: list[int]) -> list[str]:
    """Submit a picture for each of *reds*, all at once; give the jobs' ids in order."""
    jobs = await asyncio.gather(*(stack.submit(picture(red)) for red in reds))
    return [job["id"] for job in jobs]


async def ended(stack: Embedded, count: int) -> bool:
    """Tell whether *count* jobs have ended and none is live."""
    counts = await stack.counts()
    finished = counts.get(JobState.SUCCEEDED, 0) + counts.get(JobState.FAILED, 0)
    return finished == count == sum(counts.values())


async def test_a_picture_that_crashes_or_hangs_a_model_fails_alone(tmp_path: Path) -> None:
    """Of 32 at once, one that crashes, one that hangs and one that raises fail with reasons."""
    reds = [POISON[index][0] if index in POISON else 100 + index for index in range(JOBS)]
    async with embedded(tmp_path, ENVIRON) as stack:
        ids = await submit(stack, reds)
        await wait_until(lambda: ended(stack, JOBS), timeout_s=60)
        for index, job_id in enumerate(ids):
            job = await stack.job(job_id)
            if index in POISON:
                assert (job["state"], job["reason"]["code"]) == ("failed", "model_failed")
                assert POISON[index][1] in job["reason"]["detail"]
            else:
                assert job["state"] == "succeeded"
                result = (await stack.http.get(job["links"]["result"])).json()
                red = result["tensors"][0]["values"][0]
                assert red == pytest.approx((100 + index) / 255, abs=1e-3)

        more = await submit(stack, [10, 20, 30])
        await wait_until(lambda: ended(stack, JOBS + 3), timeout_s=30)
        assert [(await stack.job(job_id))["state"] for job_id in more] == ["succeeded"] * 3
        assert stack.services()["dispatcher"]["restarts"] == 0
