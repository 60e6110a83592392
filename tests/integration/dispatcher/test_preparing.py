"""Preparing is bounded in memory, and gives back what it took whatever happens in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dispatcher.cards.card import Layout, PictureDecoder
from dispatcher.device.arena import Arena, SharedMemory
from dispatcher.pictures.decode_watch import DecodeWatch
from dispatcher.pictures.items import EncodedItem
from dispatcher.preparing import PictureMissing, Preparer
from dispatcher.scheduling.backlog import HeldJob
from pipeline.clock import SystemClock
from pipeline.errors import UndecodablePicture
from pipeline.jobs.job import PictureFacts
from pipeline.pictures.blobs import FileBlobs
from tests.builders_dispatcher import make_held, make_shelved
from tests.builders_onnx import make_card
from tests.integration.dispatcher.station import picture
from tests.waiting import wait_until

#: What one picture of the model takes: 3 x 4 x 4 float32, rounded up to the arena's alignment.
ITEM_BYTES = 192
MODEL = make_shelved()


class SlowDisk(FileBlobs):
    """A folder whose reads wait until they are let through."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.let_through = threading.Event()
        self.reading = 0

    def get(self, name: str) -> bytes | None:
        """Read, in time."""
        self.reading += 1
        self.let_through.wait(10)
        return super().get(name)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Give threads."""
    with ThreadPoolExecutor(8) as executor:
        yield executor


@pytest.fixture
def arena() -> Iterator[Arena]:
    """Give room for two pictures."""
    memory = SharedMemory.create(2 * ITEM_BYTES)
    yield Arena(memory, 0, 2 * ITEM_BYTES)
    memory.close()


def make_preparer(blobs: FileBlobs, arena: Arena, threads: ThreadPoolExecutor) -> Preparer:
    """Make a preparer."""
    return Preparer(
        blobs=blobs,
        arena=arena,
        threads=threads,
        clock=SystemClock(),
        max_pixels=10_000,
        watch=DecodeWatch(limit_s=60),
    )


async def test_only_so_many_pictures_are_read_at_once(tmp_path: Path, arena: Arena) -> None:
    """Of six jobs for two threads, two pictures lie in memory, and the others follow."""
    blobs = SlowDisk(tmp_path)
    jobs = [make_held() for _ in range(6)]
    for held in jobs:
        blobs.put(held.job.job_id, picture())
    with ThreadPoolExecutor(2) as threads:
        preparer = make_preparer(blobs, arena, threads)
        tasks = [asyncio.create_task(preparer.prepare(held, MODEL)) for held in jobs]
        await wait_until(lambda: blobs.reading == 2)
        await asyncio.sleep(0.05)
        assert blobs.reading == 2
        blobs.let_through.set()
        for task in tasks:
            (await task).block.release()
    assert blobs.reading == 6


async def test_a_full_arena_is_waited_for(
    tmp_path: Path, arena: Arena, threads: ThreadPoolExecutor
) -> None:
    """The third picture is ready when the first one's memory is free, and not before."""
    blobs = FileBlobs(tmp_path)
    preparer = make_preparer(blobs, arena, threads)
    jobs = [make_held() for _ in range(3)]
    for held in jobs:
        blobs.put(held.job.job_id, picture())
    first, _ = [await preparer.prepare(held, MODEL) for held in jobs[:2]]
    third = asyncio.create_task(preparer.prepare(jobs[2], MODEL))
    await asyncio.sleep(0.05)
    assert not third.done()
    first.block.release()
    assert (await third).held is jobs[2]


async def test_faults_leave_the_arena_free(
    tmp_path: Path, arena: Arena, threads: ThreadPoolExecutor
) -> None:
    """A missing picture, garbage, and one that breaks off while it decodes take nothing."""
    blobs = FileBlobs(tmp_path)
    preparer = make_preparer(blobs, arena, threads)
    missing, garbage, cut_short = make_held(), make_held(), make_held()
    blobs.put(garbage.job.job_id, b"garbage")
    blobs.put(cut_short.job.job_id, picture()[:-20])
    with pytest.raises(PictureMissing):
        await preparer.prepare(missing, MODEL)
    for held in (garbage, cut_short):
        with pytest.raises(UndecodablePicture):
            await preparer.prepare(held, MODEL)
    assert arena.free_bytes == arena.size_bytes


async def test_a_canceled_decode_keeps_its_memory_until_it_is_through(
    tmp_path: Path, arena: Arena, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be stopped: what it writes to is given to nobody else before it ends."""
    inside, go_on = threading.Event(), threading.Event()

    def decode(*_: object, **__: object) -> None:
        inside.set()
        go_on.wait(10)
        raise UndecodablePicture("too late to matter")

    monkeypatch.setattr("dispatcher.preparing.decode_picture", decode)
    blobs = FileBlobs(tmp_path)
    held = make_held()
    blobs.put(held.job.job_id, picture())
    task = asyncio.create_task(make_preparer(blobs, arena, threads).prepare(held, MODEL))
    await wait_until(inside.is_set)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    assert arena.free_bytes == ITEM_BYTES
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert arena.free_bytes == arena.size_bytes


async def test_canceled_in_line_nothing_is_taken(
    tmp_path: Path, arena: Arena, threads: ThreadPoolExecutor
) -> None:
    """A job canceled while it waits for memory leaves the line, and the next one gets its place."""
    blobs = FileBlobs(tmp_path)
    preparer = make_preparer(blobs, arena, threads)
    jobs = [make_held() for _ in range(4)]
    for held in jobs:
        blobs.put(held.job.job_id, picture())
    ready = [await preparer.prepare(held, MODEL) for held in jobs[:2]]
    third = asyncio.create_task(preparer.prepare(jobs[2], MODEL))
    await asyncio.sleep(0.05)
    fourth = asyncio.create_task(preparer.prepare(jobs[3], MODEL))
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await third
    ready[0].block.release()
    (await fourth).block.release()
    ready[1].block.release()
    assert arena.free_bytes == arena.size_bytes


def jpeg(*options: int, side_px: int = 64) -> bytes:
    """Give a small JPEG."""
    pixels = np.full((side_px, side_px, 3), 90, np.uint8)
    data: bytes = cv2.imencode(".jpg", pixels, list(options))[1].tobytes()
    return data


async def test_only_what_the_units_take_stays_encoded(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    """For a model that decodes with DVPP a JPEG stays as it is; what that lacks is decoded."""
    card = make_card(dtype="uint8", layout=Layout.NHWC, side_px=16)
    model = make_shelved(card=replace(card, input=replace(card.input, decode=PictureDecoder.DVPP)))
    memory = SharedMemory.create(1 << 16)
    blobs, arena = FileBlobs(tmp_path), Arena(memory, 0, 1 << 16)
    preparer = make_preparer(blobs, arena, threads)
    taken, progressive = jpeg(), jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)

    def held(data: bytes) -> HeldJob:
        facts = PictureFacts(format="jpeg", width_px=64, height_px=64, size_bytes=len(data))
        held = make_held(picture=facts)
        blobs.put(held.job.job_id, data)
        return held

    encoded = await preparer.prepare(held(taken), model)
    decoded = await preparer.prepare(held(progressive), model)

    item = encoded.item()
    assert isinstance(item, EncodedItem)
    assert (item.data.tobytes(), encoded.decoder) == (taken, PictureDecoder.DVPP)
    assert (item.shape, item.placement) == ((16, 16, 3), encoded.placement)
    pixels = decoded.item()
    assert isinstance(pixels, np.ndarray)
    assert (pixels.shape, decoded.decoder) == ((16, 16, 3), PictureDecoder.OPENCV)
    assert abs(int(pixels.mean()) - 90) <= 1
    with pytest.raises(UndecodablePicture):
        await preparer.prepare(held(taken[: len(taken) // 2]), model)
    for ready in (encoded, decoded):
        ready.block.release()
    assert arena.free_bytes == arena.size_bytes
    memory.close()
