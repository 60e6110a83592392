"""AclLite's picture work: decoding, scaling, pasting and encoding by the DVPP unit.

As everywhere in AclLite's old generation, a failure is logged and gives None.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import acl  # type: ignore[import-not-found, unused-ignore]
import numpy as np

from acllite import acllite_logger
from acllite import acllite_utils as utils
from acllite import constants as const

# By this name, too, as the original has it.
from acllite.acllite_image import AclLiteImage
from acllite.acllite_resource import AclLiteResource, resource_list
from dispatcher.acl_device.dvpp.formats import PictureShape, PixelFormat, Region
from dispatcher.acl_device.dvpp.picture import DevicePicture
from dispatcher.acl_device.dvpp.unit import Dvpp
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.session import RunMode

__all__ = ["AclLiteImage", "AclLiteImageProc"]

T = TypeVar("T")

#: What the unit writes NV12 of these programs to: width and height of the memory.
_SCALED_ALIGN = (16, 2)
_JPEG_QUALITY = 100


class AclLiteImageProc:
    """Opens the DVPP unit in the calling thread's context, on the stream of *acl_resource* if any.

    All pictures that it takes and gives are NV12, but for the JPEG of :meth:`jpegd` and of
    :meth:`jpege`. Raises AclLiteError where the unit cannot be opened.
    """

    def __init__(self, acl_resource: AclLiteResource | None = None) -> None:
        mode, ret = acl.rt.get_run_mode()
        utils.check_ret("acl.rt.get_run_mode", ret)
        self._run_mode = RunMode(mode)
        self._dvpp: Dvpp | None = None
        stream = getattr(acl_resource, "stream", None) or 0
        try:
            self._dvpp = Dvpp(self._run_mode, stream=stream)
        except AclFailure as failure:
            raise utils.AclLiteError.of(failure) from failure
        resource_list.register(self)

    def jpegd(self, image: AclLiteImage | None) -> AclLiteImage | None:
        """Decode a baseline JPEG. The picture comes upright: the unit turns it as Exif says."""
        data = image.byte_data_to_np_array() if image is not None else None
        if data is None:
            acllite_logger.log_error("there is no JPEG to decode")
            return None
        return self._made("jpegd", lambda dvpp: dvpp.decode_jpeg(data.view(np.uint8).reshape(-1)))

    def resize(
        self, image: AclLiteImage, resize_width: int, resize_height: int
    ) -> AclLiteImage | None:
        """Scale to exactly this size; the memory is aligned to 16 x 2."""
        shape = _scaled(resize_width, resize_height)
        return self._made("resize", lambda dvpp: dvpp.resize(self._lent(image), shape))

    def crop_and_paste(
        self,
        image: AclLiteImage,
        width: int,
        height: int,
        crop_and_paste_width: int,
        crop_and_paste_height: int,
    ) -> AclLiteImage | None:
        """Scale *width* x *height* of the picture, ratio kept, into the upper left corner.

        What it does not cover is black.
        """
        scale = max(width / crop_and_paste_width, height / crop_and_paste_height)
        paste = _even(
            Region(x_px=0, y_px=0, width_px=int(width / scale), height_px=int(height / scale))
        )
        whole = _scaled(crop_and_paste_width, crop_and_paste_height)
        source = _even(Region(x_px=0, y_px=0, width_px=width, height_px=height))
        return self._pasted(image, source, whole, paste)

    def crop_and_paste_get_roi(
        self,
        image: AclLiteImage,
        width: int,
        height: int,
        crop_and_paste_width: int,
        crop_and_paste_height: int,
    ) -> AclLiteImage | None:
        """Scale *width* x *height* of the picture onto the whole target, ratio or not."""
        whole = _scaled(crop_and_paste_width, crop_and_paste_height)
        source = _even(Region(x_px=0, y_px=0, width_px=width, height_px=height))
        return self._pasted(image, source, whole, whole.whole)

    def jpege(self, image: AclLiteImage) -> AclLiteImage | None:
        """Encode as JPEG, into this program's memory."""
        encoded = self._tried(
            "jpege", lambda dvpp: dvpp.encode_jpeg(self._lent(image), quality=_JPEG_QUALITY)
        )
        if encoded is None:
            return None
        return AclLiteImage(np.frombuffer(encoded, np.uint8), image.width, image.height)

    def destroy(self) -> None:
        """Close the unit. Again does nothing."""
        dvpp, self._dvpp = self._dvpp, None
        if dvpp is not None:
            resource_list.unregister(self)
            dvpp.close()

    def __del__(self) -> None:
        # Late in the interpreter's end there may be nothing left to give back.
        with suppress(Exception):
            self.destroy()

    def _pasted(
        self, image: AclLiteImage, source: Region, whole: PictureShape, paste: Region
    ) -> AclLiteImage | None:
        def paste_on_black(dvpp: Dvpp) -> DevicePicture:
            target = dvpp.allocate(whole)
            try:
                target.write(_black(whole))
                dvpp.crop_and_paste(self._lent(image), source, target, paste)
            except BaseException:
                target.close()
                raise
            return target

        return self._made("crop_and_paste", paste_on_black)

    def _lent(self, image: AclLiteImage) -> DevicePicture:
        """Give a picture as the unit sees it, where it lies."""
        shape = PictureShape(
            format=PixelFormat.NV12,
            width_px=image.width,
            height_px=image.height,
            width_stride=image.alignWidth or image.width,
            height_stride=image.alignHeight or image.height,
        )
        return DevicePicture.lent(shape, image.data(), self._run_mode, size_bytes=image.size)

    def _made(self, what: str, make: Callable[[Dvpp], DevicePicture]) -> AclLiteImage | None:
        picture = self._tried(what, make)
        if picture is None:
            return None
        shape, size = picture.shape, picture.shape.size_bytes
        made = partial(AclLiteImage, picture.detach(), shape.width_px, shape.height_px)
        return made(shape.width_stride, shape.height_stride, size, const.MEMORY_DVPP)

    def _tried(self, what: str, work: Callable[[Dvpp], T]) -> T | None:
        if self._dvpp is None:
            acllite_logger.log_error(f"{what}: the unit has been closed")
            return None
        try:
            return work(self._dvpp)
        except AclFailure as failure:
            acllite_logger.log_error(f"{what} failed: {failure}")
            return None


def _scaled(width_px: int, height_px: int) -> PictureShape:
    return PictureShape.packed(PixelFormat.NV12, width_px, height_px, align=_SCALED_ALIGN)


def _even(region: Region) -> Region:
    return Region(
        x_px=region.x_px,
        y_px=region.y_px,
        width_px=region.width_px // 2 * 2,
        height_px=region.height_px // 2 * 2,
    )


def _black(shape: PictureShape) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Give NV12 bytes of black: no light, and colours in their middle."""
    values = np.full(shape.size_bytes, 128, np.uint8)
    values[: shape.width_stride * shape.height_stride] = 0
    return values
