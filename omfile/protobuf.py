"""The protocol-buffer wire format, as far as a ModelDef and an ONNX file need it.

Source: the "Encoding" page of the Protocol Buffers documentation. Reading is bounded by a *budget*
of fields, shared by everything that is read of one file; nothing recurses, so depth is the
caller's. Groups are refused: neither format has any.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from omfile.errors import MalformedOm

VARINT = 0
FIXED64 = 1
LENGTH = 2
FIXED32 = 5

_VARINT_MAX_BYTES = 10
_UINT64_MASK = (1 << 64) - 1
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}

#: A field: its number, its wire type, and an unsigned number or the bytes of a length-prefixed one.
Field = tuple[int, int, int | memoryview]


class Budget:
    """How many more fields may be read. Keeps bytes made of tiny fields from costing hours."""

    def __init__(self, fields: int) -> None:
        self._left = fields

    def spend(self) -> None:
        """Count one field; raises MalformedOm when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise MalformedOm(
                "the model description holds more fields than any model needs: "
                "the file is damaged, build it again with ATC"
            )


def fields(message: memoryview, budget: Budget) -> Iterator[Field]:
    """Yield the fields of *message* in order; raises MalformedOm where it is not a message."""
    at = 0
    while at < len(message):
        budget.spend()
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise _broken("field number 0")
        value: int | memoryview
        if wire_type == VARINT:
            value, at = _varint(message, at)
        elif wire_type == LENGTH:
            size_bytes, at = _varint(message, at)
            value, at = _slice(message, at, size_bytes)
        elif wire_type in _FIXED_BYTES:
            raw, at = _slice(message, at, _FIXED_BYTES[wire_type])
            value = int.from_bytes(raw, "little")
        else:
            raise _broken(f"wire type {wire_type}")
        yield number, wire_type, value


def submessages(message: memoryview, number: int, budget: Budget) -> Iterator[memoryview]:
    """Yield the length-prefixed fields called *number*."""
    for found, _, value in fields(message, budget):
        if found == number and isinstance(value, memoryview):
            yield value


def packed_varints(value: int | memoryview, budget: Budget) -> Iterator[int]:
    """Yield the numbers of a repeated integer field, packed or not."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        budget.spend()
        number, at = _varint(value, at)
        yield number


def as_int64(value: int) -> int:
    """Read an unsigned 64-bit number as the signed one it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def as_float32(value: int) -> float:
    """Read the 32 bits of a FIXED32 as the float they stand for."""
    number: float = struct.unpack("<f", value.to_bytes(4, "little"))[0]
    return number


def as_text(value: int | memoryview) -> str:
    """Read a string field; bytes that are not UTF-8 become a replacement sign each."""
    return str(bytes(value), "utf-8", "replace") if isinstance(value, memoryview) else ""


def encode_varint(number: int, value: int) -> bytes:
    """Write an integer field; negative ones as their 64-bit complement."""
    return _encode(number << 3 | VARINT) + _encode(value & _UINT64_MASK)


def encode_bytes(number: int, value: bytes | str) -> bytes:
    """Write a string, bytes or message field."""
    raw = value.encode() if isinstance(value, str) else value
    return _encode(number << 3 | LENGTH) + _encode(len(raw)) + raw


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[at : at + _VARINT_MAX_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & _UINT64_MASK, at + index + 1
    raise _broken("a number that does not end")


def _slice(message: memoryview, at: int, size_bytes: int) -> tuple[memoryview, int]:
    end = at + size_bytes
    if end > len(message):
        raise _broken(f"a field of {size_bytes} bytes where {len(message) - at} are left")
    return message[at:end], end


def _encode(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _broken(what: str) -> MalformedOm:
    return MalformedOm(
        f"the model description is damaged ({what}): copy the file again or rebuild it with ATC"
    )
