"""Dvpp: the picture units for whoever works on one picture at a time and waits for each."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dispatcher.acl_device.dvpp import jpeg, scaling
from dispatcher.acl_device.dvpp.channel import Channel
from dispatcher.acl_device.dvpp.formats import PictureShape, PixelFormat, Region
from dispatcher.acl_device.dvpp.picture import DevicePicture
from dispatcher.acl_device.dvpp.scaling import Resampling
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.memory import DeviceBuffer
from dispatcher.acl_device.session import RunMode


class Dvpp:
    """Opens a channel in the calling thread's context; raises AclFailure if there is none left.

    Works on *stream*, or on one of its own; waits for at most *timeout_s* each time (0: for as
    long as it takes). Every method raises AclFailure and keeps nothing then. Pictures that it
    gives are the caller's to close.
    """

    def __init__(self, run_mode: RunMode, *, stream: int = 0, timeout_s: float = 0.0) -> None:
        self._run_mode = run_mode
        self._channel = Channel(stream=stream, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel. Closing again does nothing."""
        self._channel.close()

    def allocate(self, shape: PictureShape) -> DevicePicture:
        """Take memory for a picture, with any content."""
        return DevicePicture(shape, self._run_mode)

    def decode_jpeg(
        self, data: NDArray[np.uint8], form: PixelFormat = PixelFormat.NV12
    ) -> DevicePicture:
        """Decode a JPEG in this program's memory, upright: the unit turns it as Exif says.

        Odd sides lose their last pixel. Fails with 148052 for what is not baseline.
        """
        info = jpeg.read_info(data)
        # Either way round: the unit may turn the picture.
        shapes = [
            PictureShape.decoded(form, *size)
            for size in ((info.width_px, info.height_px), (info.height_px, info.width_px))
        ]
        size_bytes = max(jpeg.decoded_bytes(data, form), *(each.size_bytes for each in shapes))
        feed = DeviceBuffer(data.nbytes, self._run_mode, for_pictures=True)
        try:
            feed.write(data)
            target = DevicePicture(shapes[0], self._run_mode, size_bytes=size_bytes)
            return self._filled(target, lambda: self._decode(feed, target))
        finally:
            feed.free()

    def resize(
        self,
        source: DevicePicture,
        target_shape: PictureShape,
        resampling: Resampling = Resampling.DEFAULT,
    ) -> DevicePicture:
        """Scale *source* to the size of *target_shape*."""
        target = self.allocate(target_shape)
        return self._filled(
            target, lambda: scaling.queue_resize(self._channel, source, target, resampling)
        )

    def crop(
        self, source: DevicePicture, region: Region, target_shape: PictureShape
    ) -> DevicePicture:
        """Cut *region* out of *source*, scaled to the size of *target_shape*."""
        target = self.allocate(target_shape)
        return self._filled(
            target, lambda: scaling.queue_crop(self._channel, source, region, target)
        )

    def crop_and_paste(
        self, source: DevicePicture, crop: Region, target: DevicePicture, paste: Region
    ) -> None:
        """Scale *crop* of *source* onto *paste* of *target*; the rest of that stays as it is."""
        self._done(lambda: scaling.queue_crop_and_paste(self._channel, source, crop, target, paste))

    def convert(self, source: DevicePicture, form: PixelFormat) -> DevicePicture:
        """Give *source* in another format."""
        shape = source.shape
        target = self.allocate(PictureShape.packed(form, shape.width_px, shape.height_px))
        return self._filled(target, lambda: scaling.queue_convert(self._channel, source, target))

    def encode_jpeg(self, source: DevicePicture, *, quality: int = 100) -> bytes:
        """Encode an NV12 or NV21 picture whose width stride is a multiple of 16."""
        size = np.zeros(1, np.uint32)
        config = jpeg.encoder_settings(self._channel, quality)
        desc = self._channel.picture(source.shape, source.address, source.size_bytes)
        room_bytes = jpeg.encoded_bytes(desc, config)
        target = DeviceBuffer(room_bytes, self._run_mode, for_pictures=True)
        try:
            size[0] = room_bytes
            self._done(lambda: jpeg.queue_encode(self._channel, desc, target.address, size, config))
            data = np.empty(int(size[0]), np.uint8)
            target.read_into(data)
            return data.tobytes()
        finally:
            target.free()

    def _decode(self, feed: DeviceBuffer, target: DevicePicture) -> None:
        desc = jpeg.queue_decode(self._channel, (feed.address, feed.size_bytes), target)
        self._channel.synchronize(before_release=lambda: _note_shape(target, desc))

    def _filled(self, target: DevicePicture, queue: Callable[[], None]) -> DevicePicture:
        """Do what *queue* queues, and give *target*; free it where that fails."""
        try:
            self._done(queue)
        except BaseException:
            target.close()
            raise
        return target

    def _done(self, queue: Callable[[], None]) -> None:
        try:
            queue()
        except AclFailure:
            # Refused at once, but for its descriptions.
            self._channel.drop()
            raise
        self._channel.synchronize()


def _note_shape(target: DevicePicture, desc: int) -> None:
    target.shape = jpeg.read_shape(desc)
