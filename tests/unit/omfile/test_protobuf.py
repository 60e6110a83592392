"""The wire format, against the examples of its documentation and against itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omfile.errors import MalformedOm
from omfile.protobuf import (
    Budget,
    as_float32,
    as_int64,
    as_text,
    encode_bytes,
    encode_varint,
    fields,
    packed_varints,
    submessages,
)

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def read(message: bytes, budget: int = 100) -> list[tuple[int, int, int | bytes]]:
    """Read all fields, lengths as bytes."""
    return [
        (number, kind, bytes(value) if isinstance(value, memoryview) else value)
        for number, kind, value in fields(memoryview(message), Budget(budget))
    ]


def test_the_documented_examples_are_read() -> None:
    """150 in field 1, "testing" in field 2, and packed 3, 270, 86942 in field 6."""
    assert read(b"\x08\x96\x01") == [(1, 0, 150)]
    assert read(b"\x12\x07testing") == [(2, 2, b"testing")]
    assert read(b"\x0d\x00\x00\x80\x3f") == [(1, 5, 0x3F800000)]
    packed = memoryview(b"\x03\x8e\x02\x9e\xa7\x05")
    assert list(packed_varints(packed, Budget(9))) == [3, 270, 86942]
    assert as_float32(0x3F800000) == 1.0


@given(st.integers(1, (1 << 29) - 1), INT64)
def test_numbers_survive_the_round_trip(number: int, value: int) -> None:
    """What is written as a signed number is read as the same one."""
    ((found, _, read_back),) = read(encode_varint(number, value))

    assert found == number
    assert isinstance(read_back, int)
    assert as_int64(read_back) == value


@given(st.integers(1, (1 << 29) - 1), st.binary(max_size=300))
def test_bytes_survive_the_round_trip(number: int, value: bytes) -> None:
    """What is written as bytes is read as the same bytes."""
    assert read(encode_bytes(number, value)) == [(number, 2, value)]


def test_submessages_are_those_of_one_number() -> None:
    """Other fields, and numbers under the same one, are passed over."""
    message = encode_bytes(1, b"a") + encode_bytes(2, b"b") + encode_varint(1, 5)
    message += encode_bytes(1, b"c")

    found = submessages(memoryview(message), 1, Budget(9))

    assert [bytes(each) for each in found] == [b"a", b"c"]


def test_text_that_is_not_utf_8_is_shown() -> None:
    """A damaged name does not make a file unreadable."""
    assert as_text(memoryview(b"caf\xe9")) == "caf�"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x12\x7fshort", "127 bytes where 5"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "are left"),
        (b"\x0b", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x00\x00", "field number 0"),
        (b"\x0d\x00", "4 bytes where 1"),
    ],
)
def test_what_is_not_a_message_is_refused(message: bytes, said: str) -> None:
    """Each way to be damaged is named."""
    with pytest.raises(MalformedOm, match=said):
        read(message)


def test_too_many_fields_are_refused() -> None:
    """The budget bounds how long damaged bytes are read on."""
    with pytest.raises(MalformedOm, match="more fields than any model"):
        read(b"\x08\x01" * 101)
