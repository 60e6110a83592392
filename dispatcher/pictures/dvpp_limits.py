"""Which pictures the NPU's picture units take, told from the picture's header. Pure.

Source: CANN's pages on the restrictions of JPEGD and VPC, column Atlas 200I/500 A2. The decoder's
largest side is not told for it; that of the scaling unit, which comes next, stands for it. The
factors are those of the unit's earlier generations, the narrowest that are documented.
"""

from __future__ import annotations

from collections.abc import Iterator

from dispatcher.pictures.geometry import Placement
from pipeline.pictures.header import PictureFormat, PictureHeader
from pipeline.pictures.jpeg_segments import BASELINE, PROGRESSIVE, JpegFrame

_LEAST_JPEG_PX, _MOST_JPEG_PX = 32, 8192
_LEAST_SCALED_PX = (10, 6)
_MOST_SCALED_PX = (4096, 8192)
_SCALES = (1 / 32, 16.0)
#: Key, least and most of the sides of a model's input that the scaling unit can write.
DVPP_OUTPUT_SIDES_PX = tuple(
    zip(("width_px", "height_px"), _LEAST_SCALED_PX, _MOST_SCALED_PX, strict=True)
)

#: 4:4:4, 4:2:2, 4:2:0 and 4:4:0: how often luma is sampled for each sample of chroma.
_SAMPLINGS = frozenset({(1, 1), (2, 1), (2, 2), (1, 2)})
_GREY, _COLOUR, _CMYK = 1, 3, 4
_RGB_IDS = tuple(b"RGB")


def why_not(header: PictureHeader, frame: JpegFrame | None, placement: Placement) -> str:
    """Say in a clause why the units cannot prepare a picture; "" where they can.

    *frame* is None for what is no JPEG. *placement* is the picture's, with even edges where the
    picture's own sides are even.
    """
    return next(_reasons(header, frame, placement), "")


def _reasons(header: PictureHeader, frame: JpegFrame | None, placement: Placement) -> Iterator[str]:
    if header.format is not PictureFormat.JPEG or frame is None:
        yield f"it is a {header.format.upper()}"
        return
    yield from _coding(frame)
    if header.orientation != 1:
        yield "it has to be turned"
    sides_px = (header.width_px, header.height_px)
    if min(sides_px) < _LEAST_JPEG_PX or max(sides_px) > _MOST_JPEG_PX:
        yield f"its sides are not within {_LEAST_JPEG_PX} to {_MOST_JPEG_PX}"
    if any(side_px % 2 for side_px in sides_px):
        yield "a side is odd"
    yield from _scaling(placement)


def _coding(frame: JpegFrame) -> Iterator[str]:
    if frame.marker == PROGRESSIVE:
        yield "it is progressive"
    elif frame.marker != BASELINE:
        yield "it is not baseline"
    components = len(frame.sampling)
    if components == _CMYK:
        yield "it is CMYK"
    elif components == _COLOUR:
        if frame.adobe_transform == 0 or frame.component_ids == _RGB_IDS:
            yield "its colours are RGB"
        if _luma_per_chroma(frame) not in _SAMPLINGS:
            yield "its chroma is sampled in an uncommon way"
    elif components != _GREY:
        yield f"it has {components} components"


def _luma_per_chroma(frame: JpegFrame) -> tuple[int, int] | None:
    luma, first, second = frame.sampling
    if first != second or 0 in first or luma[0] % first[0] or luma[1] % first[1]:
        return None
    return luma[0] // first[0], luma[1] // first[1]


def _scaling(placement: Placement) -> Iterator[str]:
    for rect in (placement.source, placement.target):
        if rect.width_px < _LEAST_SCALED_PX[0] or rect.height_px < _LEAST_SCALED_PX[1]:
            yield "it is too narrow to be scaled"
    if not all(
        _SCALES[0] <= factor <= _SCALES[1] for factor in (placement.scale_x, placement.scale_y)
    ):
        yield "it is scaled by too much"
