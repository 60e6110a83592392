"""Drawing what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dispatcher.pictures.previews import MAX_SIDE_PX, Previewer, drawn, encoded, marks_of
from pipeline.clock import SystemClock
from pipeline.jobs.kept import KeptPictures
from pipeline.models.findings import ClassScore, Detection, Findings, NamedTensor, TextRegion
from pipeline.models.rules import Rules
from pipeline.pictures.blobs import FileBlobs
from tests.builders import make_job

RULES = Rules(labels=("cat", "狗"), min_score=0.5, exclude=("class_7",))
BOX = (40.0, 60.0, 160.0, 140.0)


def found(*detections: tuple[int, float]) -> Findings:
    """Make detections of one place."""
    return Findings(
        kind="detections",
        detections=tuple(
            Detection(class_id=class_id, score=score, box=BOX) for class_id, score in detections
        ),
    )


def canvas(height_px: int = 200, width_px: int = 200) -> Any:
    """Make a grey picture."""
    return np.full((height_px, width_px, 3), 90, np.uint8)


def test_marks_are_what_the_rules_keep() -> None:
    """By score and label, with the label and the score, the best on top."""
    marks = list(marks_of(found((0, 0.9), (1, 0.8), (0, 0.4), (7, 0.9)), RULES))

    assert [mark.text for mark in marks] == ["狗 0.80", "cat 0.90"]
    assert [mark.corners.tolist() for mark in marks if mark.corners is not None] == [
        [[40, 60], [160, 60], [160, 140], [40, 140]]
    ] * 2
    assert marks[0].colour != marks[1].colour


def test_every_kind_of_finding_has_its_marks() -> None:
    """Classes without a place, text by its outline, tensors not at all."""
    classes = Findings(kind="classes", classes=(ClassScore(class_id=1, score=0.7),))
    quad = ((1.0, 2.0), (9.0, 3.0), (9.0, 8.0), (1.0, 7.0))
    text = Findings(kind="text_regions", text_regions=(TextRegion(score=0.8, quad=quad),))
    tensor = NamedTensor(name="t", shape=(1,), dtype="float32", values=(1.0,))
    tensors = Findings(kind="tensors", tensors=(tensor,))

    (whole,) = marks_of(classes, RULES)
    (outline,) = marks_of(text, RULES)

    assert (whole.corners, whole.text) == (None, "狗 0.70")
    assert outline.corners is not None
    assert outline.corners.tolist() == [list(point) for point in quad]
    assert list(marks_of(tensors, RULES)) == []


def test_a_box_is_drawn_where_it_lies() -> None:
    """Its edges are of its colour, and what is outside and within stays."""
    picture = canvas()
    (mark,) = marks_of(found((0, 0.9)), RULES)

    out = drawn(picture, [mark])

    assert (picture == 90).all(), "the picture itself is not drawn on"
    for y_px, x_px in ((140, 100), (100, 160)):
        # Smoothed edges come within a little of the pure colour.
        assert np.abs(out[y_px, x_px].astype(int) - mark.colour).max() < 12
    assert (out[100, 100] == 90).all()
    assert (out[180, 20] == 90).all()
    assert (out[40:60, 40:100] == 255).any(), "the label stands on the box"


@pytest.mark.parametrize("size_px", [(1, 1), (3, 2_000), (2_500, 4_000)])
def test_pictures_of_every_size_are_drawn(size_px: tuple[int, int]) -> None:
    """None is larger than the bound, and labels stay within the smallest."""
    out = drawn(canvas(*size_px), list(marks_of(found((1, 0.9)), RULES)))

    assert max(out.shape[:2]) == min(max(size_px), MAX_SIDE_PX)
    assert out.shape[1] / out.shape[0] == pytest.approx(size_px[1] / size_px[0], rel=0.5)


def previewer(folder: Path) -> tuple[Previewer, FileBlobs, KeptPictures]:
    """Make a previewer with its folders."""
    blobs, kept = FileBlobs(folder / "pictures"), KeptPictures(folder / "kept")
    made = Previewer(
        blobs=blobs, kept=kept, clock=SystemClock(), max_pixels=1_000_000, retention_s=60
    )
    return made, blobs, kept


def test_a_preview_is_made_for_who_asks(tmp_path: Path) -> None:
    """As a JPEG of the picture's size; for nobody else, and not without a picture."""
    made, blobs, kept = previewer(tmp_path)
    asked, silent, lost = make_job(preview=True), make_job(), make_job(preview=True)
    for job in (asked, silent):
        blobs.put(job.job_id, encoded(canvas()))

    for job in (asked, silent, lost):
        made.make(job, found((0, 0.9)), RULES)

    jpeg = kept.preview(asked.job_id)
    assert jpeg is not None
    pixels: Any = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (200, 200, 3)
    assert np.abs(pixels.astype(int) - 90).max() > 60
    assert [kept.preview(job.job_id) for job in (silent, lost)] == [None, None]


def test_a_preview_that_cannot_be_drawn_stops_nothing(tmp_path: Path) -> None:
    """The job goes on without one."""
    made, blobs, kept = previewer(tmp_path)
    job = make_job(preview=True)
    blobs.put(job.job_id, b"no picture")

    made.make(job, found((0, 0.9)), RULES)

    assert kept.preview(job.job_id) is None
