"""From a started job to a ready one: its picture decoded and laid out as the model's input."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import Executor
from time import perf_counter

import numpy as np

from dispatcher.cards.card import InputSpec
from dispatcher.device.arena import Arena, Block
from dispatcher.models.shelf import ShelvedModel
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import Placement, plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from dispatcher.scheduling.backlog import HeldJob, ReadyJob
from dispatcher.scheduling.view import WaitingJob
from pipeline.clock import Clock
from pipeline.errors import UndecodablePicture
from pipeline.pictures.blobs import FileBlobs

Shape = tuple[int, int, int]


class PictureMissing(UndecodablePicture):
    """The job's picture is not in the blob store any more."""

    code = "picture_missing"


class Preparer:
    """Prepares jobs in threads, each of which holds one picture's bytes at a time.

    Waits while the arena is full, which is what bounds the memory of what is ready.
    """

    def __init__(
        self,
        *,
        blobs: FileBlobs,
        arena: Arena,
        threads: Executor,
        clock: Clock,
        max_pixels: int,
    ) -> None:
        self._blobs = blobs
        self._arena = arena
        self._threads = threads
        self._clock = clock
        self._max_pixels = max_pixels

    async def prepare(self, held: HeldJob, model: ShelvedModel) -> ReadyJob:
        """Decode the job's picture into shared memory; raises UndecodablePicture."""
        facts, spec = held.job.picture, model.card.input
        # As the record knows the picture, so that a thread is asked once: it reads and decodes.
        shape = item_shape(plan((facts.width_px, facts.height_px), spec), spec)
        block = await self._arena.allocate(math.prod(shape) * np.dtype(spec.dtype).itemsize)
        try:
            placement, decode_ms = await self._decoded(held.job.job_id, spec, shape, block)
        except BaseException:
            block.release()
            raise
        return ReadyJob(
            held=held,
            model=model,
            block=block,
            shape=shape,
            placement=placement,
            waiting=WaitingJob(
                priority=held.job.priority.rank,
                waiting_since_ms=self._clock.monotonic_ms(),
                deadline_ms=self._monotonic_deadline_ms(held),
            ),
            decode_ms=decode_ms,
        )

    async def _decoded(
        self, job_id: str, spec: InputSpec, shape: Shape, block: Block
    ) -> tuple[Placement, float]:
        """Decode in a thread; give how the picture lies in the input, and the milliseconds."""
        decoding = self._threads.submit(self._decode, job_id, spec, shape, block)
        try:
            return await asyncio.wrap_future(decoding)
        except asyncio.CancelledError:
            # A thread cannot be stopped, and writes to the block until it is through.
            if not decoding.cancelled():
                await asyncio.gather(asyncio.wrap_future(decoding), return_exceptions=True)
            raise

    def _decode(
        self, job_id: str, spec: InputSpec, shape: Shape, block: Block
    ) -> tuple[Placement, float]:
        """Write the model's input into *block*."""
        data = self._blobs.get(job_id)
        if data is None:
            raise PictureMissing("the job's picture is not stored any more")
        started_s = perf_counter()
        pixels = decode_picture(data, target=spec, max_pixels=self._max_pixels)
        placement = plan((pixels.width_px, pixels.height_px), spec)
        if item_shape(placement, spec) != shape:
            raise UndecodablePicture("the picture is not of the size that was accepted")
        write_tensor(pixels, placement, spec, block.view(shape, spec.dtype))
        return placement, (perf_counter() - started_s) * 1e3

    def _monotonic_deadline_ms(self, held: HeldJob) -> float | None:
        if not held.job.deadline_unix_ms:
            return None
        left_ms = held.job.deadline_unix_ms - self._clock.unix_ms()
        return self._clock.monotonic_ms() + left_ms
