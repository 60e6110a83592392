"""The things that the picture units work on: channels, picture descriptions, regions, settings."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from acl import _codes
from acl._machine import Machine
from acl._memory import Block, Span
from acl._pixels import EVEN, SUPPORTED, Pixels, buffer_bytes, row_bytes

CHANNEL_DESC = "dvpp channel desc"
PIC_DESC = "dvpp pic desc"
ROI = "dvpp roi config"
RESIZE = "dvpp resize config"
JPEGE = "dvpp jpege config"
DVPP_MEMORY = "dvpp"

# Sides that the scaling unit takes and gives, and strides.
_LEAST_PX = (10, 6)
_MOST_IN_PX = (8192, 8192)
_MOST_OUT_PX = (4096, 8192)
_MOST_STRIDE = 16384


@dataclass(slots=True, eq=False)
class ChannelDesc:
    """A channel. *is_open* between create_channel and destroy_channel."""

    is_open: bool = False


@dataclass(slots=True, eq=False)
class PicDesc:
    """A picture in memory."""

    data: int = 0
    size: int = 0
    format: int = 0
    width: int = 0
    height: int = 0
    width_stride: int = 0
    height_stride: int = 0
    ret_code: int = 0


@dataclass(slots=True, eq=False)
class Roi:
    """A rectangle, both ends included."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.bottom - self.top + 1


@dataclass(slots=True, eq=False)
class Choice:
    """A setting of one number: the interpolation, or the quality level."""

    value: int = 0


def align(value: int, to: int) -> int:
    """Round up to a multiple."""
    return -(-value // to) * to


def check_picture(machine: Machine, pic: PicDesc, call: str, *, output: bool) -> int:
    """Check a picture of the scaling unit; 0, or the code for what is wrong."""
    problem = _picture_problem(pic, output=output)
    if problem:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {problem}")
    if not dvpp_memory(machine, pic.data, pic.size, call):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no dvpp memory")
    return 0


def _picture_problem(pic: PicDesc, *, output: bool) -> str:
    if pic.format not in SUPPORTED:
        return f"format {pic.format} is not emulated"
    most = _MOST_OUT_PX if output else _MOST_IN_PX
    if not (_LEAST_PX[0] <= pic.width <= most[0] and _LEAST_PX[1] <= pic.height <= most[1]):
        return f"{pic.width}x{pic.height} is not in 10x6..{most[0]}x{most[1]}"
    if pic.format in EVEN and (pic.width % 2 or pic.height % 2):
        return f"{pic.width}x{pic.height} must be even"
    return _stride_problem(pic)


def _stride_problem(pic: PicDesc) -> str:
    least = row_bytes(pic.format, pic.width)
    if not least <= pic.width_stride <= _MOST_STRIDE:
        return f"width stride {pic.width_stride} is not in {least}..{_MOST_STRIDE}"
    if not pic.height <= pic.height_stride <= _MOST_STRIDE:
        return f"height stride {pic.height_stride} is not in {pic.height}..{_MOST_STRIDE}"
    if pic.format in EVEN and (pic.width_stride % 2 or pic.height_stride % 2):
        return f"strides {pic.width_stride}x{pic.height_stride} must be even"
    wanted = buffer_bytes(pic.format, pic.width_stride, pic.height_stride)
    return "" if pic.size >= wanted else f"{pic.size} bytes where {wanted} are needed"


def check_roi(machine: Machine, roi: Roi, pic: PicDesc, call: str) -> int:
    """Check that a rectangle lies in a picture, on even left and top, odd right and bottom."""
    inside = 0 <= roi.left < roi.right < pic.width and 0 <= roi.top < roi.bottom < pic.height
    even = roi.left % 2 == 0 and roi.top % 2 == 0 and roi.right % 2 == 1 and roi.bottom % 2 == 1
    if inside and (even or pic.format not in EVEN):
        return 0
    corners = f"({roi.left}, {roi.top})..({roi.right}, {roi.bottom})"
    text = f"{call}: {corners} in {pic.width}x{pic.height}: left and top even, others odd"
    return machine.fail(_codes.INVALID_PARAM, text)


def dvpp_memory(machine: Machine, address: int, size_bytes: int, call: str) -> Span | None:
    """Check memory that a picture unit is to touch; None after a misuse."""
    span = machine.memory.span(address, size_bytes, call=call)
    if span is None:
        return None
    if span.block is None or span.block.kind != DVPP_MEMORY or address % 128:
        machine.findings.misuse(
            f"{call}: {address:#x} is not memory of dvpp_malloc, or not aligned"
        )
        return None
    return span


def open_channel(machine: Machine, handle: int, call: str) -> int:
    """Check that *handle* is a channel that was created."""
    channel = machine.ledger.get(CHANNEL_DESC, handle, ChannelDesc, call=call)
    if channel is not None and channel.is_open:
        return 0
    return machine.fail(_codes.INVALID_PARAM, f"{call}: the channel is not created")


def pixels_of(machine: Machine, pic: PicDesc, call: str) -> Pixels | None:
    """Give the bytes of a picture as an array over its memory."""
    span = dvpp_memory(machine, pic.data, pic.size, call)
    if span is None:
        return None
    return np.ctypeslib.as_array((ctypes.c_uint8 * span.size_bytes).from_address(span.real))


def blocks_of(machine: Machine, *addresses: int) -> tuple[Block, ...]:
    """Give the memory that queued work will touch."""
    found = (machine.memory.block_at(address) for address in addresses)
    return tuple(block for block in found if block is not None)
