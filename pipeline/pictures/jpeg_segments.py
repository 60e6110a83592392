"""The segments of a JPEG up to its first scan, and what its frame header says of its coding.

Source: ITU-T T.81 annex B; the Adobe segment as in the technical note 5116, section 18.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from pipeline.errors import InvalidPicture

# A bound on the walk, so that bytes made of tiny segments cost no more than a real picture: a JPEG
# full of profiles has a few hundred.
MAX_MARKERS = 4_096

START_OF_SCAN = 0xDA
EXIF_SEGMENT = 0xE1
_ADOBE_SEGMENT = 0xEE
BASELINE = 0xC0
PROGRESSIVE = 0xC2
#: Baseline, extended sequential, progressive: those that are Huffman-coded and in use.
FRAMES = frozenset({BASELINE, 0xC1, PROGRESSIVE})
OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
#: Start and end of the picture: neither may come again before the pixels.
_LIMITS = frozenset({0xD8, 0xD9})
#: A marker that stands for something here: not stuffing, fill, TEM or RST0..RST7.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegFrame:
    """How a JPEG is coded.

    *marker* is the frame's (BASELINE, PROGRESSIVE ...), *sampling* the horizontal and vertical
    factor of each component, *component_ids* their names. *adobe_transform* is the Adobe segment's
    word on the colours, None without one: 0 is RGB or CMYK, 1 YCbCr, 2 YCCK.
    """

    marker: int
    width_px: int
    height_px: int
    component_ids: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]
    adobe_transform: int | None = None


def next_segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Find the next marker that has a length: (offset of the length, marker, length in bytes).

    Fill bytes and stray bytes between segments are stepped over, as libjpeg does.
    """
    found = _MARKER.search(data, position)
    if found is None:
        raise InvalidPicture("The JPEG ends inside its header.")
    marker = data[found.start() + 1]
    if marker in _LIMITS:
        raise InvalidPicture("The JPEG ends before its pixels.")
    (length_bytes,) = struct.unpack_from(">H", data, found.end())
    if length_bytes < 2:
        raise InvalidPicture("The JPEG has a segment of impossible length.")
    return found.end(), marker, length_bytes


def scan_offset(data: bytes) -> int:
    """Find where the first scan's header begins, past any thumbnail that has an end of its own."""
    position = 2
    for _ in range(MAX_MARKERS):
        position, marker, length_bytes = next_segment(data, position)
        position += length_bytes
        if marker == START_OF_SCAN:
            return position
    return len(data)


def read_frame(data: bytes) -> JpegFrame:
    """Read how *data*, a JPEG, is coded; raises InvalidPicture where it does not say."""
    frame: JpegFrame | None = None
    transform: int | None = None
    position = 2
    try:
        for _ in range(MAX_MARKERS):
            position, marker, length_bytes = next_segment(data, position)
            if marker in FRAMES or marker in OTHER_FRAMES:
                frame = _frame(data, position, marker)
            elif marker == _ADOBE_SEGMENT and data[position + 2 : position + 7] == b"Adobe":
                transform = data[position + 13]
            elif marker == START_OF_SCAN:
                break
            position += length_bytes
    except (struct.error, IndexError) as exc:
        raise InvalidPicture("The JPEG ends inside its header.") from exc
    if frame is None:
        raise InvalidPicture("The JPEG has pixels but no frame header.")
    return JpegFrame(
        marker=frame.marker,
        width_px=frame.width_px,
        height_px=frame.height_px,
        component_ids=frame.component_ids,
        sampling=frame.sampling,
        adobe_transform=transform,
    )


def _frame(data: bytes, position: int, marker: int) -> JpegFrame:
    """Read the frame header whose length field is at *position*."""
    height_px, width_px, count = struct.unpack_from(">HHB", data, position + 3)
    components = [
        data[position + 8 + 3 * index : position + 11 + 3 * index] for index in range(count)
    ]
    return JpegFrame(
        marker=marker,
        width_px=width_px,
        height_px=height_px,
        component_ids=tuple(component[0] for component in components),
        sampling=tuple((component[1] >> 4, component[1] & 15) for component in components),
    )
