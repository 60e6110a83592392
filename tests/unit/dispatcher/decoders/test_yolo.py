"""YOLO heads made by hand, with boxes worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from numpy.typing import NDArray

from dispatcher.cards.card import YoloDecoder
from dispatcher.decoders import reduce_outputs
from dispatcher.pictures.geometry import Placement
from pipeline.errors import ModelFault
from pipeline.models.findings import Detection
from tests.unit.dispatcher.decoders.frames import letterboxed, single, stretched

#: Where input and picture are the same 640 pixels square.
SAME = stretched(640, 640)


def v8_head(*columns: tuple[float, ...]) -> NDArray[np.float32]:
    """Build a batch of one from columns of x, y, w, h and class scores."""
    return np.array(columns, np.float32).T[np.newaxis]


def v5_head(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    """Build a batch of one from rows of x, y, w, h, objectness and class scores."""
    return np.array(rows, np.float32)[np.newaxis]


def detect(
    head: NDArray[np.float32],
    spec: YoloDecoder | None = None,
    placement: Placement = SAME,
    *,
    item: int = 0,
) -> tuple[Detection, ...]:
    """Reduce a head with the default settings, unless others are given."""
    spec = spec or YoloDecoder()
    return reduce_outputs(spec, single(head), placement, item=item).detections


def summary(found: tuple[Detection, ...]) -> list[tuple[int, float]]:
    """Keep class and score, rounded."""
    return [(d.class_id, round(d.score, 3)) for d in found]


@pytest.mark.parametrize("version", ["v8", "v11"])
def test_v8_head_by_hand(version: str) -> None:
    """Middles and sides become corners, the letterbox is undone, and the best class counts.

    The picture is 1280 x 640 in a 640 square: half its size, 160 rows from the top.
    """
    head = v8_head(
        # x 100 +- 20, y 260 +- 30: 80..120 and 230..290, less 160 rows and doubled.
        (100, 260, 40, 60, 0.1, 0.8, 0.2),
        # Below the threshold in every class.
        (300, 300, 50, 50, 0.24, 0.1, 0.0),
        (500, 400, 100, 20, 0.9, 0.0, 0.1),
    )

    found = detect(head, YoloDecoder(version=version), letterboxed())

    assert summary(found) == [(0, 0.9), (1, 0.8)]
    assert found[0].box == (900, 460, 1100, 500)
    assert found[1].box == (160, 140, 240, 260)


def test_v5_head_by_hand() -> None:
    """The score is objectness times class score, and both must reach the threshold together."""
    head = v5_head(
        (100, 260, 40, 60, 0.5, 0.2, 0.9),
        (300, 300, 50, 50, 0.9, 0.27, 0.1),
        (500, 400, 100, 20, 0.2, 1.0, 1.0),
    )

    found = detect(head, YoloDecoder(version="v5"), letterboxed())

    assert summary(found) == [(1, 0.45)]
    assert found[0].box == (160, 140, 240, 260)


def test_reads_its_own_item_of_the_batch() -> None:
    """Each picture of a batch gets its own boxes."""
    batch = np.concatenate([v8_head((9, 9, 4, 4, 0.9)), v8_head((50, 50, 20, 20, 0.8))])

    assert detect(batch, item=1)[0].box == (40, 40, 60, 60)


# Two boxes 100 wide that share 60 columns: 60 / 140 = 0.43. Sharing 80: 80 / 120 = 0.67.
BEST = (100, 100, 100, 100)
CLOSE = (120, 100, 100, 100)
APART = (140, 100, 100, 100)


def test_nms_drops_the_weaker_of_two_close_boxes() -> None:
    """Above the threshold of overlap the better box stays; below it both do."""
    assert summary(detect(v8_head((*CLOSE, 0.6), (*BEST, 0.7)))) == [(0, 0.7)]
    assert summary(detect(v8_head((*APART, 0.6), (*BEST, 0.7)))) == [(0, 0.7), (0, 0.6)]


def test_nms_leaves_other_classes_alone() -> None:
    """A box of one class does not push out a box of another in the same place."""
    found = detect(v8_head((*BEST, 0.7, 0.0), (*BEST, 0.0, 0.6), (*CLOSE, 0.0, 0.5)))

    assert summary(found) == [(0, 0.7), (1, 0.6)]


def test_a_dropped_box_drops_no_other() -> None:
    """A chain of boxes, each close to the next only, loses its middle and keeps its ends."""
    chain = [(100 + 40 * k, 100, 100, 100, 0.9 - 0.1 * k) for k in range(3)]

    found = detect(v8_head(*chain), YoloDecoder(iou_threshold=0.4))

    assert summary(found) == [(0, 0.9), (0, 0.7)]


def test_the_best_stay_when_there_are_too_many() -> None:
    """No more than the allowed number of boxes stay, and they are the best."""
    columns = [(20 * k + 10, 10, 8, 8, 0.5 + k / 100) for k in range(30)]

    found = detect(v8_head(*columns), YoloDecoder(max_detections=2))

    assert summary(found) == [(0, 0.79), (0, 0.78)]


def test_equal_scores_keep_the_order_of_the_head() -> None:
    """Ties do not depend on the sorting."""
    middles = [(20 * (k % 30) + 10, 20 * (k // 30) + 10) for k in range(300)]

    found = detect(v8_head(*[(x, y, 8, 8, 0.5) for x, y in middles]))

    assert [d.box[:2] for d in found] == [(x - 4, y - 4) for x, y in middles]


def test_boxes_are_clipped_to_the_picture() -> None:
    """What reaches over the edge or into the padding is cut; what lies there wholly is dropped."""
    head = v8_head(
        (0, 160, 40, 40, 0.9),
        (320, 70, 100, 100, 0.8),
        (320, 320, 0, 10, 0.7),
        (320, 320, -5, 10, 0.6),
    )

    found = detect(head, placement=letterboxed())

    assert summary(found) == [(0, 0.9)]
    assert found[0].box == (0, 0, 40, 40)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", range(6))
def test_boxes_that_are_no_numbers_are_dropped(row: int, bad: float) -> None:
    """NaN or an infinity in a column drops that column and no other.

    A class that is impossible (minus infinity) leaves the column to its other class.
    """
    head = v8_head((*BEST, 0.7, 0.1), (400, 400, 10, 10, 0.6, 0.1))
    head[0, row, 0] = bad

    found = detect(head)

    kept = [(0, 0.7)] if row == 5 and bad == -math.inf else []
    assert summary(found) == [*kept, (0, 0.6)]


@pytest.mark.parametrize(
    ("version", "shape", "expected"),
    [
        ("v8", (1, 4, 8400), "(batch, 4 + classes, anchors)"),
        ("v8", (1, 84), "(batch, 4 + classes, anchors)"),
        ("v8", (1, 8400, 84), "(batch, 4 + classes, anchors)"),
        ("v8", (1, 25200, 85), "(batch, 4 + classes, anchors)"),
        ("v5", (1, 25200, 5), "(batch, rows, 5 + classes)"),
        ("v5", (1, 3, 80, 80, 85), "(batch, rows, 5 + classes)"),
        ("v5", (1, 84, 8400), "(batch, rows, 5 + classes)"),
    ],
)
def test_other_shapes_are_a_model_fault(
    version: str, shape: tuple[int, ...], expected: str
) -> None:
    """A head of another shape, the other version's included, is refused with both shapes."""
    with pytest.raises(ModelFault) as caught:
        detect(np.zeros(shape, np.float32), YoloDecoder(version=version))

    assert f"has the shape {shape}; expected {expected}" in str(caught.value)


@pytest.mark.parametrize(("version", "shape"), [("v8", (1, 84, 8400)), ("v5", (1, 25200, 85))])
def test_an_empty_head_gives_no_detection(version: str, shape: tuple[int, ...]) -> None:
    """A head of zeros, of the size that a 640 square gives, holds nothing."""
    assert detect(np.zeros(shape, np.float32), YoloDecoder(version=version)) == ()


def plain_nms(
    boxes: Sequence[tuple[int, tuple[float, ...]]], threshold: float
) -> list[tuple[int, tuple[float, ...]]]:
    """Suppress pair by pair, as the definition says."""
    kept: list[tuple[int, tuple[float, ...]]] = []
    for class_id, (x0, y0, x1, y1) in boxes:
        for other_class, (u0, v0, u1, v1) in kept:
            shared = max(0, min(x1, u1) - max(x0, u0)) * max(0, min(y1, v1) - max(y0, v0))
            union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared
            if class_id == other_class and shared / union > threshold:
                break
        else:
            kept.append((class_id, (x0, y0, x1, y1)))
    return kept


@given(
    middles=st.lists(
        st.tuples(*[st.integers(40, 90)] * 2, *[st.integers(1, 20)] * 2, st.integers(0, 1)),
        min_size=1,
        max_size=25,
    )
)
def test_nms_equals_its_definition(middles: list[tuple[int, int, int, int, int]]) -> None:
    """Any set of boxes is reduced to what comparing them pair by pair leaves."""
    columns, boxes = [], []
    for rank, (x, y, half_w, half_h, class_id) in enumerate(middles):
        scores = [0.0, 0.0]
        scores[class_id] = 0.9 - rank / 100
        columns.append((x, y, 2 * half_w, 2 * half_h, *scores))
        boxes.append((class_id, (x - half_w, y - half_h, x + half_w, y + half_h)))

    found = detect(v8_head(*columns))

    assert [(d.class_id, d.box) for d in found] == plain_nms(boxes, 0.45)


@settings(deadline=None)
@given(
    head=np_st.arrays(np.float32, st.tuples(st.just(1), st.just(7), st.integers(0, 20))),
    version=st.sampled_from(["v5", "v8"]),
)
def test_any_numbers_give_boxes_inside_the_picture(head: NDArray[np.float32], version: str) -> None:
    """Whatever the head holds, boxes are ordered, inside the picture, and best first."""
    if version == "v5":
        head = head.transpose(0, 2, 1)

    found = detect(head, YoloDecoder(version=version), letterboxed((900, 300)))

    for detection in found:
        x0, y0, x1, y1 = detection.box
        assert 0 <= x0 < x1 <= 900
        assert 0 <= y0 < y1 <= 300
    scores = [d.score for d in found]
    assert scores == sorted(scores, reverse=True)
