"""Text regions from probability maps made by hand, and the arithmetic of growing them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pyclipper  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from numpy.typing import NDArray

from dispatcher.cards.card import DbnetDecoder
from dispatcher.decoders import reduce_outputs
from dispatcher.decoders.dbnet import RotatedRect, clockwise, unclipped
from dispatcher.pictures.geometry import Placement
from pipeline.errors import ModelFault
from pipeline.models.findings import TextRegion
from tests.unit.dispatcher.decoders.frames import single, stretched

#: No growth, no dilation: what is in the map is what comes out.
BARE = DbnetDecoder(unclip_ratio=0.0, dilate=False, min_side_px=3)


def regions(
    spec: DbnetDecoder, values: NDArray[np.float32], placement: Placement | None = None
) -> tuple[TextRegion, ...]:
    """Reduce one map, of shape (height, width)."""
    height_px, width_px = values.shape
    placement = placement or stretched(width_px, height_px)
    return reduce_outputs(spec, single(values[None, None]), placement, item=0).text_regions


def map_with(*patches: tuple[int, int, int, int], value: float = 0.9) -> NDArray[np.float32]:
    """Draw patches (x0, y0, x1, y1; last pixels included) into a map of 200 x 100."""
    values = np.zeros((100, 200), np.float32)
    for x0, y0, x1, y1 in patches:
        values[y0 : y1 + 1, x0 : x1 + 1] = value
    return values


def test_a_patch_becomes_its_own_corners() -> None:
    """Without growth, the corners are the outer pixels, clockwise from the top left."""
    (found,) = regions(BARE, map_with((20, 30, 79, 49)))

    assert found.quad == ((20, 30), (79, 30), (79, 49), (20, 49))
    assert found.score == pytest.approx(0.9)


def test_growth_by_hand() -> None:
    """A patch of 60 x 20 at ratio 1.6 grows by 60 * 20 * 1.6 / 160 = 12 on each side."""
    spec = DbnetDecoder(unclip_ratio=1.6, dilate=False)

    (found,) = regions(spec, map_with((40, 30, 100, 50)))

    assert found.quad == ((28, 18), (112, 18), (112, 62), (28, 62))


def test_dilation_joins_what_a_pixel_separates() -> None:
    """A gap of one column is closed when the card says so."""
    values = map_with((20, 30, 49, 49), (51, 30, 79, 49))

    assert len(regions(BARE, values)) == 2
    assert len(regions(DbnetDecoder(unclip_ratio=0.0, dilate=True), values)) == 1


def test_regions_are_scaled_to_the_picture_and_kept_inside() -> None:
    """Corners are whole pixels of a picture three times the size of the map, up to its last."""
    values = map_with((0, 0, 59, 19), (150, 80, 199, 99))

    found = regions(DbnetDecoder(dilate=False), values, stretched(200, 100, grow=3))

    # 59 x 19 grows by 59 * 19 * 1.6 / 156 = 11.497: to 70.497 and 30.497, times three.
    assert found[0].quad == ((0, 0), (211, 0), (211, 91), (0, 91))
    assert found[1].quad[2] == (599, 299)


def test_weak_regions_are_dropped() -> None:
    """A region counts by its mean probability, and at the threshold it stays."""
    values = map_with((20, 30, 79, 49), value=0.5)

    assert len(regions(BARE, values)) == 1
    assert regions(BARE, values * np.float32(0.98)) == ()


def test_small_regions_are_dropped() -> None:
    """A side below the card's minimum is noise, or below 2 px more once it is grown."""
    assert regions(BARE, map_with((20, 30, 79, 32))) == ()
    assert regions(BARE, map_with((20, 30, 79, 34))) == ()
    assert len(regions(BARE, map_with((20, 30, 79, 35)))) == 1


def test_regions_too_small_in_the_picture_are_dropped() -> None:
    """A region whose side is three pixels or less in the picture itself is noise."""
    values = map_with((20, 30, 79, 35))

    assert regions(BARE, values, stretched(200, 100)) != ()
    halved = Placement(
        picture_width_px=100,
        picture_height_px=50,
        input_width_px=200,
        input_height_px=100,
        source=stretched(100, 50).source,
        target=stretched(200, 100).target,
    )
    assert regions(BARE, values, halved) == ()


def test_regions_stand_from_top_to_bottom_then_left_to_right() -> None:
    """The order is that of the top left corners, whatever the order they were found in."""
    values = map_with((100, 60, 140, 75), (20, 60, 60, 75), (60, 10, 140, 30))

    found = regions(BARE, values)

    assert [region.quad[0] for region in found] == [(60, 10), (20, 60), (100, 60)]


def test_no_more_regions_than_allowed() -> None:
    """The card bounds how many outlines are looked at."""
    values = map_with((100, 60, 140, 75), (20, 60, 60, 75), (60, 10, 140, 30))

    assert len(regions(DbnetDecoder(max_regions=2, dilate=False), values)) == 2


def test_nan_counts_as_no_text() -> None:
    """A map of NaN has no regions, and a NaN inside a region drops that region alone."""
    values = map_with((20, 10, 79, 29), (20, 60, 79, 79))
    values[15, 40] = math.nan

    assert len(regions(BARE, values)) == 1
    assert regions(BARE, np.full((50, 50), math.nan, np.float32)) == ()


def test_a_map_without_its_channel_axis_is_read_too() -> None:
    """Shape (batch, height, width) is as good as (batch, 1, height, width)."""
    values = np.stack([map_with(), map_with((20, 30, 79, 49))])

    found = reduce_outputs(BARE, single(values), stretched(200, 100), item=1)

    assert found.kind == "text_regions"
    assert len(found.text_regions) == 1


@pytest.mark.parametrize("shape", [(1, 1, 50, 100), (1, 2, 100, 200), (1, 1, 200, 100)])
def test_other_shapes_are_a_model_fault(shape: tuple[int, ...]) -> None:
    """A map of another size than the input is refused with both shapes."""
    with pytest.raises(ModelFault) as caught:
        reduce_outputs(BARE, single(np.zeros(shape)), stretched(200, 100), item=0)

    assert f"has the shape {shape}; expected (batch, 1, 100, 200)" in str(caught.value)


SIDES = st.floats(3, 400)
RECTS: st.SearchStrategy[RotatedRect] = st.tuples(
    st.tuples(st.floats(300, 700), st.floats(300, 700)), st.tuples(SIDES, SIDES), st.floats(0, 90)
)


def offset_by_clipper(rect: RotatedRect, ratio: float, grain: int) -> RotatedRect:
    """Grow a rectangle as the reference does: offset with round joins, smallest rectangle around.

    Clipper calculates in whole numbers; *grain* is how many of them make a pixel.
    """
    corners = cv2.boxPoints(rect).astype(np.float64) * grain
    distance = rect[1][0] * rect[1][1] * ratio / (2 * (rect[1][0] + rect[1][1]))
    offset = pyclipper.PyclipperOffset(arc_tolerance=0.01 * grain)
    offset.AddPath(corners.tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    (outline,) = offset.Execute(distance * grain)
    middle, sides, angle = cv2.minAreaRect((np.array(outline) / grain).astype(np.float32))
    return (middle[0], middle[1]), (sides[0], sides[1]), angle


@settings(deadline=None, max_examples=200)
@given(rect=RECTS, ratio=st.floats(0.5, 3))
def test_growing_equals_offsetting_with_round_joins(rect: RotatedRect, ratio: float) -> None:
    """Its corners are those of the smallest rectangle around what a polygon library offsets."""
    expected = offset_by_clipper(rect, ratio, grain=1000)

    grown = unclipped(rect, ratio)

    distances = np.linalg.norm(
        cv2.boxPoints(grown)[:, None] - cv2.boxPoints(expected)[None, :], axis=-1
    )
    assert distances.min(axis=0).max() < 0.1
    assert distances.min(axis=1).max() < 0.1


def test_a_rectangle_without_extent_does_not_grow() -> None:
    """A point has no perimeter to divide by, and stays."""
    assert unclipped(((5.0, 5.0), (0.0, 0.0), 0.0), 1.6) == ((5.0, 5.0), (0.0, 0.0), 0.0)


@given(angle=st.floats(-40, 40), start=st.permutations(range(4)))
def test_corners_are_ordered_from_the_top_left(angle: float, start: list[int]) -> None:
    """Whatever order the corners come in, they leave clockwise from the top left."""
    corners = np.array([[-30, -10], [30, -10], [30, 10], [-30, 10]], np.float64)
    turn = math.radians(angle)
    rotation = np.array(
        [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], np.float64
    )
    turned = corners @ rotation

    assert clockwise(turned[start]) == pytest.approx(turned)


@settings(deadline=None)
@given(values=np_st.arrays(np.float32, (24, 40)))
def test_any_map_gives_corners_inside_the_picture(values: NDArray[np.float32]) -> None:
    """Whatever the map holds, corners are whole pixels of the picture and scores are numbers."""
    found = regions(DbnetDecoder(), values, stretched(40, 24, grow=2))

    for region in found:
        assert math.isfinite(region.score)
        for x, y in region.quad:
            assert 0 <= x <= 79
            assert 0 <= y <= 47
            assert x == round(x)
            assert y == round(y)
