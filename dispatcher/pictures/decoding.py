"""Bytes to pixels: JPEG, PNG, BMP and WebP by OpenCV, upright, no larger than the model needs.

What comes out is always 8-bit BGR. Grey is repeated in the three channels, palettes are looked up,
16-bit samples keep their upper byte, CMYK is converted as OpenCV does, and alpha is dropped: a
transparent pixel shows the colour stored in it.

OpenCV itself is asked neither for the size nor for the orientation, so that one reader
(``pipeline.pictures.header``) speaks for the webapp and the dispatcher alike. Observed of OpenCV
5.0: a JPEG, PNG, BMP or WebP that is cut short gives no picture, but a JPEG cut short and closed
with an end marker gives one with a grey rest, which is looked for below. The reduced flags work
inside the JPEG decoder (sides round up); for other formats they only shrink what was decoded, and
are not used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from cv2.utils import logging as cv2_logging
from numpy.typing import NDArray

from dispatcher.cards.card import InputSpec
from dispatcher.pictures.geometry import plan
from pipeline.errors import InvalidPicture, UndecodablePicture
from pipeline.pictures.header import (
    PictureFormat,
    PictureHeader,
    check_complete,
    jpeg_end_offset,
    read_picture_header,
)

# Bad data is the caller's: it becomes that job's reason, not lines of OpenCV's own log.
cv2_logging.setLogLevel(cv2_logging.LOG_LEVEL_SILENT)

_REDUCED_FLAGS: dict[int, int] = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

#: What libjpeg leaves where it has no data, all coefficients 0: as BGR, and as CMYK made BGR.
_JPEG_FILLS = frozenset({(128, 128, 128), (65, 65, 65)})
#: Bytes that code something under any Huffman table; none is 0xFF, which would begin a marker.
_JPEG_NOISE = bytes(range(1, 255)) * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """A decoded picture: *bgr* is uint8, shape (height, width, 3), upright.

    *width_px* and *height_px* are those of the whole picture, in which findings count. *reduction*
    (1, 2, 4 or 8) is how many of its pixels one pixel of *bgr* stands for, along each side.
    """

    bgr: NDArray[np.uint8]
    width_px: int
    height_px: int
    format: PictureFormat
    reduction: int


def decode_picture(data: bytes, *, target: InputSpec | None, max_pixels: int) -> Pixels:
    """Decode *data* upright, at a reduced scale where the input *target* needs no more.

    Raises UndecodablePicture for bytes that are no picture of ours, that are cut off or damaged, or
    whose header declares more than *max_pixels*; that is known before a pixel is allocated.
    """
    header = check_decodable(data, max_pixels=max_pixels)
    reduction = choose_reduction(header, target)
    return Pixels(
        bgr=_upright(_decode(data, header, reduction), header.orientation),
        width_px=header.width_px,
        height_px=header.height_px,
        format=header.format,
        reduction=reduction,
    )


def check_decodable(data: bytes, *, max_pixels: int) -> PictureHeader:
    """Read the header of what may be decoded; raises UndecodablePicture as decode_picture does."""
    try:
        header = read_picture_header(data)
        check_complete(data, header)
    except InvalidPicture as exc:
        raise UndecodablePicture(str(exc)) from exc
    if header.width_px * header.height_px > max_pixels:
        raise UndecodablePicture(
            f"The picture has {header.width_px} x {header.height_px} pixels; "
            f"at most {max_pixels} are decoded."
        )
    return header


def choose_reduction(header: PictureHeader, target: InputSpec | None) -> int:
    """Choose the largest of 8, 4, 2 and 1 that leaves at least the pixels that *target* shows."""
    if target is None or header.format is not PictureFormat.JPEG:
        return 1
    placement = plan((header.width_px, header.height_px), target)
    source, shown = placement.source, placement.target
    for reduction in (8, 4, 2):
        width_px, height_px = -(-source.width_px // reduction), -(-source.height_px // reduction)
        if width_px >= shown.width_px and height_px >= shown.height_px:
            return reduction
    return 1


def _decode(data: bytes, header: PictureHeader, reduction: int) -> NDArray[np.uint8]:
    """Decode as stored. The size that came out is compared with the size that was announced."""
    flags = _REDUCED_FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    name = header.format.upper()
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as exc:
        raise UndecodablePicture(f"The {name} is damaged: its pixels cannot be read.") from exc
    if pixels is None:
        raise UndecodablePicture(f"The {name} is damaged: its pixels cannot be read.")
    width_px, height_px = header.stored_size_px
    # Upwards, as the JPEG decoder rounds.
    announced = (-(-height_px // reduction), -(-width_px // reduction), 3)
    if pixels.shape != announced or pixels.dtype != np.uint8:
        raise UndecodablePicture(f"The {name} does not have the size that its header declares.")
    if header.format is PictureFormat.JPEG and _lacks_pixels(data, pixels, flags):
        raise UndecodablePicture("The JPEG is cut off: its pixels end before the picture does.")
    return pixels  # type: ignore[no-any-return]  # OpenCV's stubs know no dtype


def _lacks_pixels(data: bytes, pixels: Any, flags: int) -> bool:
    """Whether a JPEG's coded pixels ended early, and the decoder filled the rest with grey.

    Where the last pixel is the grey of the fill, the picture is decoded once more, with noise put
    before the end marker: a decoder that still waits for pixels reads it, one that has all of them
    does not.
    Not seen: a progressive picture that has a first, coarse scan and lacks finer ones.
    """
    if tuple(pixels[-1, -1].tolist()) not in _JPEG_FILLS:
        return False
    end = jpeg_end_offset(data)
    noisy = np.frombuffer(data[:end] + _JPEG_NOISE + data[end:], np.uint8)
    try:
        again: Any = cv2.imdecode(noisy, flags)
    except cv2.error:
        return True
    return again is None or not np.array_equal(pixels, again)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo the Exif orientation 1..8 (Exif 2.32, 4.6.4 A, tag 274)."""
    upright: Any
    match orientation:
        case 2:
            upright = cv2.flip(pixels, 1)
        case 3:
            upright = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            upright = cv2.flip(pixels, 0)
        case 5:
            upright = cv2.transpose(pixels)
        case 6:
            upright = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            upright = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            upright = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            upright = pixels
    return upright  # type: ignore[no-any-return]  # OpenCV's stubs know no dtype
