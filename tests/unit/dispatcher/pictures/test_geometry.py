"""Placements by hand for every mode, and the way back as a property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.cards.card import InputSpec, ResizeMode
from dispatcher.pictures.geometry import (
    Placement,
    Rect,
    boxes_to_picture,
    evened,
    plan,
    points_to_picture,
)


def fixed(mode: ResizeMode, width_px: int = 640, height_px: int = 640) -> InputSpec:
    """Describe an input of a fixed size."""
    return InputSpec(width_px=width_px, height_px=height_px, resize=mode)


def free(*, min_side_px: int = 736, max_side_px: int = 1984) -> InputSpec:
    """Describe an input of free size."""
    return InputSpec(resize=ResizeMode.FREE, min_side_px=min_side_px, max_side_px=max_side_px)


def rect(x_px: int, y_px: int, width_px: int, height_px: int) -> Rect:
    """Write a rectangle on one line."""
    return Rect(x_px=x_px, y_px=y_px, width_px=width_px, height_px=height_px)


@pytest.mark.parametrize(
    ("mode", "size_px", "source", "target"),
    [
        (ResizeMode.STRETCH, (1920, 1080), rect(0, 0, 1920, 1080), rect(0, 0, 640, 640)),
        (ResizeMode.LETTERBOX, (1920, 1080), rect(0, 0, 1920, 1080), rect(0, 140, 640, 360)),
        (ResizeMode.LETTERBOX, (300, 400), rect(0, 0, 300, 400), rect(80, 0, 480, 640)),
        # 640 x 427.33 is 427; the odd row of padding goes below.
        (ResizeMode.LETTERBOX, (1200, 801), rect(0, 0, 1200, 801), rect(0, 106, 640, 427)),
        (ResizeMode.LETTERBOX_TOP_LEFT, (1920, 1080), rect(0, 0, 1920, 1080), rect(0, 0, 640, 360)),
        (ResizeMode.LETTERBOX, (90_000, 3), rect(0, 0, 90_000, 3), rect(0, 319, 640, 1)),
        (ResizeMode.CENTER_CROP, (1920, 1080), rect(420, 0, 1080, 1080), rect(0, 0, 640, 640)),
        (ResizeMode.CENTER_CROP, (300, 401), rect(0, 50, 300, 300), rect(0, 0, 640, 640)),
        (ResizeMode.CENTER_CROP, (90_000, 3), rect(44_998, 0, 3, 3), rect(0, 0, 640, 640)),
    ],
)
def test_fixed_inputs(
    mode: ResizeMode, size_px: tuple[int, int], source: Rect, target: Rect
) -> None:
    """Each mode of a fixed input puts the picture where it belongs."""
    placement = plan(size_px, fixed(mode))

    assert (placement.source, placement.target) == (source, target)
    assert (placement.input_width_px, placement.input_height_px) == (640, 640)


@pytest.mark.parametrize(
    ("size_px", "input_px"),
    [
        # The shorter side is large enough: each side goes to its nearest multiple of 32.
        ((1000, 750), (992, 736)),
        ((1920, 1080), (1920, 1088)),
        # 752 / 32 = 23.5 and 784 / 32 = 24.5 are both rounded to the even 24.
        ((784, 752), (768, 768)),
        # scikit-image's page and text: the shorter side grows to 736.
        ((384, 191), (1472, 736)),
        ((448, 172), (1920, 736)),
        # Our own bound: 3000 to 1984, then 1200 x 0.6613 = 793.6 is 793, and 24.78 is 25.
        ((3000, 1200), (1984, 800)),
        # A strip: the bound wins over the lower one, and a side never vanishes.
        ((90_000, 3), (1984, 32)),
        ((3, 90_000), (32, 1984)),
        ((1, 1), (736, 736)),
    ],
)
def test_free_inputs(size_px: tuple[int, int], input_px: tuple[int, int]) -> None:
    """The free size follows PP-OCR's rounding, within the bound."""
    placement = plan(size_px, free())

    assert (placement.input_width_px, placement.input_height_px) == input_px
    assert placement.target == rect(0, 0, *input_px)


def test_the_bound_holds_for_one_that_is_no_multiple() -> None:
    """Rounding to the multiple does not step over the bound."""
    assert plan((5000, 5000), free(max_side_px=1999)).input_width_px == 1984


def test_a_free_input_without_bounds_keeps_the_size() -> None:
    """With no bound, only the rounding to the multiple remains."""
    placement = plan((4000, 100), free(min_side_px=0, max_side_px=0))

    assert (placement.input_width_px, placement.input_height_px) == (4000, 96)


@pytest.mark.parametrize("size_px", [(0, 5), (5, -1)])
def test_a_picture_needs_pixels(size_px: tuple[int, int]) -> None:
    """A size without area has no placement."""
    with pytest.raises(ValueError, match="a picture needs pixels"):
        plan(size_px, fixed(ResizeMode.STRETCH))


def test_boxes_lose_the_letterbox_and_are_clipped() -> None:
    """A box is moved out of the padding, scaled, and cut at the picture's edge."""
    placement = plan((1920, 1080), fixed(ResizeMode.LETTERBOX))

    moved = boxes_to_picture(placement, np.array([[100, 240, 200, 340], [-5, 0, 700, 640]]))

    assert moved.tolist() == [[300, 300, 600, 600], [0, 0, 1920, 1080]]


SIDES = st.integers(1, 5000)
SPECS = st.one_of(
    st.builds(
        fixed,
        st.sampled_from([mode for mode in ResizeMode if mode is not ResizeMode.FREE]),
        st.integers(1, 1300),
        st.integers(1, 1300),
    ),
    st.builds(free, min_side_px=st.integers(0, 900), max_side_px=st.integers(900, 3000)),
)


def placements() -> st.SearchStrategy[Placement]:
    """Draw the placement of any picture in any input."""
    return st.builds(plan, st.tuples(SIDES, SIDES), SPECS)


@given(placement=placements(), x=st.floats(0, 1), y=st.floats(0, 1))
def test_there_and_back_is_the_same_point(placement: Placement, x: float, y: float) -> None:
    """A point of the source, put into the input by hand, comes back to where it was."""
    source, target = placement.source, placement.target
    there = (target.x_px + x * target.width_px, target.y_px + y * target.height_px)

    back = points_to_picture(placement, np.array([there]))[0]

    expected = (source.x_px + x * source.width_px, source.y_px + y * source.height_px)
    assert back == pytest.approx(expected, abs=1e-6)


@given(placement=placements())
def test_rectangles_lie_inside_and_have_area(placement: Placement) -> None:
    """The source lies in the picture and the target in the input, neither of them empty."""
    for inner, width_px, height_px in (
        (placement.source, placement.picture_width_px, placement.picture_height_px),
        (placement.target, placement.input_width_px, placement.input_height_px),
    ):
        assert min(inner.x_px, inner.y_px) >= 0
        assert min(inner.width_px, inner.height_px) >= 1
        assert inner.x_px + inner.width_px <= width_px
        assert inner.y_px + inner.height_px <= height_px


@given(placement=placements(), x=st.floats(-1e9, 1e9), y=st.floats(-1e9, 1e9))
def test_no_point_leaves_the_picture(placement: Placement, x: float, y: float) -> None:
    """Whatever the model says, the point is clipped to the picture."""
    ((found_x, found_y),) = points_to_picture(placement, np.array([[x, y]]))

    assert 0 <= found_x <= placement.picture_width_px
    assert 0 <= found_y <= placement.picture_height_px


EVEN = st.integers(1, 2000).map(lambda half: 2 * half)


@given(
    size_px=st.tuples(EVEN, EVEN),
    input_px=st.tuples(EVEN, EVEN),
    mode=st.sampled_from(
        [
            ResizeMode.STRETCH,
            ResizeMode.LETTERBOX,
            ResizeMode.LETTERBOX_TOP_LEFT,
            ResizeMode.CENTER_CROP,
        ]
    ),
)
def test_even_edges_are_near_the_others(
    size_px: tuple[int, int], input_px: tuple[int, int], mode: ResizeMode
) -> None:
    """Every edge is even, inside, and at most two pixels from where it was."""
    placement = plan(size_px, fixed(mode, *input_px))

    even = evened(placement)

    for before, after, limits in (
        (placement.source, even.source, size_px),
        (placement.target, even.target, input_px),
    ):
        edges = (after.x_px, after.y_px, after.width_px, after.height_px)
        assert all(edge % 2 == 0 for edge in edges)
        assert min(after.x_px, after.y_px) >= 0
        assert min(after.width_px, after.height_px) > 0
        assert after.x_px + after.width_px <= limits[0]
        assert after.y_px + after.height_px <= limits[1]
        assert abs(after.x_px - before.x_px) <= 2
        assert abs(after.y_px - before.y_px) <= 2
        assert abs(after.width_px - before.width_px) <= 1
        assert abs(after.height_px - before.height_px) <= 1


def test_boxes_come_back_from_even_edges() -> None:
    """A box around the whole of an evened letterbox is the picture's own outline."""
    even = evened(plan((1200, 802), fixed(ResizeMode.LETTERBOX)))

    assert even.target == rect(0, 106, 640, 428)
    whole = np.array([[0.0, 106.0, 640.0, 534.0]])
    np.testing.assert_allclose(boxes_to_picture(even, whole), [[0.0, 0.0, 1200.0, 802.0]])
