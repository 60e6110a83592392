"""Pixel formats, strides and sizes, as the picture units of a 310B ask for them. Pure.

Source: CANN's pages on the restrictions of VPC, JPEGD and JPEGE, column Atlas 200I/500 A2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

# What the decoder writes its rows and planes to, and what the encoder reads them from.
_DECODED_ALIGN = (64, 16)
_ENCODED_ALIGN = 16


class PixelFormat(IntEnum):
    """How pixels lie in memory, by ``acl.media``'s numbers. "SP": luma, then U and V in turns."""

    YUV_400 = 0
    #: 4:2:0, U first.
    NV12 = 1
    #: 4:2:0, V first.
    NV21 = 2
    YUV_422SP = 3
    YVU_422SP = 4
    YUV_444SP = 5
    YVU_444SP = 6
    RGB_888 = 12
    BGR_888 = 13


#: Bytes of a buffer for each byte of its first plane, in halves.
_HALF_PLANES = {
    PixelFormat.NV12: 3,
    PixelFormat.NV21: 3,
    PixelFormat.YUV_422SP: 4,
    PixelFormat.YVU_422SP: 4,
    PixelFormat.YUV_444SP: 6,
    PixelFormat.YVU_444SP: 6,
}
_INTERLEAVED = frozenset({PixelFormat.RGB_888, PixelFormat.BGR_888})


def align_up(value: int, to: int) -> int:
    """Round *value* up to a multiple of *to*."""
    return -(-value // to) * to


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle of whole pixels. The units want even numbers of NV12 and NV21."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureShape:
    """How a picture lies in memory.

    *width_stride* is the bytes from one row to the next, *height_stride* the rows of a plane: the
    "aligned" width and height, the former in pixels where a pixel's first plane has one byte.
    """

    format: PixelFormat
    width_px: int
    height_px: int
    width_stride: int
    height_stride: int

    @classmethod
    def packed(
        cls, form: PixelFormat, width_px: int, height_px: int, *, align: tuple[int, int] = (1, 1)
    ) -> Self:
        """Give the smallest shape of a size, strides rounded up to *align* (width, height)."""
        row_bytes = width_px * (3 if form in _INTERLEAVED else 1)
        return cls(
            format=form,
            width_px=width_px,
            height_px=height_px,
            width_stride=align_up(row_bytes, align[0]),
            height_stride=align_up(height_px, align[1]),
        )

    @classmethod
    def decoded(cls, form: PixelFormat, width_px: int, height_px: int) -> Self:
        """Give what the JPEG decoder makes of a picture: odd sides lose their last pixel."""
        width_px, height_px = width_px - width_px % 2, height_px - height_px % 2
        return cls.packed(form, width_px, height_px, align=_DECODED_ALIGN)

    @classmethod
    def encodable(cls, form: PixelFormat, width_px: int, height_px: int) -> Self:
        """Give the smallest shape that the JPEG encoder takes."""
        return cls.packed(form, width_px, height_px, align=(_ENCODED_ALIGN, 1))

    @property
    def size_bytes(self) -> int:
        """The bytes that a buffer of this shape needs."""
        plane_bytes = self.width_stride * self.height_stride
        return plane_bytes * _HALF_PLANES.get(self.format, 2) // 2

    @property
    def whole(self) -> Region:
        """The rectangle of all pixels."""
        return Region(x_px=0, y_px=0, width_px=self.width_px, height_px=self.height_px)
