"""Text regions from a probability map, as PP-OCR reads it.

Source: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (2020),
section 3.5, and the order of roundings and filters of PP-OCR's published detector.

Growing a region back (*unclipping*) needs no polygon library. A region is the smallest rectangle,
w by h, around its contour; it is grown by d = area x ratio / perimeter with round joins, and the
smallest rectangle around the result is taken again. A rectangle around the grown shape, turned by
an angle t, with c = abs(cos t) and s = abs(sin t), measures (w c + h s + 2 d) by
(w s + h c + 2 d). Multiplied out, its area is
w h + (w w + h h) c s + 2 d (w + h)(c + s) + 4 d d, and since c + s >= 1 that is least at t = 0:
the same middle and angle, with w + 2 d and h + 2 d for sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import DbnetDecoder
from dispatcher.decoders.outputs import NamedOutput, as_float32, first_output
from dispatcher.pictures.geometry import Placement, points_to_picture
from pipeline.models.findings import Findings, TextRegion

#: OpenCV's rotated rectangle: its middle, its two sides, its angle in degrees.
RotatedRect = tuple[tuple[float, float], tuple[float, float], float]

#: A grown region must be this much wider than a bare one (PP-OCR).
_GROWN_MARGIN_PX = 2
#: In the picture, regions with a side of at most this are noise (PP-OCR).
_NOISE_SIDE_PX = 3


def reduce_dbnet(
    spec: DbnetDecoder, outputs: Sequence[NamedOutput], placement: Placement, *, item: int
) -> Findings:
    """Give the text regions in picture pixels, from top to bottom, then from left to right.

    Reads shape (batch, 1, height, width) or (batch, height, width), probabilities at the input's
    size. Corners are whole pixels inside the picture. Values that are NaN count as no text.
    """
    output = first_output(outputs)
    shape = (placement.input_height_px, placement.input_width_px)
    row = output.item(item)
    if row.shape not in {shape, (1, *shape)}:
        raise output.wrong_shape(f"(batch, 1, {shape[0]}, {shape[1]})")
    probabilities = np.ascontiguousarray(as_float32(row.reshape(shape)))
    regions = []
    for contour in _contours(probabilities, spec):
        found = _region(contour, probabilities, spec)
        if found is None:
            continue
        score, rect = found
        quad = _quad_in_picture(rect, placement)
        if quad is not None:
            regions.append(TextRegion(score=score, quad=quad))
    regions.sort(key=lambda region: (region.quad[0][1], region.quad[0][0], region.quad[2]))
    return Findings(kind="text_regions", text_regions=tuple(regions))


def unclipped(rect: RotatedRect, ratio: float) -> RotatedRect:
    """Grow *rect* on all sides by area x *ratio* / perimeter; a rectangle without extent stays."""
    middle, (width_px, height_px), angle = rect
    perimeter_px = 2 * (width_px + height_px)
    if perimeter_px <= 0:
        return rect
    grown_px = 2 * (width_px * height_px * ratio / perimeter_px)
    return middle, (width_px + grown_px, height_px + grown_px), angle


def clockwise(corners: NDArray[Any]) -> NDArray[Any]:
    """Order four corners, shape (4, 2): top left, top right, bottom right, bottom left.

    The two leftmost are the left side, as in PP-OCR.
    """
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.stack((left[0], right[0], right[1], left[1]))


def _contours(probabilities: NDArray[np.float32], spec: DbnetDecoder) -> Sequence[NDArray[Any]]:
    """Outline what lies above the bitmap threshold; at most ``max_regions`` outlines."""
    bitmap: Any = (probabilities > spec.bitmap_threshold).astype(np.uint8)
    if spec.dilate:
        bitmap = cv2.dilate(bitmap, np.ones((2, 2), np.uint8))
    contours: Any
    contours, _ = cv2.findContours(bitmap, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return tuple(contours[: spec.max_regions])


def _region(
    contour: NDArray[Any], probabilities: NDArray[np.float32], spec: DbnetDecoder
) -> tuple[float, RotatedRect] | None:
    """Give the score and the grown rectangle of one outline, or None where it is no text."""
    rect: Any = cv2.minAreaRect(contour)
    if min(rect[1]) < spec.min_side_px:
        return None
    score = _mean_inside(probabilities, clockwise(cv2.boxPoints(rect)))
    if not math.isfinite(score) or score < spec.box_threshold:
        return None
    grown = unclipped(rect, spec.unclip_ratio)
    if min(grown[1]) < spec.min_side_px + _GROWN_MARGIN_PX:
        return None
    return score, grown


def _mean_inside(probabilities: NDArray[np.float32], corners: NDArray[Any]) -> float:
    """Average the map over a quadrilateral, looking only at its bounding box."""
    height_px, width_px = probabilities.shape
    limits = (width_px - 1, height_px - 1)
    low = np.clip(np.floor(corners.min(axis=0)).astype(np.int32), 0, limits)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(np.int32), 0, limits)
    mask = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - low).astype(np.int32)], (1,))
    part = probabilities[low[1] : high[1] + 1, low[0] : high[0] + 1]
    return float(cv2.mean(part, mask)[0])


def _quad_in_picture(
    rect: RotatedRect, placement: Placement
) -> tuple[tuple[float, float], ...] | None:
    """Move a rectangle to whole picture pixels, or give None where too little is left of it."""
    corners = np.round(points_to_picture(placement, cv2.boxPoints(rect)))
    last = (placement.picture_width_px - 1, placement.picture_height_px - 1)
    quad = np.clip(clockwise(corners), 0, last)
    width_px = int(np.linalg.norm(quad[0] - quad[1]))
    height_px = int(np.linalg.norm(quad[0] - quad[3]))
    if width_px <= _NOISE_SIDE_PX or height_px <= _NOISE_SIDE_PX:
        return None
    return tuple((float(x), float(y)) for x, y in quad)
