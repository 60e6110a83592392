"""The picture units' limits, one row each, on real files where there are such."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dispatcher.cards.card import InputSpec, ResizeMode
from dispatcher.pictures.dvpp_limits import why_not
from dispatcher.pictures.geometry import evened, plan
from pipeline.pictures.header import PictureFormat, read_picture_header
from pipeline.pictures.jpeg_segments import JpegFrame, read_frame

SPEC = InputSpec(width_px=64, height_px=48, resize=ResizeMode.LETTERBOX)


def encoded(
    width_px: int = 80,
    height_px: int = 60,
    *,
    mode: str = "RGB",
    form: str = "JPEG",
    **options: Any,
) -> bytes:
    """Encode a picture."""
    out = io.BytesIO()
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(out, form, **options)
    return out.getvalue()


def verdict(data: bytes, spec: InputSpec = SPEC) -> str:
    """Say what is held against a file."""
    header = read_picture_header(data)
    frame = read_frame(data) if header.format is PictureFormat.JPEG else None
    return why_not(header, frame, evened(plan((header.width_px, header.height_px), spec)))


def turned(orientation: int) -> bytes:
    """Encode a picture with an Exif orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(exif=exif)


def as_rgb(data: bytes) -> bytes:
    """Add an Adobe segment that says that the colours are red, green and blue."""
    segment = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    return data[:2] + segment + data[2:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(), ""),
        (encoded(mode="L"), ""),
        (encoded(subsampling="4:4:4"), ""),
        (encoded(subsampling="4:2:2"), ""),
        (encoded(subsampling="4:2:0"), ""),
        (encoded(32, 32), ""),
        (turned(1), ""),
        (encoded(form="PNG"), "it is a PNG"),
        (encoded(form="WEBP"), "it is a WEBP"),
        (encoded(progressive=True), "it is progressive"),
        (encoded(mode="CMYK"), "it is CMYK"),
        (as_rgb(encoded()), "its colours are RGB"),
        (turned(6), "it has to be turned"),
        (turned(3), "it has to be turned"),
        (encoded(30, 60), "its sides are not within 32 to 8192"),
        (encoded(8194, 60), "its sides are not within 32 to 8192"),
        (encoded(81, 60), "a side is odd"),
        (encoded(80, 61), "a side is odd"),
        (encoded(800, 50), "it is too narrow to be scaled"),
    ],
)
def test_the_header_decides(data: bytes, reason: str) -> None:
    """What the units do not take is told in a clause; everything else has none."""
    assert verdict(data) == reason


@pytest.mark.parametrize(
    ("sampling", "is_taken"),
    [
        (((1, 1), (1, 1), (1, 1)), True),
        (((2, 1), (1, 1), (1, 1)), True),
        (((2, 2), (1, 1), (1, 1)), True),
        (((1, 2), (1, 1), (1, 1)), True),
        (((2, 2), (2, 2), (2, 2)), True),
        (((4, 1), (1, 1), (1, 1)), False),
        (((2, 2), (2, 1), (1, 1)), False),
        (((3, 1), (2, 1), (2, 1)), False),
        (((1, 1), (0, 1), (0, 1)), False),
    ],
)
def test_samplings(sampling: tuple[tuple[int, int], ...], is_taken: bool) -> None:
    """4:4:4, 4:2:2, 4:2:0 and 4:4:0 in any factors, and no other."""
    data = encoded()
    frame = replace(read_frame(data), sampling=sampling)
    reason = why_not(read_picture_header(data), frame, evened(plan((80, 60), SPEC)))

    assert reason == ("" if is_taken else "its chroma is sampled in an uncommon way")


def test_it_is_not_scaled_by_too_much() -> None:
    """From a 32nd of the size to sixteen times it."""
    small, large = replace(SPEC, width_px=1024, height_px=1024), replace(SPEC, width_px=10)
    assert verdict(encoded(64, 64), small) == ""
    assert verdict(encoded(60, 60), small) == "it is scaled by too much"
    stretched = replace(large, resize=ResizeMode.STRETCH)
    assert verdict(encoded(320, 320), stretched) == ""
    assert verdict(encoded(322, 320), stretched) == "it is scaled by too much"


def test_a_frame_is_read_past_thumbnails() -> None:
    """Marker, size, components and their sampling are those of the picture itself."""
    frame = read_frame(encoded(80, 60, subsampling="4:2:2"))

    assert frame == JpegFrame(
        marker=0xC0,
        width_px=80,
        height_px=60,
        component_ids=(1, 2, 3),
        sampling=((2, 1), (1, 1), (1, 1)),
    )
