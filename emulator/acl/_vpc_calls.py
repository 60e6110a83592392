"""acl.media: the scaling unit. Everything is checked now, and done when the stream comes to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from acl import _codes
from acl._dvpp import (
    PIC_DESC,
    RESIZE,
    ROI,
    Choice,
    PicDesc,
    Roi,
    blocks_of,
    check_picture,
    check_roi,
    open_channel,
    pixels_of,
)
from acl._machine import Machine, here
from acl._pixels import Pixels, pack, unpack
from acl._stream_calls import foreign_stream, no_stream, usable
from acl._streams import Stream, Task
from acl._surface import exported

_media = exported("acl.media")
_NEAREST = 2
_Work = Callable[[Pixels, Pixels], Pixels]


def scale(pixels: Pixels, width_px: int, height_px: int, interpolation: int) -> Pixels:
    """Give *pixels* in another size."""
    import cv2  # noqa: PLC0415 - only programs that use the picture units need OpenCV

    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    how = cv2.INTER_NEAREST if interpolation == _NEAREST else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width_px, height_px), interpolation=how), np.uint8)


def _pictures(
    machine: Machine, channel: int, source: int, target: int, call: str
) -> tuple[PicDesc, PicDesc] | int:
    if code := usable(machine, call) or open_channel(machine, channel, call):
        return code
    given = machine.ledger.get(PIC_DESC, source, PicDesc, call=call)
    wanted = machine.ledger.get(PIC_DESC, target, PicDesc, call=call)
    if given is None or wanted is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: two picture descriptions are needed")
    code = check_picture(machine, given, call, output=False)
    code = code or check_picture(machine, wanted, call, output=True)
    return code or (given, wanted)


def _region(machine: Machine, handle: int, pic: PicDesc, call: str) -> Roi | int:
    roi = machine.ledger.get(ROI, handle, Roi, call=call)
    if roi is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no region {handle:#x}")
    # The program may free the region before the stream comes to the work.
    return check_roi(machine, roi, pic, call) or Roi(roi.left, roi.right, roi.top, roi.bottom)


def _interpolation(machine: Machine, config: int, call: str) -> int | None:
    found = machine.ledger.get(RESIZE, config, Choice, call=call)
    if found is None:
        machine.fail(_codes.INVALID_PARAM, f"{call}: no resize config {config:#x}")
        return None
    return found.value


def _queue(
    machine: Machine, pictures: tuple[PicDesc, PicDesc], stream: int, work: _Work, call: str
) -> int:
    queued_in = machine.stream(stream, call=call)
    if queued_in is None:
        return no_stream(machine, stream, call)
    if code := foreign_stream(machine, queued_in, call):
        return code
    source, target = pictures

    def run(_stream: Stream) -> int:
        raw_in, raw_out = pixels_of(machine, source, call), pixels_of(machine, target, call)
        if raw_in is None or raw_out is None:
            target.ret_code = _codes.RT_MODEL_EXECUTE
            return target.ret_code
        strides = (source.width_stride, source.height_stride)
        pixels = unpack(raw_in, source.format, (source.width, source.height), strides)
        out_strides = (target.width_stride, target.height_stride)
        there = unpack(raw_out, target.format, (target.width, target.height), out_strides)
        pack(work(pixels, there), raw_out, target.format, out_strides)
        target.ret_code = 0
        return 0

    blocks = blocks_of(machine, source.data, target.data)
    queued_in.submit(Task(call, run, blocks=blocks))
    return _codes.SUCCESS


@_media
def dvpp_vpc_resize_async(channel: int, source: int, target: int, config: int, stream: int) -> int:
    """Scale a picture to the target's size."""
    machine, call = here(), "acl.media.dvpp_vpc_resize_async"
    pictures = _pictures(machine, channel, source, target, call)
    if isinstance(pictures, int):
        return pictures
    interpolation = _interpolation(machine, config, call)
    if interpolation is None:
        return _codes.INVALID_PARAM
    size = (pictures[1].width, pictures[1].height)
    return _queue(machine, pictures, stream, lambda p, _: scale(p, *size, interpolation), call)


@_media
def dvpp_vpc_crop_async(channel: int, source: int, target: int, region: int, stream: int) -> int:
    """Cut a region out, and scale it to the target's size."""
    call = "acl.media.dvpp_vpc_crop_async"
    return _crop((channel, source, target, region), 0, stream, call)


@_media
def dvpp_vpc_crop_resize_async(
    channel: int, source: int, target: int, region: int, config: int, stream: int
) -> int:
    """Cut a region out, and scale it to the target's size as *config* says."""
    call = "acl.media.dvpp_vpc_crop_resize_async"
    interpolation = _interpolation(here(), config, call)
    if interpolation is None:
        return _codes.INVALID_PARAM
    return _crop((channel, source, target, region), interpolation, stream, call)


def _crop(handles: tuple[int, int, int, int], interpolation: int, stream: int, call: str) -> int:
    machine = here()
    pictures = _pictures(machine, *handles[:3], call)
    if isinstance(pictures, int):
        return pictures
    roi = _region(machine, handles[3], pictures[0], call)
    if isinstance(roi, int):
        return roi
    size = (pictures[1].width, pictures[1].height)
    return _queue(
        machine, pictures, stream, lambda p, _: scale(_cut(p, roi), *size, interpolation), call
    )


def _cut(pixels: Pixels, roi: Roi) -> Pixels:
    return np.ascontiguousarray(pixels[roi.top : roi.bottom + 1, roi.left : roi.right + 1])


@_media
def dvpp_vpc_crop_and_paste_async(
    channel: int, source: int, target: int, crop: int, paste: int, stream: int
) -> int:
    """Cut a region out, and scale it into a region of the target; the rest of that stays."""
    machine, call = here(), "acl.media.dvpp_vpc_crop_and_paste_async"
    pictures = _pictures(machine, channel, source, target, call)
    if isinstance(pictures, int):
        return pictures
    cut = _region(machine, crop, pictures[0], call)
    if isinstance(cut, int):
        return cut
    into = _region(machine, paste, pictures[1], call)
    if isinstance(into, int):
        return into

    def work(pixels: Pixels, there: Pixels) -> Pixels:
        piece = scale(_cut(pixels, cut), into.width, into.height, 0)
        there[into.top : into.bottom + 1, into.left : into.right + 1] = piece
        return there

    return _queue(machine, pictures, stream, work, call)


@_media
def dvpp_vpc_convert_color_async(channel: int, source: int, target: int, stream: int) -> int:
    """Convert a picture to the target's format."""
    machine, call = here(), "acl.media.dvpp_vpc_convert_color_async"
    pictures = _pictures(machine, channel, source, target, call)
    if isinstance(pictures, int):
        return pictures
    given, wanted = pictures
    if (given.width, given.height) != (wanted.width, wanted.height):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: the sizes differ")
    return _queue(machine, pictures, stream, lambda pixels, _: pixels, call)
