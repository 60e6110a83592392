"""The part MODEL_INOUT_INFO: inputs, outputs and gears as a run of (type, length, value).

Everything is little-endian. Limits are far above what the API itself allows (128 axes, 128 gears of
a batch, 4096 of free dimensions), so that damaged counts are told from large models.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from omfile.errors import MalformedOm
from omfile.facts import Gears, TensorInfo

INPUTS = 0
OUTPUTS = 1
DYNAMIC_BATCH = 2
DYNAMIC_HW = 3
DYNAMIC_DIMS = 4
DYNAMIC_OUTPUT_SHAPES = 5
DATA_NAMES = 6

TLV = struct.Struct("<II")
COUNT = struct.Struct("<I")
#: Size, format, element type; then the bytes of the name, of the dims, of dims_v2, of the ranges.
TENSOR = struct.Struct("<QiiIIII")

_MAX_TLVS = 256
_MAX_TENSORS = 1024
_MAX_NAME_BYTES = 4096
_MAX_AXES = 128
_MAX_GEARS = 4096
_MAX_GEAR_VALUES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class InOut:
    """What the part says."""

    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    gears: Gears = Gears()


class _Cursor:
    """Reads on through a value; raises MalformedOm where it ends too early."""

    def __init__(self, value: memoryview) -> None:
        self._value = value
        self._at = 0

    def take(self, size_bytes: int) -> memoryview:
        end = self._at + size_bytes
        if end > len(self._value):
            raise _broken(f"{size_bytes:,} bytes where {len(self._value) - self._at:,} are left")
        taken = self._value[self._at : end]
        self._at = end
        return taken

    def count(self, most: int, what: str) -> int:
        number: int = COUNT.unpack(self.take(COUNT.size))[0]
        if number > most:
            raise _broken(f"{number:,} {what}, more than {most:,}")
        return number

    def int64s(self, count: int, *, signed: bool) -> tuple[int, ...]:
        return struct.unpack(f"<{count}{'q' if signed else 'Q'}", self.take(8 * count))


def read_inout(part: bytes) -> InOut:
    """Parse the part; raises MalformedOm. Types that are not known are passed over."""
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    gears = Gears()
    for kind, value in _tlvs(memoryview(part)):
        if kind == INPUTS:
            inputs = _tensors(_Cursor(value))
        elif kind == OUTPUTS:
            outputs = _tensors(_Cursor(value))
        elif kind in (DYNAMIC_BATCH, DYNAMIC_HW, DYNAMIC_DIMS):
            gears = _gears(kind, _Cursor(value)) or gears
    return InOut(inputs=inputs, outputs=outputs, gears=gears)


def _tlvs(part: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    for _ in range(_MAX_TLVS):
        if at == len(part):
            return
        if at + TLV.size > len(part):
            raise _broken("it ends inside an entry")
        kind, length = TLV.unpack_from(part, at)
        at += TLV.size
        if at + length > len(part):
            raise _broken(f"an entry of {length:,} bytes where {len(part) - at:,} are left")
        yield kind, part[at : at + length]
        at += length
    raise _broken(f"more than {_MAX_TLVS} entries")


def _tensors(cursor: _Cursor) -> tuple[TensorInfo, ...]:
    return tuple(_tensor(cursor) for _ in range(cursor.count(_MAX_TENSORS, "tensors")))


def _tensor(cursor: _Cursor) -> TensorInfo:
    size_bytes, layout, dtype, name_bytes, *lengths = TENSOR.unpack(cursor.take(TENSOR.size))
    if name_bytes > _MAX_NAME_BYTES:
        raise _broken(f"a name of {name_bytes:,} bytes")
    name = str(bytes(cursor.take(name_bytes)), "utf-8", "replace")
    dims, dims_v2, ranges = (_axes(cursor, length, most) for length, most in _limits(lengths))
    return TensorInfo(
        name=name,
        dims=dims,
        dims_v2=dims_v2 or dims,
        dtype=dtype,
        format=layout,
        size_bytes=size_bytes,
        ranges=tuple(zip(ranges[::2], ranges[1::2], strict=False)),
    )


def _limits(lengths: list[int]) -> zip[tuple[int, int]]:
    return zip(lengths, (_MAX_AXES, _MAX_AXES, 2 * _MAX_AXES), strict=True)


def _axes(cursor: _Cursor, length_bytes: int, most: int) -> tuple[int, ...]:
    if length_bytes % 8 or length_bytes > 8 * most:
        raise _broken(f"dimensions of {length_bytes:,} bytes")
    return cursor.int64s(length_bytes // 8, signed=True)


def _gears(kind: int, cursor: _Cursor) -> Gears:
    if kind == DYNAMIC_BATCH:
        count = cursor.count(_MAX_GEARS, "gears")
        return Gears(dynamic_batch=cursor.int64s(count, signed=False))
    count = cursor.count(_MAX_GEARS, "gears")
    widths = [cursor.count(_MAX_GEAR_VALUES, "values in a gear") for _ in range(count)]
    if sum(widths) > _MAX_GEAR_VALUES:
        raise _broken(f"{sum(widths):,} values in its gears")
    values = tuple(cursor.int64s(width, signed=False) for width in widths)
    if kind == DYNAMIC_DIMS:
        return Gears(dynamic_dims=values)
    if any(len(pair) != 2 for pair in values):
        raise _broken("a picture size that is not height and width")
    return Gears(dynamic_hw=tuple((pair[0], pair[1]) for pair in values))


def _broken(what: str) -> MalformedOm:
    return MalformedOm(
        f"the list of inputs and outputs is damaged ({what}): "
        "copy the file again or rebuild it with ATC"
    )
