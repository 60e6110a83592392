"""The list of inputs, outputs and gears, against bytes laid out by hand."""

from __future__ import annotations

import struct

import pytest

from omfile.errors import MalformedOm
from omfile.facts import DataType, Gears
from omfile.inout import read_inout


def entry(kind: int, value: bytes) -> bytes:
    """Lay out one entry."""
    return struct.pack("<II", kind, len(value)) + value


def tensor(name: bytes, dims: bytes, dims_v2: bytes = b"", ranges: bytes = b"") -> bytes:
    """Lay out one tensor of 64 bytes, type int32, layout ND."""
    lengths = (len(name), len(dims), len(dims_v2), len(ranges))
    return struct.pack("<QiiIIII", 64, 2, 3, *lengths) + name + dims + dims_v2 + ranges


def test_tensors_are_read_from_their_layout() -> None:
    """A tensor is its base of 32 bytes, then name, dims, second dims and ranges."""
    part = entry(0, struct.pack("<I", 1) + tensor(b"_arg_0", struct.pack("<q", 16)))
    part += entry(
        1,
        struct.pack("<I", 1)
        + tensor(b"out", struct.pack("<q", -1), struct.pack("<q", 16), struct.pack("<qq", 1, -1)),
    )

    found = read_inout(part)

    (taken,) = found.inputs
    assert (taken.name, taken.dims, taken.dims_v2) == ("_arg_0", (16,), (16,))
    assert (taken.dtype, taken.size_bytes) == (DataType.INT32, 64)
    (given,) = found.outputs
    assert (given.dims, given.dims_v2, given.ranges) == ((-1,), (16,), ((1, -1),))


def test_gears_are_read_from_their_layouts() -> None:
    """Batches are one list; sizes and dims are counts first, then all values."""
    batch = entry(2, struct.pack("<IQQ", 2, 1, 8))
    sizes = entry(3, struct.pack("<IIIQQQQ", 2, 2, 2, 416, 416, 832, 832))
    dims = entry(4, struct.pack("<IIIQQQ", 2, 1, 2, 5, 6, 7))

    assert read_inout(batch).gears == Gears(dynamic_batch=(1, 8))
    assert read_inout(sizes).gears == Gears(dynamic_hw=((416, 416), (832, 832)))
    assert read_inout(dims).gears == Gears(dynamic_dims=((5,), (6, 7)))


def test_entries_of_other_kinds_are_passed_over() -> None:
    """A newer compiler may add kinds."""
    assert read_inout(entry(6, b"names") + entry(77, b"?")) == read_inout(b"")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (b"\0\0\0", "ends inside an entry"),
        (struct.pack("<II", 0, 1 << 31), "are left"),
        (entry(0, struct.pack("<I", 1 << 31)), "more than 1,024"),
        (entry(0, struct.pack("<I", 1)), "where 0 are left"),
        (entry(0, struct.pack("<IQiiIIII", 1, 0, 0, 0, 1 << 31, 0, 0, 0)), "a name of"),
        (entry(0, struct.pack("<IQiiIIII", 1, 0, 0, 0, 0, 1 << 31, 0, 0)), "dimensions of"),
        (entry(0, struct.pack("<IQiiIIII", 1, 0, 0, 0, 0, 7, 0, 0)), "dimensions of 7"),
        (entry(2, struct.pack("<I", 1 << 31)), "gears"),
        (entry(3, struct.pack("<IIQ", 1, 1, 416)), "not height and width"),
        (entry(4, struct.pack("<II", 1, 1 << 31)), "values in a gear"),
        (entry(4, struct.pack("<III", 2, 1 << 16, 1 << 16)), "values in its gears"),
        (entry(9, b"") * 300, "more than 256 entries"),
    ],
)
def test_a_damaged_list_is_refused(part: bytes, said: str) -> None:
    """A count or length that cannot be right is named, with what to do."""
    with pytest.raises(MalformedOm, match=said) as refusal:
        read_inout(part)

    assert "rebuild it with ATC" in str(refusal.value)
