"""Pixels to the input tensor: resized, padded, coloured, normalised, in the caller's memory.

The hot path of the supervisor: it runs in a thread pool, one picture per thread, and spends its
time in OpenCV calls that release the interpreter lock. A pixel has 256 values, so the arithmetic of
``InputSpec`` is done once, in double precision, as a table per channel; pixels are looked up in it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import ColourOrder, InputSpec, Interpolation, Layout
from dispatcher.pictures.decoding import Pixels
from dispatcher.pictures.geometry import Placement, Rect

_INTERPOLATIONS: dict[Interpolation, int] = {
    Interpolation.LINEAR: cv2.INTER_LINEAR,
    Interpolation.AREA: cv2.INTER_AREA,
    Interpolation.CUBIC: cv2.INTER_CUBIC,
}


def item_shape(placement: Placement, spec: InputSpec) -> tuple[int, int, int]:
    """Give the shape of one picture's input, without the batch axis."""
    if spec.layout is Layout.NV12:
        return placement.input_height_px * 3 // 2, placement.input_width_px, 1
    if spec.layout is Layout.NCHW:
        return 3, placement.input_height_px, placement.input_width_px
    return placement.input_height_px, placement.input_width_px, 3


def write_tensor(pixels: Pixels, placement: Placement, spec: InputSpec, out: NDArray[Any]) -> None:
    """Write one picture's input into *out*, all of it, padding included.

    *out* has the shape of item_shape and the dtype of *spec*, and is C-contiguous: a view on shared
    memory, say. With dtype ``uint8`` values are written as they are, since AIPP normalises on the
    device. Raises ValueError for an *out* of another shape, dtype or layout.
    """
    shape = item_shape(placement, spec)
    if out.shape != shape or out.dtype != np.dtype(spec.dtype) or not out.flags.c_contiguous:
        raise ValueError(
            f"the input needs {shape} {spec.dtype} in one piece, not {out.shape} {out.dtype}"
        )
    scaled = _scaled(pixels, placement, spec)
    table = value_table(spec)
    if spec.layout is Layout.NV12:
        _write_nv12(scaled, placement, spec, out)
    elif spec.layout is Layout.NCHW:
        _write_planes(scaled, placement.target, spec, table, out)
    else:
        _write_interleaved(scaled, placement.target, spec, table, out)


@lru_cache(maxsize=64)
def value_table(spec: InputSpec) -> NDArray[Any]:
    """Give what each pixel value becomes: shape (256, 3), channels in the model's colour order."""
    values = np.arange(256, dtype=np.float64)[:, np.newaxis]
    if spec.dtype != "uint8":
        values = (values * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    table = np.ascontiguousarray(np.broadcast_to(values, (256, 3)), dtype=spec.dtype)
    table.flags.writeable = False
    return table


def _scaled(pixels: Pixels, placement: Placement, spec: InputSpec) -> NDArray[np.uint8]:
    """Cut out the placement's source and scale it to its target's size. May be a view."""
    source = pixels.bgr
    if (placement.source.width_px, placement.source.height_px) != (
        pixels.width_px,
        pixels.height_px,
    ):
        source = _cut(pixels, placement.source)
    size = (placement.target.width_px, placement.target.height_px)
    if (source.shape[1], source.shape[0]) == size:
        return source
    scaled: Any = cv2.resize(source, size, interpolation=_INTERPOLATIONS[spec.interpolation])
    return scaled  # type: ignore[no-any-return]  # OpenCV's stubs know no dtype


def _cut(pixels: Pixels, rect: Rect) -> NDArray[np.uint8]:
    """View the decoded pixels that stand for any of *rect* of the whole picture."""
    x0, y0 = rect.x_px // pixels.reduction, rect.y_px // pixels.reduction
    x1 = -(-(rect.x_px + rect.width_px) // pixels.reduction)
    y1 = -(-(rect.y_px + rect.height_px) // pixels.reduction)
    return pixels.bgr[y0:y1, x0:x1]


def _write_planes(
    scaled: NDArray[np.uint8],
    target: Rect,
    spec: InputSpec,
    table: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write (3, height, width)."""
    for channel in range(3):
        stored = channel if spec.colour is ColourOrder.BGR else 2 - channel
        plane = _pad_around(out[channel], target, table[spec.pad_value, channel])
        if spec.dtype == "uint8":
            cv2.extractChannel(scaled, stored, plane)
        else:
            column = np.ascontiguousarray(table[:, channel])
            cv2.LUT(cv2.extractChannel(scaled, stored), column, plane)


def _write_interleaved(
    scaled: NDArray[np.uint8],
    target: Rect,
    spec: InputSpec,
    table: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write (height, width, 3)."""
    inner = _pad_around(out, target, table[spec.pad_value])
    coloured: Any = scaled
    if spec.colour is ColourOrder.RGB:
        coloured = cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB)
    if spec.dtype == "uint8":
        inner[...] = coloured
    else:
        cv2.LUT(coloured, table[np.newaxis], inner)


def _write_nv12(
    scaled: NDArray[np.uint8], placement: Placement, spec: InputSpec, out: NDArray[Any]
) -> None:
    """Write (height * 3 / 2, width, 1): luma, then U and V in turns for each square of four."""
    height_px, width_px = placement.input_height_px, placement.input_width_px
    canvas = np.empty((height_px, width_px, 3), np.uint8)
    _pad_around(canvas, placement.target, spec.pad_value)[...] = scaled
    # Full range, as JPEG has it; OpenCV's own 4:2:0 conversions are for video.
    converted: Any = cv2.cvtColor(canvas, cv2.COLOR_BGR2YCrCb)
    cv2.extractChannel(converted, 0, out[:height_px, :, 0])
    half_px = (width_px // 2, height_px // 2)
    chroma = out[height_px:].reshape(half_px[1], half_px[0], 2)
    # The stored order is Y, V, U.
    for channel, place in ((2, 0), (1, 1)):
        plane: Any = cv2.extractChannel(converted, channel)
        chroma[..., place] = cv2.resize(plane, half_px, interpolation=cv2.INTER_AREA)


def _pad_around(area: NDArray[Any], target: Rect, value: Any) -> NDArray[Any]:
    """Fill *area* outside *target* with *value*; give the view inside, which is left as it is."""
    right_px, bottom_px = target.x_px + target.width_px, target.y_px + target.height_px
    area[: target.y_px] = value
    area[bottom_px:] = value
    area[target.y_px : bottom_px, : target.x_px] = value
    area[target.y_px : bottom_px, right_px:] = value
    return area[target.y_px : bottom_px, target.x_px : right_px]
