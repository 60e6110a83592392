"""Previews: a job's picture with what the model found drawn on it, for submitters who ask for one.

Drawn here because only here are pixels and findings together. Scores and labels are chosen as the
model's rules choose them; its regions are not applied. A preview that cannot be drawn costs its job
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from threading import local
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dispatcher.pictures.decoding import decode_picture
from pipeline.clock import Clock
from pipeline.errors import JobFault, Unavailable
from pipeline.jobs.job import Job
from pipeline.jobs.kept import KeptPictures
from pipeline.models.findings import Findings
from pipeline.models.rules import Rules
from pipeline.pictures.blobs import FileBlobs

log = logging.getLogger(__name__)

#: The longer side of a preview at most: enough to look at, and a bound for the encoder.
MAX_SIDE_PX = 1920
_QUALITY = 85

#: The longer side is divided by this for a line's width, and by that for a letter's height.
_LINE_SHARE = 400
_TEXT_SHARE = 45
_MIN_TEXT_PX = 11

#: As BGR, told apart on most pictures; a class keeps its colour.
_COLOURS = (
    (80, 175, 76),
    (244, 133, 66),
    (60, 76, 231),
    (0, 180, 251),
    (176, 39, 156),
    (193, 172, 0),
    (34, 87, 255),
    (200, 110, 30),
)
_WHITE = (255, 255, 255)

Pixels = NDArray[np.uint8]

#: OpenCV's fonts are not made for several threads at once.
_fonts = local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One thing to draw: *corners* (n, 2) as x y in picture pixels, none for the whole picture."""

    corners: NDArray[np.float64] | None
    text: str
    colour: tuple[int, int, int]


class Previewer:
    """Draws and stores previews. Calls block: run them in a thread."""

    def __init__(
        self,
        *,
        blobs: FileBlobs,
        kept: KeptPictures,
        clock: Clock,
        max_pixels: int,
        retention_s: int,
    ) -> None:
        self._blobs = blobs
        self._kept = kept
        self._clock = clock
        self._max_pixels = max_pixels
        self._retention_s = retention_s

    def make(self, job: Job, findings: Findings, rules: Rules) -> None:
        """Draw and store the preview of a job that asks for one, while its picture is there."""
        if not job.preview:
            return
        data = self._blobs.get(job.job_id)
        if data is None:
            return
        try:
            pixels = decode_picture(data, target=None, max_pixels=self._max_pixels)
            jpeg = encoded(drawn(pixels.bgr, list(marks_of(findings, rules))))
            until_unix_ms = self._clock.unix_ms() + (job.keep_record_s or self._retention_s) * 1000
            self._kept.put_preview(job.job_id, jpeg, until_unix_ms=until_unix_ms)
        except (JobFault, Unavailable, OSError, cv2.error) as exc:
            log.warning("preview.undrawn", extra={"job_id": job.job_id, "reason": str(exc)})


def marks_of(findings: Findings, rules: Rules) -> Iterator[Mark]:
    """Give what is to be drawn of *findings*, the best last, so that it lies on top."""
    for number, found in enumerate(findings.classes):
        label = rules.label_of(found.class_id)
        if rules.wants(label, found.score):
            yield Mark(corners=None, text=_text(label, found.score), colour=_colour(number))
    for detection in reversed(findings.detections):
        label = rules.label_of(detection.class_id)
        if rules.wants(label, detection.score):
            x0, y0, x1, y1 = detection.box
            yield Mark(
                corners=np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64),
                text=_text(label, detection.score),
                colour=_colour(detection.class_id),
            )
    for region in reversed(findings.text_regions):
        if rules.wants("text", region.score):
            # A box of its own says that there is text; what it reads is the picture's.
            yield Mark(corners=np.array(region.quad, np.float64), text="", colour=_colour(0))


def drawn(bgr: Pixels, marks: list[Mark]) -> Pixels:
    """Give a copy of the picture, at most MAX_SIDE_PX large, with *marks* on it."""
    scale = min(1.0, MAX_SIDE_PX / max(bgr.shape[:2]))
    canvas: Any = bgr.copy()
    if scale < 1.0:
        canvas = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    longest_px = max(canvas.shape[:2])
    line_px = max(1, round(longest_px / _LINE_SHARE))
    text_px = max(_MIN_TEXT_PX, round(longest_px / _TEXT_SHARE))
    line_y_px = 0
    for mark in marks:
        if mark.corners is None:
            _write(canvas, mark, 0, line_y_px, text_px)
            line_y_px += round(text_px * 1.5)
            continue
        corners = np.rint(mark.corners * scale).astype(np.int32)
        cv2.polylines(canvas, [corners], True, mark.colour, line_px, cv2.LINE_AA)
        if mark.text:
            x_px, y_px = corners.min(axis=0)
            _write(canvas, mark, int(x_px), int(y_px) - round(text_px * 1.4), text_px)
    return canvas  # type: ignore[no-any-return]  # OpenCV's stubs know no dtype


def encoded(bgr: Pixels) -> bytes:
    """Give the picture as a JPEG."""
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise JobFault("the preview could not be encoded")
    return bytes(data)


def _write(canvas: Any, mark: Mark, x_px: int, y_px: int, text_px: int) -> None:
    """Write a mark's text on a plate of its colour, kept within the picture."""
    height_px, width_px = canvas.shape[:2]
    font = _font()
    plate_px = round(text_px * 1.4)
    _, _, text_width_px, _ = cv2.getTextSize(
        (width_px, height_px), mark.text, (0, 0), font, text_px
    )
    x_px = max(0, min(x_px, width_px - text_width_px - 4))
    y_px = max(0, min(y_px, height_px - plate_px))
    right_px = min(width_px, x_px + text_width_px + 4)
    cv2.rectangle(canvas, (x_px, y_px), (right_px, y_px + plate_px), mark.colour, cv2.FILLED)
    baseline_px = y_px + round(text_px * 1.05)
    cv2.putText(canvas, mark.text, (x_px + 2, baseline_px), _WHITE, font, text_px)


def _font() -> Any:
    if not hasattr(_fonts, "font"):
        # The one that comes with OpenCV and knows Chinese.
        _fonts.font = cv2.FontFace("uni")
    return _fonts.font


def _text(label: str, score: float) -> str:
    return f"{label} {score:.2f}"


def _colour(number: int) -> tuple[int, int, int]:
    return _COLOURS[number % len(_COLOURS)]
