"""The dispatcher with the NPU's picture units, from claimed jobs to what it hands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from redis.asyncio import Redis

from pipeline.jobs.job import JobState, PictureFacts
from pipeline.protocol import Keyspace
from tests.builders_om import compile_om
from tests.builders_onnx import save_mean_model
from tests.conformance.bench import GEARS
from tests.integration.acl.test_decoding import FROM_NV12
from tests.integration.dispatcher.station import Station, colour

pytestmark = pytest.mark.usefixtures("no_findings")

CARD = """
[model]
name = "echo"
task = "raw"
runtime = "acl"

[input]
width_px = 64
height_px = 64
dtype = "uint8"
layout = "nv12"
decode = "dvpp"

[decoder]
kind = "raw"

[batching]
max_delay_ms = 20
"""
SIDE_PX = 80


def encoded(form: str, red: int, *options: int) -> bytes:
    """Give a picture of one colour."""
    pixels = np.full((SIDE_PX, SIDE_PX, 3), (30, 20, red), np.uint8)
    data: bytes = cv2.imencode(form, pixels, list(options))[1].tobytes()
    return data


@pytest.fixture
def station(
    redis: Redis,
    keys: Keyspace,
    redis_url: str,
    board: Callable[[str], None],
    tmp_path: Path,
) -> Iterator[Station]:
    """Give a station whose model ``echo`` is an OM of NV12 pictures."""
    station = Station(redis, keys, redis_url, tmp_path)
    folder = station.models / "echo"
    (folder / "1" / "model.onnx").unlink()
    (folder / "model.toml").write_text(CARD)
    onnx = save_mean_model(tmp_path / "m.onnx", side_px=64)
    compile_om(onnx, folder / "1" / "model.om", dynamic_batch=GEARS, aipp=(FROM_NV12,))
    yield station
    station.close()


async def test_each_picture_is_decoded_by_whom_it_suits(station: Station) -> None:
    """Jobs say who decoded them, and each has its own picture's colour."""
    pictures = {
        "dvpp": encoded(".jpg", 200),
        "opencv": encoded(".png", 100),
        "progressive": encoded(".jpg", 50, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    }
    jobs = []
    for data in pictures.values():
        facts = PictureFacts(
            format="jpeg", width_px=SIDE_PX, height_px=SIDE_PX, size_bytes=len(data)
        )
        jobs += await station.submit(data, picture=facts)
    async with station.dispatcher(runtime="acl", infer_timeout_s=20.0):
        records = await station.through(jobs, timeout_s=30)
        assert {record.state for record in records} == {JobState.INFERRED}
        messages = await station.inferred()
    seen = [messages[job.job_id] for job in jobs]
    assert [message.made_by.decoder for message in seen] == ["dvpp", "opencv", "opencv"]
    for message, red in zip(seen, (200, 100, 50), strict=True):
        assert abs(colour(message)[0] - red) <= 3
