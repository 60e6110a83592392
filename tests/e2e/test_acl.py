"""The whole stack on an emulated NPU: the same code path but for the runtime."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dispatcher.cards.file import read_card
from dispatcher.onnx_runtime import OnnxRuntime
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from dispatcher.runtime import RuntimeOptions
from pipeline.jobs.job import JobState
from tests.builders_om import EMULATOR, compile_om
from tests.builders_onnx import save_mean_model
from tests.e2e.embedded import CARD, ROOT, Embedded, embedded
from tests.e2e.test_kills import JOBS, SECRET, TOLD_BEFORE, announced, stack_environ, submit_all
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.waiting import wait_until

#: The card's largest batch is the largest gear.
GEARS = (1, 2, 4)

NPU = {"GW_RUNTIME": "acl", "PYTHONPATH": os.pathsep.join([str(EMULATOR), str(ROOT)])}

#: As slow as ``tests.fakes.slow_runtime``, so that a kill meets jobs under way.
SLOW_BOARD = '[[profiles]]\nmodel = "*"\nfixed_ms = 20\nitem_ms = 10\ncompute = true\n'


def write_models(folder: Path) -> Path:
    """Write a model folder with the model ``mean`` as an OM with gears."""
    version = folder / "mean" / "1"
    version.mkdir(parents=True)
    (folder / "mean" / "model.toml").write_text(CARD.replace('runtime = "onnx"', 'runtime = "acl"'))
    onnx = save_mean_model(folder.parent / "mean.onnx", side_px=32)
    compile_om(onnx, version / "model.om", dynamic_batch=GEARS)
    return folder


def picture(number: int) -> bytes:
    """Give a picture of noise, another for each *number*."""
    noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def expected(folder: Path, data: bytes) -> NDArray[Any]:
    """Compute on the CPU what the model gives for a picture."""
    card = read_card(folder / "models" / "mean")
    pixels = decode_picture(data, target=card.input, max_pixels=1_000_000)
    placement = plan((pixels.width_px, pixels.height_px), card.input)
    batch = np.empty((1, *item_shape(placement, card.input)), card.input.dtype)
    write_tensor(pixels, placement, card.input, batch[0])
    runtime = OnnxRuntime(RuntimeOptions(threads=1))
    runtime.load("mean/1", card, folder / "mean.onnx")
    means: NDArray[Any] = runtime.infer("mean/1", batch)["mean"][0]
    return means


async def result_of(stack: Embedded, job_id: str) -> dict[str, Any]:
    """Wait for a job's success and give its result."""

    async def ended() -> bool:
        return (await stack.job(job_id))["state"] in {"succeeded", "failed"}

    await wait_until(ended, timeout_s=60)
    job = await stack.job(job_id)
    assert job["state"] == "succeeded", job
    result: dict[str, Any] = (await stack.http.get(job["links"]["result"])).json()
    return result


async def test_jobs_on_the_npu_give_what_the_cpu_gives(tmp_path: Path) -> None:
    """Twenty pictures at once, run in gears on the NPU, have the results of ONNX Runtime."""
    pictures = [picture(number) for number in range(20)]
    async with embedded(tmp_path, NPU, write=write_models) as stack:
        jobs = await asyncio.gather(*(stack.submit(data) for data in pictures))
        results = [await result_of(stack, job["id"]) for job in jobs]

        for data, result in zip(pictures, results, strict=True):
            assert result["tensors"][0]["name"] == "mean"
            values = result["tensors"][0]["values"]
            np.testing.assert_allclose(values, expected(tmp_path, data), rtol=1e-4)
            assert (result["made_by"]["runtime"], result["made_by"]["device"]) == ("acl", "npu:0")
        assert max(result["made_by"]["batch_size"] for result in results) > 1


@pytest.mark.timeout(300)
async def test_a_killed_dispatcher_loses_no_job_on_the_npu(tmp_path: Path) -> None:
    """With jobs under way on the NPU the dispatcher is killed: all succeed, each told under one id.

    Its device process goes with it, and the next one gets the device.
    """
    board = tmp_path / "board.toml"
    board.write_text(SLOW_BOARD)
    async with (
        WebhookReceiver(secret=SECRET) as receiver,
        embedded(
            tmp_path,
            stack_environ(receiver) | NPU | {"ACL_EMULATOR_CONFIG": str(board)},
            write=write_models,
        ) as stack,
    ):
        accepted = await submit_all(stack, receiver)
        await receiver.wait_for(TOLD_BEFORE, timeout_s=60)
        assert len(announced(receiver)) < JOBS
        stack.kill("dispatcher")

        await wait_until(lambda: set(announced(receiver)) == accepted, timeout_s=120)

        assert all(len(ids) == 1 for ids in announced(receiver).values())
        states = Counter([(await stack.job(job_id))["state"] for job_id in accepted])
        assert states == {"succeeded": JOBS}
        assert await stack.counts() == {JobState.SUCCEEDED: JOBS}
        assert stack.services()["dispatcher"]["restarts"] == 1
