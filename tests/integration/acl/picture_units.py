"""Takes a picture through every picture unit, on the emulated board of the environment.

Run as ``python -m tests.integration.acl.picture_units``, with the emulator on the path. Prints what
came out as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dispatcher.acl_device.dvpp.formats import PictureShape, PixelFormat, Region
from dispatcher.acl_device.dvpp.picture import DevicePicture
from dispatcher.acl_device.dvpp.unit import Dvpp
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.session import Session

WIDTH_PX, HEIGHT_PX = 200, 100
GREY = 90


def jpeg(*options: int, width_px: int = WIDTH_PX) -> NDArray[np.uint8]:
    """Give a JPEG whose left half is dark and right half bright."""
    pixels = np.full((HEIGHT_PX, width_px, 3), GREY, np.uint8)
    pixels[:, width_px // 2 :] = 200
    encoded: Any = cv2.imencode(".jpg", pixels, list(options))[1]
    return np.ascontiguousarray(encoded, np.uint8)


def luma(picture: DevicePicture) -> NDArray[np.uint8]:
    """Give the picture's first plane without its strides."""
    shape = picture.shape
    plane = picture.read()[: shape.width_stride * shape.height_stride]
    rows = plane.reshape(shape.height_stride, shape.width_stride)
    return rows[: shape.height_px, : shape.width_px]


def refusal(call: Any) -> int:
    """Give the code with which *call* is refused; 0 if it is not."""
    try:
        call()
    except AclFailure as failure:
        return failure.code.number
    return 0


def use(session: Session, dvpp: Dvpp) -> dict[str, Any]:
    """Decode, scale, cut, paste, convert and encode."""
    told: dict[str, Any] = {}
    nv12 = PixelFormat.NV12
    with dvpp.decode_jpeg(jpeg()) as decoded:
        shape = decoded.shape
        told["decoded"] = [shape.width_px, shape.height_px, shape.width_stride, shape.height_stride]
        told["halves"] = [int(luma(decoded)[50, 20]), int(luma(decoded)[50, 180])]
        with dvpp.resize(decoded, PictureShape.packed(nv12, 100, 60)) as small:
            told["resized"] = [*luma(small).shape, int(luma(small)[30, 10])]
        right = Region(x_px=120, y_px=0, width_px=80, height_px=100)
        with dvpp.crop(decoded, right, PictureShape.packed(nv12, 40, 50)) as cut:
            told["cropped"] = [*luma(cut).shape, int(luma(cut).min())]
        with dvpp.allocate(PictureShape.packed(nv12, 64, 64)) as canvas:
            canvas.write(np.full(canvas.size_bytes, 128, np.uint8))
            middle = Region(x_px=0, y_px=16, width_px=64, height_px=32)
            dvpp.crop_and_paste(decoded, decoded.shape.whole, canvas, middle)
            told["pasted"] = [int(luma(canvas)[0, 0]), int(luma(canvas)[32, 4])]
            odd = Region(x_px=1, y_px=16, width_px=32, height_px=32)
            told["odd paste"] = refusal(
                lambda: dvpp.crop_and_paste(decoded, decoded.shape.whole, canvas, odd)
            )
        with dvpp.convert(decoded, PixelFormat.RGB_888) as colours:
            told["rgb"] = [colours.shape.width_stride, int(colours.read()[0])]
        tight = PictureShape.encodable(nv12, 208, 100)
        with dvpp.resize(decoded, tight) as encodable:
            again: Any = cv2.imdecode(
                np.frombuffer(dvpp.encode_jpeg(encodable, quality=90), np.uint8), cv2.IMREAD_COLOR
            )
            told["encoded"] = [*again.shape, int(again[50, 20, 0])]
    told["progressive"] = refusal(lambda: dvpp.decode_jpeg(jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)))
    told["damaged"] = refusal(lambda: dvpp.decode_jpeg(np.ascontiguousarray(jpeg()[:-20])))
    with dvpp.decode_jpeg(jpeg()) as after:
        told["after"] = int(luma(after)[50, 20])
    return told


def main() -> None:
    """Use the units on a stream of their own and on the session's."""
    told: list[dict[str, Any]] = []
    with Session(0, timeout_s=30) as session:
        with Dvpp(session.run_mode, timeout_s=30) as dvpp:
            told.append(use(session, dvpp))
        with Dvpp(session.run_mode, stream=session.stream) as dvpp:
            told.append(use(session, dvpp))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
