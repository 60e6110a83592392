"""What a picture says about itself, checked against what is taken. Nothing is decoded."""

from __future__ import annotations

from pipeline.errors import InvalidPicture
from pipeline.jobs.job import PictureFacts
from pipeline.pictures.header import check_complete, read_picture_header


def picture_facts(data: bytes, *, max_pixels: int) -> PictureFacts:
    """Read the header of a picture; raises InvalidPicture.

    Any size from 1 x 1 up to *max_pixels* is a picture.
    """
    header = read_picture_header(data)
    if header.width_px * header.height_px > max_pixels:
        raise InvalidPicture(
            f"The picture has {header.width_px} x {header.height_px} pixels; at most {max_pixels}"
            " are taken."
        )
    check_complete(data, header)
    return PictureFacts(
        format=header.format,
        width_px=header.width_px,
        height_px=header.height_px,
        size_bytes=len(data),
    )
