"""Plane geometry of regions of interest. Points are (x, y) in picture pixels."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.models.rules import Region

Point = tuple[float, float]
Box = tuple[float, float, float, float]


def corners_px(region: Region, *, width_px: int, height_px: int) -> list[Point]:
    """Give the region's corners in pixels of a picture of this size."""
    if region.units == "pixels":
        return list(region.points)
    return [(x * width_px, y * height_px) for x, y in region.points]


def holds(region: Region, corners: Sequence[Point], box: Box) -> bool:
    """Whether *box* belongs to the region with these *corners*, by the region's anchor."""
    x0, y0, x1, y1 = box
    match region.anchor:
        case "center":
            return contains(corners, ((x0 + x1) / 2, (y0 + y1) / 2))
        case "bottom_center":
            return contains(corners, ((x0 + x1) / 2, y1))
        case "overlap":
            return overlaps(corners, box)


def contains(corners: Sequence[Point], point: Point) -> bool:
    """Whether *point* lies inside the polygon, by the even-odd rule.

    A ray to the right crosses the outline an odd number of times. Points on a left or upper edge
    count as inside and on a right or lower edge as outside, so adjoining regions share none.
    """
    x, y = point
    inside = False
    for edge in _edges(corners):
        # Each edge in one direction, so that both regions beside it round the crossing alike.
        (ax, ay), (bx, by) = sorted(edge)
        if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            inside = not inside
    return inside


def overlaps(corners: Sequence[Point], box: Box) -> bool:
    """Whether polygon and box share any area or outline."""
    x0, y0, x1, y1 = box
    if any(x0 <= x <= x1 and y0 <= y <= y1 for x, y in corners):
        return True
    outline = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if any(contains(corners, corner) for corner in outline):
        return True
    return any(_meet(edge, side) for edge in _edges(corners) for side in _edges(outline))


def _edges(corners: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(corners, [*corners[1:], corners[0]], strict=True))


def _meet(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """Whether two segments share a point.

    Each has its ends not both on one side of the other's line; segments of one line must overlap
    along it too.
    """
    (a, b), (c, d) = first, second
    for axis in (0, 1):
        low, high = sorted((a[axis], b[axis]))
        if max(c[axis], d[axis]) < low or min(c[axis], d[axis]) > high:
            return False
    return _side(a, b, c) * _side(a, b, d) <= 0 and _side(c, d, a) * _side(c, d, b) <= 0


def _side(a: Point, b: Point, point: Point) -> float:
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
