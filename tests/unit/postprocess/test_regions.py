"""Plane geometry: hand-made points, and what holds for every polygon."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.models.rules import Region
from postprocess.regions import Box, Point, contains, corners_px, holds, overlaps

SQUARE: list[Point] = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]
DIAMOND: list[Point] = [(5.0, 0.0), (10.0, 5.0), (5.0, 10.0), (0.0, 5.0)]
#: A square with a bay that opens at its lower side.
BAY: list[Point] = [(0, 0), (10, 0), (10, 10), (7, 10), (7, 4), (3, 4), (3, 10), (0, 10)]

#: Pixels with binary fractions: moving by whole pixels loses nothing.
pixels = st.integers(-4000, 4000).map(lambda n: n / 4)
points = st.tuples(pixels, pixels)
boxes = st.tuples(points, points).map(
    lambda ends: (
        min(ends[0][0], ends[1][0]),
        min(ends[0][1], ends[1][1]),
        max(ends[0][0], ends[1][0]),
        max(ends[0][1], ends[1][1]),
    )
)
polygons = st.lists(points, min_size=3, max_size=7, unique=True)


@st.composite
def convex_polygons(draw: st.DrawFn) -> list[Point]:
    """Draw corners on a circle in their order: convex by construction."""
    steps = draw(st.lists(st.integers(0, 359), min_size=3, max_size=8, unique=True))
    radius = draw(st.integers(5, 500))
    x, y = draw(points)
    return [
        (x + radius * math.cos(math.radians(a)), y + radius * math.sin(math.radians(a)))
        for a in sorted(steps)
    ]


@pytest.mark.parametrize(
    ("polygon", "point", "is_inside"),
    [
        (SQUARE, (5, 5), True),
        (SQUARE, (5, 11), False),
        (SQUARE, (-1, 5), False),
        (SQUARE, (11, 5), False),
        (SQUARE, (0, 0), True),
        (SQUARE, (0, 5), True),
        (SQUARE, (5, 0), True),
        (SQUARE, (10, 5), False),
        (SQUARE, (5, 10), False),
        (DIAMOND, (5, 5), True),
        (DIAMOND, (1, 1), False),
        (DIAMOND, (9, 9), False),
        # On the height of two corners.
        (DIAMOND, (0.5, 5), True),
        (DIAMOND, (-0.5, 5), False),
        (BAY, (5, 2), True),
        (BAY, (5, 7), False),
        (BAY, (1, 7), True),
        (BAY, (9, 7), True),
    ],
)
def test_hand_made_points(polygon: list[Point], point: Point, is_inside: bool) -> None:
    """Left and upper edges are inside, right and lower ones outside; bays are outside."""
    assert contains(polygon, point) is is_inside
    assert contains(polygon[::-1], point) is is_inside


@given(convex_polygons(), st.lists(st.integers(1, 100), min_size=8, max_size=8))
def test_a_mean_of_the_corners_is_inside(polygon: list[Point], weights: list[int]) -> None:
    """Any weighted mean of a convex polygon's corners lies in it, by construction."""
    used = weights[: len(polygon)]
    total = sum(used)
    x = sum(w * corner[0] for w, corner in zip(used, polygon, strict=True)) / total
    y = sum(w * corner[1] for w, corner in zip(used, polygon, strict=True)) / total
    # Slivers so thin that the mean rounds onto their edge are another matter.
    assume(min(edge_distances(polygon, (x, y))) > 1e-6)

    assert contains(polygon, (x, y))
    assert overlaps(polygon, (x, y, x, y))


def edge_distances(polygon: Sequence[Point], point: Point) -> list[float]:
    """Give the distance of *point* from the line of each edge."""
    ends = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return [
        abs((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax))
        / math.hypot(bx - ax, by - ay)
        for (ax, ay), (bx, by) in ends
    ]


@given(polygons, points, st.tuples(st.integers(-999, 999), st.integers(-999, 999)))
def test_moving_everything_changes_nothing(
    polygon: list[Point], point: Point, by: tuple[int, int]
) -> None:
    """A polygon and a point that are moved together keep their relation."""
    assume(min(edge_distances(polygon, point)) > 1e-6)
    moved = [(x + by[0], y + by[1]) for x, y in polygon]

    assert contains(moved, (point[0] + by[0], point[1] + by[1])) == contains(polygon, point)


@given(polygons, boxes, st.tuples(st.integers(-999, 999), st.integers(-999, 999)))
def test_moving_everything_keeps_overlaps(
    polygon: list[Point], box: Box, by: tuple[int, int]
) -> None:
    """A polygon and a box that are moved together keep their relation, to the last touch."""
    moved = [(x + by[0], y + by[1]) for x, y in polygon]
    moved_box = (box[0] + by[0], box[1] + by[1], box[2] + by[0], box[3] + by[1])

    assert overlaps(moved, moved_box) == overlaps(polygon, box)


@given(
    st.lists(st.integers(-100, 100), min_size=3, max_size=3, unique=True).map(sorted),
    st.lists(st.integers(-100, 100), min_size=3, max_size=3, unique=True).map(sorted),
    st.tuples(st.integers(-101, 101), st.integers(-101, 101)),
)
def test_adjoining_rectangles_share_no_point(xs: list[int], ys: list[int], point: Point) -> None:
    """Four rectangles that meet hold each point of their union exactly once."""
    tiles = [
        [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        for x0, x1 in ((xs[0], xs[1]), (xs[1], xs[2]))
        for y0, y1 in ((ys[0], ys[1]), (ys[1], ys[2]))
    ]
    is_in_union = xs[0] <= point[0] < xs[2] and ys[0] <= point[1] < ys[2]

    assert sum(contains(tile, point) for tile in tiles) == is_in_union


@given(points, points, st.tuples(st.integers(1, 9), st.integers(1, 9)), st.floats(0, 1))
def test_regions_beside_one_edge_share_no_point(
    start: Point, end: Point, heights: tuple[int, int], share: float
) -> None:
    """Points along a slanted edge belong to one of its two regions at most, however they round."""
    assume(start != end)
    dx, dy = end[0] - start[0], end[1] - start[1]
    left = (start[0] - heights[0] * dy, start[1] + heights[0] * dx)
    right = (start[0] + heights[1] * dy, start[1] - heights[1] * dx)
    on_edge = (start[0] + share * dx, start[1] + share * dy)

    assert not (contains([start, end, left], on_edge) and contains([end, start, right], on_edge))


@pytest.mark.parametrize(
    ("polygon", "box", "is_touched"),
    [
        (SQUARE, (2, 2, 3, 3), True),
        (SQUARE, (-5, -5, 15, 15), True),
        (SQUARE, (8, 8, 12, 12), True),
        (SQUARE, (11, 0, 12, 10), False),
        (SQUARE, (-5, 4, 15, 6), True),
        # Only the outline is shared, on each side of the square.
        (SQUARE, (2, -2, 8, 0), True),
        (SQUARE, (2, 10, 8, 12), True),
        (SQUARE, (-2, 2, 0, 8), True),
        (SQUARE, (10, 2, 12, 8), True),
        (SQUARE, (10, 10, 12, 12), True),
        # Beside the diamond's edge, within its bounding box.
        (DIAMOND, (0, 0, 2, 2), False),
        (DIAMOND, (0, 0, 3, 3), True),
        # In the bay, and across it.
        (BAY, (4, 6, 6, 8), False),
        (BAY, (1, 6, 9, 8), True),
        # A box without an area.
        (SQUARE, (5, 5, 5, 5), True),
        (SQUARE, (15, 5, 15, 5), False),
    ],
)
def test_hand_made_boxes(polygon: list[Point], box: Box, is_touched: bool) -> None:
    """Area or outline in common is an overlap; a common bounding box is none."""
    assert overlaps(polygon, box) is is_touched
    assert overlaps(polygon[::-1], box) is is_touched


@given(polygons, boxes, st.tuples(st.integers(0, 8), st.integers(0, 8)))
def test_a_common_point_is_an_overlap(
    polygon: list[Point], box: Box, eighths: tuple[int, int]
) -> None:
    """A point in both box and polygon proves an overlap."""
    x = box[0] + (box[2] - box[0]) * eighths[0] / 8
    y = box[1] + (box[3] - box[1]) * eighths[1] / 8

    if contains(polygon, (x, y)):
        assert overlaps(polygon, box)


@given(st.tuples(boxes, boxes))
def test_two_boxes_overlap_where_their_edges_do(pair: tuple[Box, Box]) -> None:
    """For a rectangle, overlapping means what it means for intervals on both axes."""
    (ax0, ay0, ax1, ay1), box = pair
    assume(ax0 < ax1 and ay0 < ay1)
    rectangle = [(ax0, ay0), (ax1, ay0), (ax1, ay1), (ax0, ay1)]

    expected = ax0 <= box[2] and box[0] <= ax1 and ay0 <= box[3] and box[1] <= ay1

    assert overlaps(rectangle, box) == expected


def test_fractions_are_of_the_picture() -> None:
    """Fractions scale with the picture, pixels do not."""
    fraction = Region(name="r", points=((0.0, 0.0), (1.0, 0.0), (0.5, 0.5)))
    pixel = Region(name="r", points=((0.0, 0.0), (9.0, 0.0), (5.0, 5.0)), units="pixels")

    assert corners_px(fraction, width_px=640, height_px=480) == [(0, 0), (640, 0), (320, 240)]
    assert corners_px(pixel, width_px=640, height_px=480) == [(0, 0), (9, 0), (5, 5)]


@pytest.mark.parametrize(
    ("box", "center", "bottom_center", "overlap"),
    [
        ((4, 4, 6, 6), True, True, True),
        # A person whose feet are outside, and one whose head is.
        ((4, 2, 6, 14), True, False, True),
        ((4, -14, 6, 8), False, True, True),
        ((9, 9, 20, 20), False, False, True),
        ((20, 20, 30, 30), False, False, False),
    ],
)
def test_each_anchor_asks_another_question(
    box: Box, center: bool, bottom_center: bool, overlap: bool
) -> None:
    """The middle, the middle of the lower edge, or any part of the box decides."""

    def region(anchor: str) -> Region:
        return Region(name="r", points=tuple(SQUARE), anchor=anchor)  # type: ignore[arg-type]

    assert holds(region("center"), SQUARE, box) is center
    assert holds(region("bottom_center"), SQUARE, box) is bottom_center
    assert holds(region("overlap"), SQUARE, box) is overlap
