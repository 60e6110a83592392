"""Picture buffers: formats, strides and sizes, and the pixels in them.

Inside, a picture is (height, width, 3) bytes of luma and two chroma, full range, chroma repeated to
full size; packing averages it again, so that what is only moved comes out unchanged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

YUV_400 = 0
NV12 = 1
NV21 = 2
_422 = {3: False, 4: True}
_444 = {5: False, 6: True}
_420 = {NV12: False, NV21: True}
RGB_888 = 12
BGR_888 = 13

SUPPORTED = frozenset({YUV_400, RGB_888, BGR_888, *_420, *_422, *_444})
#: Formats whose width and height must be even.
EVEN = frozenset(_420)

# Full-range BT.601, the colours of a JPEG.
_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def row_bytes(form: int, width_px: int) -> int:
    """Give the bytes of one row: the least width stride."""
    return width_px * 3 if form in {RGB_888, BGR_888} else width_px


def buffer_bytes(form: int, width_stride: int, height_stride: int) -> int:
    """Give the bytes that a buffer needs."""
    plane = width_stride * height_stride
    if form in _420:
        return plane * 3 // 2
    if form in _422:
        return plane * 2
    return plane * 3 if form in _444 else plane


def unpack(raw: Pixels, form: int, size: tuple[int, int], strides: tuple[int, int]) -> Pixels:
    """Read the pixels of a buffer; *size* is (width, height), *strides* likewise."""
    (width, height), (across, down) = size, strides
    rows = raw[: across * down].reshape(down, across)[:height]
    if form in {RGB_888, BGR_888}:
        colours = rows[:, : width * 3].reshape(height, width, 3)
        return rgb_to_yuv(colours if form == RGB_888 else colours[..., ::-1])
    luma = rows[:, :width, None]
    if form == YUV_400:
        return np.concatenate([luma, np.full((height, width, 2), 128, np.uint8)], axis=2)
    rest, swapped = raw[across * down :], (_420 | _422 | _444)[form]
    if form in _420:
        pairs = rest[: across * down // 2].reshape(down // 2, across)[: height // 2, :width]
        chroma = pairs.reshape(height // 2, width // 2, 2).repeat(2, 0).repeat(2, 1)
    elif form in _422:
        pairs = rest[: across * down].reshape(down, across)[:height, :width]
        chroma = pairs.reshape(height, width // 2, 2).repeat(2, 1)
    else:
        pairs = rest[: across * down * 2].reshape(down, across * 2)[:height, : width * 2]
        chroma = pairs.reshape(height, width, 2)
    return np.concatenate([luma, chroma[..., ::-1] if swapped else chroma], axis=2)


def pack(pixels: Pixels, raw: Pixels, form: int, strides: tuple[int, int]) -> None:
    """Write *pixels* into a buffer; what lies outside of them stays as it is."""
    height, width = pixels.shape[:2]
    across, down = strides
    rows = raw[: across * down].reshape(down, across)
    if form in {RGB_888, BGR_888}:
        colours = yuv_to_rgb(pixels)
        ordered = colours if form == RGB_888 else colours[..., ::-1]
        rows[:height, : width * 3] = ordered.reshape(height, width * 3)
        return
    rows[:height, :width] = pixels[..., 0]
    if form == YUV_400:
        return
    rest, swapped = raw[across * down :], (_420 | _422 | _444)[form]
    chroma: npt.NDArray[Any] = pixels[..., 1:].astype(np.uint16)
    chroma = chroma[..., ::-1] if swapped else chroma
    if form in _420:
        mean = (chroma.reshape(height // 2, 2, width // 2, 2, 2).sum((1, 3)) + 2) // 4
        into = rest[: across * down // 2].reshape(down // 2, across)
        into[: height // 2, :width] = mean.reshape(height // 2, width)
    elif form in _422:
        mean = (chroma.reshape(height, width // 2, 2, 2).sum(2) + 1) // 2
        rest[: across * down].reshape(down, across)[:height, :width] = mean.reshape(height, width)
    else:
        into = rest[: across * down * 2].reshape(down, across * 2)
        into[:height, : width * 2] = chroma.reshape(height, width * 2)


def rgb_to_yuv(colours: Pixels) -> Pixels:
    """Convert (H, W, 3) red, green, blue to luma and chroma."""
    turned = colours.astype(np.float32) @ _TO_YUV.T + np.array([0, 128, 128], np.float32)
    rounded: Pixels = np.clip(np.rint(turned), 0, 255).astype(np.uint8)
    return rounded


def yuv_to_rgb(pixels: Pixels) -> Pixels:
    """Convert (H, W, 3) luma and chroma to red, green, blue."""
    turned = (pixels.astype(np.float32) - np.array([0, 128, 128], np.float32)) @ _TO_RGB.T
    rounded: Pixels = np.clip(np.rint(turned), 0, 255).astype(np.uint8)
    return rounded
