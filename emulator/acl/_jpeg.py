"""JPEG files: what the header says, and decoding and encoding them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from acl._pixels import Pixels, rgb_to_yuv, yuv_to_rgb

_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BASELINE = frozenset({0xC0, 0xC1})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_APP1 = 0xE1
_SCAN = 0xDA
_ORIENTATION = 0x0112
_TURNED = range(5, 9)
_SAMPLINGS = {(2, 2): "420", (2, 1): "422", (1, 1): "444", (1, 2): "440"}


class BrokenJpeg(Exception):
    """The bytes are no JPEG, or end too early."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG says before its first scan. *sampling* is empty for one the decoder lacks."""

    width_px: int
    height_px: int
    components: int
    is_baseline: bool
    sampling: str
    orientation: int

    @property
    def turned(self) -> tuple[int, int]:
        """Width and height after the turn that the orientation asks for."""
        if self.orientation in _TURNED:
            return self.height_px, self.width_px
        return self.width_px, self.height_px


def read_header(data: bytes) -> JpegHeader:
    """Read the markers up to the first scan. Raises BrokenJpeg."""
    if data[:2] != b"\xff\xd8":
        raise BrokenJpeg("this is no JPEG")
    at, orientation = 2, 1
    found: tuple[int, bytes] | None = None
    try:
        while found is None or data[at + 1] != _SCAN:
            if data[at] != 0xFF:
                raise BrokenJpeg(f"no marker at byte {at}")
            marker = data[at + 1]
            if marker == 0xFF:
                at += 1
                continue
            if marker in _ALONE:
                at += 2
                continue
            (length,) = struct.unpack_from(">H", data, at + 2)
            body = data[at + 4 : at + 2 + length]
            if marker == _APP1 and body.startswith(b"Exif\0\0"):
                orientation = _orientation(body[6:])
            if marker in _SIZES:
                found = (marker, body)
            at += 2 + length
    except (IndexError, struct.error):
        if found is None:
            raise BrokenJpeg("the file ends in its header") from None
    marker, body = found
    _, height, width, components = struct.unpack_from(">BHHB", body)
    factors = [divmod(body[7 + 3 * index], 16) for index in range(components)]
    return JpegHeader(
        width, height, components, marker in _BASELINE, _sampling(factors), orientation
    )


def decode(data: bytes) -> Pixels:
    """Decode to luma and chroma, turned as EXIF says. Raises BrokenJpeg."""
    import cv2  # noqa: PLC0415 - only programs that use the picture units need OpenCV

    blue_green_red = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if blue_green_red is None or not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise BrokenJpeg("the file is damaged or cut off")
    return rgb_to_yuv(np.asarray(blue_green_red, np.uint8)[..., ::-1])


def encode(pixels: Pixels, quality: int) -> bytes:
    """Encode luma and chroma."""
    import cv2  # noqa: PLC0415 - as above

    blue_green_red = np.ascontiguousarray(yuv_to_rgb(pixels)[..., ::-1])
    done, data = cv2.imencode(".jpg", blue_green_red, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BrokenJpeg("OpenCV cannot encode the picture")
    return bytes(data.tobytes())


def _sampling(factors: list[tuple[int, int]]) -> str:
    if len(factors) == 1:
        return "400"
    if len(factors) != 3 or factors[1] != factors[2] or not all(factors[1]):
        return ""
    (across, down), (chroma_across, chroma_down) = factors[0], factors[1]
    if across % chroma_across or down % chroma_down:
        return ""
    return _SAMPLINGS.get((across // chroma_across, down // chroma_down), "")


def _orientation(tiff: bytes) -> int:
    """Find the orientation in the first directory of EXIF's TIFF structure; 1 if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for index in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, first + 2 + 12 * index)
            if tag == _ORIENTATION:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
