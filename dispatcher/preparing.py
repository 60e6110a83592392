"""From a started job to a ready one: its picture decoded and laid out as the model's input.

Or only brought to the device's memory, where the device is to decode it and its units can. A job
that brings a tensor has it copied.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from dispatcher.cards.card import InputSpec, PictureDecoder
from dispatcher.device.arena import Arena, Block
from dispatcher.models.shelf import ShelvedModel
from dispatcher.pictures.decode_watch import DecodeStuck, DecodeWatch
from dispatcher.pictures.decoding import check_decodable, decode_picture
from dispatcher.pictures.dvpp_limits import why_not
from dispatcher.pictures.geometry import Placement, evened, plan
from dispatcher.pictures.tensor_inputs import NO_PLACEMENT, copy_tensor, tensor_shape
from dispatcher.pictures.tensors import item_shape, write_tensor
from dispatcher.scheduling.backlog import HeldJob, ReadyJob
from dispatcher.scheduling.view import WaitingJob
from pipeline.clock import Clock
from pipeline.errors import UndecodablePicture
from pipeline.jobs.job import Job
from pipeline.pictures.blobs import FileBlobs
from pipeline.pictures.header import PictureFormat
from pipeline.pictures.jpeg_segments import read_frame

Shape = tuple[int, ...]


class PictureMissing(UndecodablePicture):
    """The job's picture is not in the blob store any more."""

    code = "picture_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class _LaidOut:
    """How a picture lies in its block: as the input, or as *encoded_bytes* of JPEG."""

    placement: Placement
    took_ms: float
    encoded_bytes: int = 0


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
        watch: DecodeWatch,
    ) -> None:
        self._blobs = blobs
        self._arena = arena
        self._threads = threads
        self._clock = clock
        self._max_pixels = max_pixels
        self._watch = watch

    async def prepare(self, held: HeldJob, model: ShelvedModel) -> ReadyJob:
        """Bring the job's input into shared memory; raises UndecodablePicture or UnfitTensor."""
        facts, spec = held.job.picture, model.card.input
        shape = _shape(held.job, model)
        size_bytes = math.prod(shape) * np.dtype(spec.dtype).itemsize
        if spec.decode is PictureDecoder.DVPP and facts.size_bytes <= self._arena.size_bytes:
            size_bytes = max(size_bytes, facts.size_bytes)
        block = await self._arena.allocate(size_bytes)
        try:
            laid = await self._laid_out(held.job, spec, shape, block)
        except DecodeStuck:
            raise  # the thread may still write to the block, which is lost with the process
        except BaseException:
            block.release()
            raise
        return ReadyJob(
            held=held,
            model=model,
            block=block,
            shape=shape,
            placement=laid.placement,
            encoded_bytes=laid.encoded_bytes,
            waiting=WaitingJob(
                priority=held.job.priority.rank,
                waiting_since_ms=self._clock.monotonic_ms(),
                deadline_ms=self._monotonic_deadline_ms(held),
                turn=held.turn,
            ),
            decode_ms=laid.took_ms,
        )

    async def _laid_out(self, job: Job, spec: InputSpec, shape: Shape, block: Block) -> _LaidOut:
        """Fill the block in a thread."""
        decoding = self._threads.submit(self._lay_out, job, spec, shape, block)
        return await self._watch.outcome(job.job_id, decoding)

    def _lay_out(self, job: Job, spec: InputSpec, shape: Shape, block: Block) -> _LaidOut:
        with self._watch.timed(job.job_id):
            return self._write(job, spec, shape, block)

    def _write(self, job: Job, spec: InputSpec, shape: Shape, block: Block) -> _LaidOut:
        """Write the model's input, or the picture as it is, into *block*."""
        data = self._blobs.get(job.job_id)
        if data is None:
            raise PictureMissing("the job's picture is not stored any more")
        started_s = perf_counter()
        if job.tensor is not None:
            copy_tensor(data, block.view(shape, spec.dtype))
            return _LaidOut(placement=NO_PLACEMENT, took_ms=(perf_counter() - started_s) * 1e3)
        encoded = self._for_units(data, spec, shape) if spec.decode is PictureDecoder.DVPP else None
        if encoded is not None and len(data) <= block.size_bytes:
            block.view((len(data),), np.uint8)[...] = np.frombuffer(data, np.uint8)
            return _LaidOut(
                placement=encoded,
                took_ms=(perf_counter() - started_s) * 1e3,
                encoded_bytes=len(data),
            )
        pixels = decode_picture(data, target=spec, max_pixels=self._max_pixels)
        placement = plan((pixels.width_px, pixels.height_px), spec)
        _check_shape(placement, spec, shape)
        write_tensor(pixels, placement, spec, block.view(shape, spec.dtype))
        return _LaidOut(placement=placement, took_ms=(perf_counter() - started_s) * 1e3)

    def _for_units(self, data: bytes, spec: InputSpec, shape: Shape) -> Placement | None:
        """Say how the picture units lay *data* out; None where they cannot.

        Raises UndecodablePicture for what nobody decodes.
        """
        header = check_decodable(data, max_pixels=self._max_pixels)
        placement = evened(plan((header.width_px, header.height_px), spec))
        _check_shape(placement, spec, shape)
        frame = read_frame(data) if header.format is PictureFormat.JPEG else None
        return None if why_not(header, frame, placement) else placement

    def _monotonic_deadline_ms(self, held: HeldJob) -> float | None:
        if not held.job.deadline_unix_ms:
            return None
        left_ms = held.job.deadline_unix_ms - self._clock.unix_ms()
        return self._clock.monotonic_ms() + left_ms


def _shape(job: Job, model: ShelvedModel) -> Shape:
    """Give the shape of the input that *job* becomes; raises UnfitTensor."""
    if job.tensor is not None:
        return tensor_shape(job.tensor, model.description)
    facts, spec = job.picture, model.card.input
    # As the record knows the picture, so that a thread is asked once: it reads and decodes.
    return item_shape(plan((facts.width_px, facts.height_px), spec), spec)


def _check_shape(placement: Placement, spec: InputSpec, shape: Shape) -> None:
    if item_shape(placement, spec) != shape:
        raise UndecodablePicture("the picture is not of the size that was accepted")
