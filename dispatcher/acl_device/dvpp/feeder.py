"""The pictures of a batch: decoded, scaled and pasted by the picture units into a model's input.

All of it is queued in one stream and waited for once. One buffer holds each decoded picture in
turn, which the stream's order allows; it grows to the largest picture that ever came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.acl_device.codes import Meaning
from dispatcher.acl_device.dvpp import jpeg, scaling
from dispatcher.acl_device.dvpp.channel import Channel
from dispatcher.acl_device.dvpp.formats import PictureShape, PixelFormat, Region, align_up
from dispatcher.acl_device.dvpp.picture import DevicePicture
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.memory import DeviceBuffer
from dispatcher.acl_device.session import RunMode
from dispatcher.cards.card import ColourOrder, InputSpec, Layout
from dispatcher.pictures.geometry import Placement, Rect
from dispatcher.pictures.items import EncodedItem

# The units' addresses; also a decoder may read a little past a file's end.
_ALIGN_BYTES = 128
_NO_COLOUR = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model's input on the device: items of *item_bytes* behind one another."""

    buffer: DeviceBuffer
    item_bytes: int
    spec: InputSpec

    @property
    def form(self) -> PixelFormat:
        """How the model takes its pixels."""
        if self.spec.layout is Layout.NV12:
            return PixelFormat.NV12
        is_rgb = self.spec.colour is ColourOrder.RGB
        return PixelFormat.RGB_888 if is_rgb else PixelFormat.BGR_888

    @property
    def is_aligned(self) -> bool:
        """Whether the units can write each item where it belongs."""
        return self.item_bytes % _ALIGN_BYTES == 0

    def shape(self, form: PixelFormat) -> PictureShape:
        """Give the shape of an item in *form*."""
        return PictureShape.packed(form, self.spec.width_px, self.spec.height_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One picture on its way: where its bytes lie, and where it is pasted and ends."""

    position: int
    item: EncodedItem
    feed: tuple[int, int]
    canvas: DevicePicture
    result: DevicePicture


class _Growing:
    """Memory of the picture units that is kept, and replaced where it is too small."""

    def __init__(self, run_mode: RunMode) -> None:
        self._run_mode = run_mode
        self._buffer: DeviceBuffer | None = None

    def of(self, size_bytes: int) -> DeviceBuffer:
        """Give memory of at least *size_bytes*; what an earlier call gave is void."""
        if self._buffer is None or self._buffer.size_bytes < size_bytes:
            self.close()
            self._buffer = DeviceBuffer(size_bytes, self._run_mode, for_pictures=True)
        return self._buffer

    def close(self) -> None:
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.free()


class Feeder:
    """Opens a channel when constructed; raises AclFailure. For one thread, and pictures of it."""

    def __init__(self, run_mode: RunMode, *, timeout_s: float) -> None:
        self._run_mode = run_mode
        self._channel = Channel(timeout_s=timeout_s)
        self._feed, self._decoded = _Growing(run_mode), _Growing(run_mode)
        self._canvases, self._results = _Growing(run_mode), _Growing(run_mode)

    def close(self) -> None:
        """Close the channel and free the memory. Closing again does nothing."""
        self._channel.close()
        for memory in (self._feed, self._decoded, self._canvases, self._results):
            memory.close()

    def write(self, items: Mapping[int, EncodedItem], target: Target) -> dict[int, str]:
        """Lay out *items* at their positions in *target*; give those that failed, and why.

        Raises AclFailure only where the device is lost, or has no memory left.
        """
        if not items:
            return {}
        try:
            return self._write(items, target)
        except AclFailure as failure:
            _raise_if_lost(failure)
            if len(items) == 1:
                return dict.fromkeys(items, str(failure))
        # Which one failed in the stream is told by running them apart.
        failed: dict[int, str] = {}
        for position, item in items.items():
            failed |= self.write({position: item}, target)
        return failed

    def _write(self, items: Mapping[int, EncodedItem], target: Target) -> dict[int, str]:
        failed: dict[int, str] = {}
        tasks = self._tasks(items, target)
        decoded = self._decoded_memory(tasks, failed)
        for task in tasks:
            if task.position in failed:
                continue
            try:
                self._queue(task, decoded)
            except AclFailure as failure:
                _raise_if_lost(failure)
                failed[task.position] = str(failure)
        self._channel.synchronize()
        if not target.is_aligned:
            for task in tasks:
                target.buffer.copy_from(
                    task.result.address,
                    target.item_bytes,
                    at_bytes=task.position * target.item_bytes,
                )
        return failed

    def _tasks(self, items: Mapping[int, EncodedItem], target: Target) -> Sequence[_Task]:
        """Place everything in memory: bytes copied there, canvases filled with the padding."""
        sizes = [align_up(item.data.nbytes + 1, _ALIGN_BYTES) for item in items.values()]
        feed = self._feed.of(sum(sizes))
        nv12, final = target.shape(PixelFormat.NV12), target.shape(target.form)
        converts = target.form is not PixelFormat.NV12
        canvases = self._pitched(self._canvases, nv12, len(items) if converts else 0)
        results = self._pitched(self._results, final, 0 if target.is_aligned else len(items))
        tasks, at_bytes = [], 0
        for index, (position, item) in enumerate(items.items()):
            feed.write(item.data, at_bytes=at_bytes)
            in_place = target.buffer.address + position * target.item_bytes
            result = results[index] if results else self._lent(final, in_place)
            canvas = canvases[index] if canvases else result
            _fill_padding(canvas, item.placement, target.spec.pad_value, self._run_mode)
            tasks.append(
                _Task(
                    position=position,
                    item=item,
                    feed=(feed.address + at_bytes, item.data.nbytes),
                    canvas=canvas,
                    result=result,
                )
            )
            at_bytes += sizes[index]
        return tasks

    def _pitched(
        self, memory: _Growing, shape: PictureShape, count: int
    ) -> Sequence[DevicePicture]:
        """Give *count* pictures of *shape* in *memory*, each aligned."""
        if not count:
            return ()
        pitch_bytes = align_up(shape.size_bytes, _ALIGN_BYTES)
        first = memory.of(count * pitch_bytes).address
        return [self._lent(shape, first + index * pitch_bytes) for index in range(count)]

    def _lent(self, shape: PictureShape, address: int) -> DevicePicture:
        return DevicePicture.lent(shape, address, self._run_mode)

    def _decoded_memory(self, tasks: Sequence[_Task], failed: dict[int, str]) -> DeviceBuffer:
        """Give room for the largest of the decoded pictures; note those that the unit refuses."""
        largest_bytes = 1
        for task in tasks:
            try:
                wanted_bytes = jpeg.decoded_bytes(task.item.data, PixelFormat.NV12)
            except AclFailure as failure:
                _raise_if_lost(failure)
                failed[task.position] = str(failure)
            else:
                shape_bytes = _decoded_shape(task.item.placement).size_bytes
                largest_bytes = max(largest_bytes, wanted_bytes, shape_bytes)
        return self._decoded.of(largest_bytes)

    def _queue(self, task: _Task, decoded: DeviceBuffer) -> None:
        placement = task.item.placement
        shape, address = _decoded_shape(placement), decoded.address
        picture = DevicePicture.lent(shape, address, self._run_mode, size_bytes=decoded.size_bytes)
        jpeg.queue_decode(self._channel, task.feed, picture)
        scaling.queue_crop_and_paste(
            self._channel,
            picture,
            _region(placement.source),
            task.canvas,
            _region(placement.target),
        )
        if task.canvas is not task.result:
            scaling.queue_convert(self._channel, task.canvas, task.result)


def _decoded_shape(placement: Placement) -> PictureShape:
    size_px = (placement.picture_width_px, placement.picture_height_px)
    return PictureShape.decoded(PixelFormat.NV12, *size_px)


def _region(rect: Rect) -> Region:
    return Region(x_px=rect.x_px, y_px=rect.y_px, width_px=rect.width_px, height_px=rect.height_px)


def _fill_padding(
    canvas: DevicePicture, placement: Placement, pad_value: int, run_mode: RunMode
) -> None:
    """Make *canvas* grey where the picture is not going to cover it."""
    shape = canvas.shape
    if _region(placement.target) == shape.whole:
        return
    memory = DeviceBuffer.over(canvas.address, shape.size_bytes, run_mode)
    luma_bytes = shape.width_stride * shape.height_stride
    memory.fill(pad_value, 0, luma_bytes)
    memory.fill(_NO_COLOUR, luma_bytes, shape.size_bytes - luma_bytes)


def _raise_if_lost(failure: AclFailure) -> None:
    if failure.code.meaning is Meaning.DEVICE:
        raise failure
