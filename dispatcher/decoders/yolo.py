"""YOLO heads to detections.

Two heads exist. v5: (batch, rows, 5 + classes), a row being x y w h objectness and class scores; a
class's score is its product with the objectness. v8 and v11: (batch, 4 + classes, anchors), without
objectness. In both, x y is the box's middle, all in input pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import YoloDecoder
from dispatcher.decoders.outputs import NamedOutput, as_float32, first_output
from dispatcher.pictures.geometry import Placement, boxes_to_picture
from pipeline.models.findings import Detection, Findings

#: The cells of all three detection layers are counted with these strides, in input pixels.
_STRIDES_PX = (8, 16, 32)
_V5_ANCHORS_PER_CELL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidates:
    """Boxes that pass the score threshold: *boxes* (n, 4) as x0 y0 x1 y1 in input pixels."""

    boxes: NDArray[Any]
    scores: NDArray[Any]
    class_ids: NDArray[np.intp]

    def taken(self, index: NDArray[Any]) -> _Candidates:
        return _Candidates(
            boxes=self.boxes[index], scores=self.scores[index], class_ids=self.class_ids[index]
        )


def reduce_yolo(
    spec: YoloDecoder, outputs: Sequence[NamedOutput], placement: Placement, *, item: int
) -> Findings:
    """Give the boxes that survive, in picture pixels, clipped to the picture, best first.

    Equal scores keep the order of the head. Boxes with a NaN or an infinity, and boxes of which
    nothing lies in the picture, are dropped.
    """
    output = first_output(outputs)
    # A model may overflow: what is not finite is dropped below, and needs no warning.
    with np.errstate(invalid="ignore", over="ignore"):
        if spec.version == "v5":
            candidates = _read_v5(output, placement, spec.score_threshold, item=item)
        else:
            candidates = _read_v8(output, placement, spec.score_threshold, item=item)
        kept = _suppressed(_sound(candidates), spec)
    boxes = boxes_to_picture(placement, kept.boxes)
    return Findings(
        kind="detections",
        detections=tuple(
            Detection(class_id=class_id, score=min(1.0, score), box=(x0, y0, x1, y1))
            for class_id, score, (x0, y0, x1, y1) in zip(
                kept.class_ids.tolist(), kept.scores.tolist(), boxes.tolist(), strict=True
            )
            if x0 < x1 and y0 < y1
        ),
    )


def _read_v5(
    output: NamedOutput, placement: Placement, threshold: float, *, item: int
) -> _Candidates:
    head = as_float32(output.item(item))
    if head.ndim != 2 or head.shape[1] < 6 or _is_turned(head.shape[::-1], placement):
        raise output.wrong_shape("(batch, rows, 5 + classes), the head of YOLOv5")
    # A class's score is at most 1, so a row below the threshold here cannot pass it later.
    head = head[head[:, 4] >= threshold]
    scores = head[:, 5:] * head[:, 4:5]
    class_ids = scores.argmax(axis=1)
    return _passing(head[:, :4], scores.max(axis=1), class_ids, threshold)


def _read_v8(
    output: NamedOutput, placement: Placement, threshold: float, *, item: int
) -> _Candidates:
    head = as_float32(output.item(item))
    if head.ndim != 2 or head.shape[0] < 5 or _is_turned(head.shape, placement):
        raise output.wrong_shape("(batch, 4 + classes, anchors), the head of YOLOv8")
    # The best class is looked for only in the few columns that pass.
    passing = np.flatnonzero(head[4:].max(axis=0) >= threshold)
    columns = head[:, passing].T
    class_ids = columns[:, 4:].argmax(axis=1)
    return _passing(columns[:, :4], columns[:, 4:].max(axis=1), class_ids, threshold)


def _is_turned(shape: tuple[int, ...], placement: Placement) -> bool:
    """Whether *shape* has the input's anchors first, where its last axis should have them.

    The other head's output is told from ours by the number of cells that the input has.
    """
    cells = sum(
        -(-placement.input_width_px // stride) * -(-placement.input_height_px // stride)
        for stride in _STRIDES_PX
    )
    anchors = {cells, cells * _V5_ANCHORS_PER_CELL}
    return shape[0] in anchors and shape[-1] not in anchors


def _passing(
    middles: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.intp],
    threshold: float,
) -> _Candidates:
    """Drop scores below *threshold*, NaN included, and turn x y w h into corners."""
    half = middles[:, 2:] / 2
    corners = np.concatenate((middles[:, :2] - half, middles[:, :2] + half), axis=1)
    return _Candidates(boxes=corners, scores=scores, class_ids=class_ids).taken(scores >= threshold)


def _sound(candidates: _Candidates) -> _Candidates:
    """Drop boxes that are not finite or have no area, and sort the rest: best first."""
    boxes = candidates.boxes
    sound = np.isfinite(boxes).all(axis=1) & np.isfinite(candidates.scores)
    sound &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept = candidates.taken(sound)
    return kept.taken(np.argsort(-kept.scores, kind="stable"))


def _suppressed(candidates: _Candidates, spec: YoloDecoder) -> _Candidates:
    """Drop each box that overlaps a better one of its class by more than ``iou_threshold``.

    *candidates* come best first. Each round keeps one box, so there are at most ``max_detections``
    rounds, whatever the model found.
    """
    boxes = candidates.boxes.astype(np.float64)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    waiting = np.arange(len(boxes))
    kept: list[int] = []
    while waiting.size and len(kept) < spec.max_detections:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        low = np.maximum(boxes[waiting, :2], boxes[best, :2])
        high = np.minimum(boxes[waiting, 2:], boxes[best, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        overlap = shared / (areas[waiting] + areas[best] - shared)
        other_class = candidates.class_ids[waiting] != candidates.class_ids[best]
        waiting = waiting[other_class | ~(overlap > spec.iou_threshold)]
    return candidates.taken(np.array(kept, dtype=np.intp))
