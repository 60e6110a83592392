"""Where a picture's pixels go in a model's input, and how to come back. Pure arithmetic.

Every resize mode is one move: a rectangle of the picture (*source*) is scaled onto a rectangle of
the input (*target*); input pixels outside the target are padding. Coordinates are continuous:
pixel k covers k to k + 1, so a picture's right edge is its width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import InputSpec, ResizeMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """A rectangle of whole pixels; *x_px* and *y_px* are its top left corner."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a picture lies in an input: its *source* is scaled onto the input's *target*."""

    picture_width_px: int
    picture_height_px: int
    input_width_px: int
    input_height_px: int
    source: Rect
    target: Rect

    @property
    def scale_x(self) -> float:
        """Give input pixels per picture pixel, horizontally."""
        return self.target.width_px / self.source.width_px

    @property
    def scale_y(self) -> float:
        """Give input pixels per picture pixel, vertically."""
        return self.target.height_px / self.source.height_px


def plan(picture_size_px: tuple[int, int], spec: InputSpec) -> Placement:
    """Place a picture of *picture_size_px* (upright width and height, both positive)."""
    width_px, height_px = picture_size_px
    if width_px <= 0 or height_px <= 0:
        raise ValueError(f"a picture needs pixels, not {width_px} x {height_px}")
    source = Rect(x_px=0, y_px=0, width_px=width_px, height_px=height_px)
    input_width_px, input_height_px = spec.width_px, spec.height_px
    if spec.resize is ResizeMode.FREE:
        input_width_px, input_height_px = _free_size_px(width_px, height_px, spec)
    target = Rect(x_px=0, y_px=0, width_px=input_width_px, height_px=input_height_px)
    match spec.resize:
        case ResizeMode.LETTERBOX:
            target = _fitted(source, target, centred=True)
        case ResizeMode.LETTERBOX_TOP_LEFT:
            target = _fitted(source, target, centred=False)
        case ResizeMode.CENTER_CROP:
            source = _cropped(source, target)
    return Placement(
        picture_width_px=width_px,
        picture_height_px=height_px,
        input_width_px=input_width_px,
        input_height_px=input_height_px,
        source=source,
        target=target,
    )


def evened(placement: Placement) -> Placement:
    """Move the edges of both rectangles to even pixels, by one at most.

    That is what 4:2:0 pictures are cut and pasted by. Picture and input have even sides.
    """
    return replace(
        placement,
        source=_evened(placement.source, placement.picture_width_px, placement.picture_height_px),
        target=_evened(placement.target, placement.input_width_px, placement.input_height_px),
    )


def _evened(rect: Rect, width_px: int, height_px: int) -> Rect:
    x_px, across_px = _even_span(rect.x_px, rect.width_px, width_px)
    y_px, down_px = _even_span(rect.y_px, rect.height_px, height_px)
    return Rect(x_px=x_px, y_px=y_px, width_px=across_px, height_px=down_px)


def _even_span(start_px: int, length_px: int, limit_px: int) -> tuple[int, int]:
    length_px = min(limit_px, length_px + length_px % 2)
    return min(start_px - start_px % 2, limit_px - length_px), length_px


def points_to_picture(placement: Placement, points: NDArray[Any]) -> NDArray[np.float64]:
    """Move points, shape (..., 2) as x y, from input to picture pixels, clipped to the picture."""
    source, target = placement.source, placement.target
    moved = np.empty(points.shape, np.float64)
    moved[..., 0] = (points[..., 0] - target.x_px) / placement.scale_x + source.x_px
    moved[..., 1] = (points[..., 1] - target.y_px) / placement.scale_y + source.y_px
    np.clip(moved[..., 0], 0, placement.picture_width_px, out=moved[..., 0])
    np.clip(moved[..., 1], 0, placement.picture_height_px, out=moved[..., 1])
    return moved


def boxes_to_picture(placement: Placement, boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Move boxes, shape (n, 4) as x0 y0 x1 y1, from input to picture pixels, clipped likewise."""
    return points_to_picture(placement, boxes.reshape(-1, 2, 2)).reshape(-1, 4)


def _fitted(source: Rect, area: Rect, *, centred: bool) -> Rect:
    """Scale *source* to fit *area*, keeping its aspect ratio to the nearest pixel."""
    scale = min(area.width_px / source.width_px, area.height_px / source.height_px)
    width_px = min(area.width_px, max(1, round(source.width_px * scale)))
    height_px = min(area.height_px, max(1, round(source.height_px * scale)))
    return Rect(
        x_px=(area.width_px - width_px) // 2 if centred else 0,
        y_px=(area.height_px - height_px) // 2 if centred else 0,
        width_px=width_px,
        height_px=height_px,
    )


def _cropped(source: Rect, area: Rect) -> Rect:
    """Cut the largest middle part of *source* that has the aspect ratio of *area*.

    Cutting before scaling keeps the work bounded for a picture of any aspect ratio.
    """
    scale = max(area.width_px / source.width_px, area.height_px / source.height_px)
    width_px = min(source.width_px, max(1, round(area.width_px / scale)))
    height_px = min(source.height_px, max(1, round(area.height_px / scale)))
    return Rect(
        x_px=(source.width_px - width_px) // 2,
        y_px=(source.height_px - height_px) // 2,
        width_px=width_px,
        height_px=height_px,
    )


def _free_size_px(width_px: int, height_px: int, spec: InputSpec) -> tuple[int, int]:
    """Choose the input size of mode ``free``: (width, height).

    The order of the roundings is PP-OCR's (``limit_type: min``): scale, cut to whole pixels, round
    half to even to the multiple. The bound on the longer side is gw's own and wins over the other,
    so that no aspect ratio asks for an input without limit.
    """
    scale = 1.0
    if min(width_px, height_px) < spec.min_side_px:
        scale = float(spec.min_side_px) / min(width_px, height_px)
    longest_px = max(width_px, height_px)
    if spec.max_side_px and longest_px * scale > spec.max_side_px:
        scale = float(spec.max_side_px) / longest_px
    return (
        _to_multiple(int(width_px * scale), spec),
        _to_multiple(int(height_px * scale), spec),
    )


def _to_multiple(side_px: int, spec: InputSpec) -> int:
    multiple_px = spec.side_multiple_px
    rounded_px = round(side_px / multiple_px) * multiple_px
    if spec.max_side_px:
        rounded_px = min(rounded_px, math.floor(spec.max_side_px / multiple_px) * multiple_px)
    return max(multiple_px, rounded_px)
