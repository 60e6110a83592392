"""Pictures to submit: drawn from a seed, about as dear to decode as photographs of their size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

WIDTH_PX, HEIGHT_PX = 640, 480
_JPEG_QUALITY = 85
_WORDS = ("INVOICE 2041", "dispatch", "lot 77-B", "keep dry", "total 318.40", "EXIT")


def draw_pictures(
    count: int = 8, *, seed: int = 7, size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)
) -> tuple[bytes, ...]:
    """Give *count* different JPEG files of *size_px* with shapes, texture and lines of text."""
    return tuple(
        _encoded(_drawn(np.random.default_rng((seed, index)), *size_px)) for index in range(count)
    )


def describe(pictures: Sequence[bytes]) -> str:
    """Say what the pictures are, for a table."""
    mean_kb = sum(map(len, pictures)) / len(pictures) / 1000
    return f"JPEG {WIDTH_PX} x {HEIGHT_PX}, {mean_kb:.0f} kB"


def _drawn(random: np.random.Generator, width_px: int, height_px: int) -> Any:
    coarse = random.integers(40, 216, (12, 16, 3), dtype=np.uint8)
    canvas: Any = cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        centre = (int(random.integers(width_px)), int(random.integers(height_px)))
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        cv2.circle(canvas, centre, int(random.integers(15, 70)), colour, -1, cv2.LINE_AA)
    for line, word in enumerate(_WORDS):
        place = (int(random.integers(20, 260)), 60 + 75 * line)
        cv2.putText(canvas, word, place, cv2.FONT_HERSHEY_SIMPLEX, 1.4, (20, 20, 20), 3)
    grain = random.normal(0.0, 5.0, canvas.shape)
    return np.clip(canvas + grain, 0, 255).astype(np.uint8)


def _encoded(canvas: Any) -> bytes:
    _, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    encoded: bytes = data.tobytes()
    return encoded
