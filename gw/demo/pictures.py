"""The demonstration's pictures: those that scikit-image ships in its wheel, or somebody's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pipeline.errors import InvalidSettings

#: Photographs and scanned text that are inside the wheel, so that nothing is fetched.
SHIPPED: Final = (
    "page.png",
    "text.png",
    "coffee.png",
    "rocket.jpg",
    "astronaut.png",
    "chelsea.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "hubble_deep_field.jpg",
    "clock_motion.png",
)

#: As large as a camera's picture, with the scanned text among photographs.
COMPOSED_NAME: Final = "composed.jpg"
COMPOSED_WIDTH_PX: Final = 1920
COMPOSED_HEIGHT_PX: Final = 1080

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
#: More than so many pictures of a folder are left out: this is a demonstration, not a batch.
PICTURES_MAX: Final = 100

_JPEG_QUALITY: Final = 90
_BACKGROUND_GREY: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture file. *name* is unique among the demonstration's."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A place in the composed picture, in its pixels."""

    name: str
    left_px: int
    top_px: int
    width_px: int
    height_px: int


TILES: Final = (
    Tile(name="motorcycle_left.png", left_px=0, top_px=0, width_px=800, height_px=540),
    Tile(name="page.png", left_px=800, top_px=0, width_px=1120, height_px=540),
    Tile(name="coffee.png", left_px=0, top_px=540, width_px=800, height_px=540),
    Tile(name="text.png", left_px=800, top_px=540, width_px=1120, height_px=540),
)


def shipped_pictures() -> list[Picture]:
    """Give the shipped pictures and one composed of them; raises InvalidSettings without them."""
    folder = _shipped_folder()
    pictures = [Picture(name=name, data=(folder / name).read_bytes()) for name in SHIPPED]
    by_name = {picture.name: picture.data for picture in pictures}
    return [*pictures, Picture(name=COMPOSED_NAME, data=compose(by_name))]


def pictures_in(folder: Path) -> list[Picture]:
    """Give the pictures of *folder* in the order of their names, PICTURES_MAX at most.

    Raises InvalidSettings where there is none.
    """
    try:
        files = sorted(
            path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()
        )
        pictures = [
            Picture(name=file.name, data=file.read_bytes()) for file in files[:PICTURES_MAX]
        ]
    except OSError as error:
        raise InvalidSettings(f"{error.filename} cannot be read: {error.strerror}") from error
    if not pictures:
        raise InvalidSettings(f"{folder} holds no JPEG, PNG, BMP or WebP picture")
    return pictures


def compose(pictures: Mapping[str, bytes]) -> bytes:
    """Set *pictures* (by name) side by side as TILES says; gives a JPEG of 1920 x 1080."""
    import cv2  # noqa: PLC0415 - only the demonstration needs OpenCV
    import numpy as np  # noqa: PLC0415 - likewise

    canvas = np.full((COMPOSED_HEIGHT_PX, COMPOSED_WIDTH_PX, 3), _BACKGROUND_GREY, np.uint8)
    for tile in TILES:
        bgr = decode(pictures[tile.name])
        if bgr is None:
            raise InvalidSettings(f"{tile.name} is no picture that OpenCV can read")
        height_px, width_px = bgr.shape[:2]
        scale = min(tile.width_px / width_px, tile.height_px / height_px)
        size_px = round(width_px * scale), round(height_px * scale)
        scaled = cv2.resize(bgr, size_px, interpolation=cv2.INTER_CUBIC)
        top_px = tile.top_px + (tile.height_px - size_px[1]) // 2
        left_px = tile.left_px + (tile.width_px - size_px[0]) // 2
        canvas[top_px : top_px + size_px[1], left_px : left_px + size_px[0]] = scaled
    _, encoded = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes()


def decode(data: bytes) -> Any:
    """Give the pixels, upright: uint8, shape (height, width, 3), BGR. None where that fails."""
    import cv2  # noqa: PLC0415 - only the demonstration needs OpenCV
    import numpy as np  # noqa: PLC0415 - likewise

    try:
        with _native_silence():
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # an empty file, or a size beyond OpenCV's own limit
        return None


@contextmanager
def _native_silence() -> Iterator[None]:
    """Silence what native code says: libpng writes a line about a colour profile by itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _shipped_folder() -> Path:
    # Found without being imported: that would take half a second and SciPy along.
    found = find_spec("skimage")
    for place in (found.submodule_search_locations or ()) if found else ():
        folder = Path(place) / "data"
        if all((folder / name).is_file() for name in SHIPPED):
            return folder
    raise InvalidSettings(
        "the demonstration's pictures come with scikit-image, which is not installed here;"
        " install gw with its extra `demo`, or name your own with --pictures"
    )
