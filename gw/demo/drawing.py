"""What was found, drawn into the pictures: the demonstration's output folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gw.demo.pictures import Picture, decode
from pipeline.errors import InvalidSettings

#: The pictures as they were sent lie in this folder beside the drawn ones.
SENT_FOLDER: Final = "sent"

_BGR: Final = (40, 40, 230)
_KEPT_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})
#: The shorter side that one pixel of line goes with.
_PX_PER_LINE_PX: Final = 300

Point = Sequence[float]


def regions_of(result: dict[str, Any] | None) -> list[list[Point]]:
    """Give the outlines of the text regions of a result, in pixels of the picture."""
    return [region["quad"] for region in (result or {}).get("text_regions", ())]


def drawn_name(name: str) -> str:
    """Give the drawn picture's file name: formats that are not written become PNG."""
    return name if Path(name).suffix.lower() in _KEPT_SUFFIXES else f"{name}.png"


def draw(picture: Picture, regions: Sequence[Sequence[Point]]) -> bytes | None:
    """Give the picture with *regions* outlined, encoded; None if it cannot be decoded."""
    import cv2  # noqa: PLC0415 - only the demonstration needs OpenCV
    import numpy as np  # noqa: PLC0415 - likewise

    bgr = decode(picture.data)
    if bgr is None:
        return None
    outlines = [np.rint(np.array(points, np.float64)).astype(np.int32) for points in regions]
    line_px = max(1, round(min(bgr.shape[:2]) / _PX_PER_LINE_PX))
    cv2.polylines(bgr, outlines, isClosed=True, color=_BGR, thickness=line_px)
    _, encoded = cv2.imencode(Path(drawn_name(picture.name)).suffix.lower(), bgr)
    return encoded.tobytes()


def write_pictures(
    found: Sequence[tuple[Picture, Sequence[Sequence[Point]]]], folder: Path
) -> list[Path]:
    """Write each picture as it was sent, and with its regions drawn; give the drawn ones' paths.

    Raises InvalidSettings where the folder cannot be written.
    """
    written = []
    try:
        (folder / SENT_FOLDER).mkdir(parents=True, exist_ok=True)
        for picture, regions in found:
            (folder / SENT_FOLDER / picture.name).write_bytes(picture.data)
            drawn = draw(picture, regions)
            if drawn is not None:
                path = folder / drawn_name(picture.name)
                path.write_bytes(drawn)
                written.append(path)
    except OSError as error:
        raise InvalidSettings(f"{folder} cannot be written: {error.strerror}") from error
    return written
