"""Values of a tensor: between JSON and bytes, both row-major."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator
from typing import Any

from pipeline.models.tensors import ELEMENT_BYTES
from webapp.refusals import InvalidField

_CODES = {
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP32": "f",
    "FP64": "d",
}

#: So many values become JSON text at a time: other threads get their turn in between.
_CHUNK = 8192

#: No tensor has more axes.
_DEPTH_MAX = 16


def pack(datatype: str, data: Any, *, elements: int, name: str) -> bytes:
    """Give the bytes of *data*, flat or nested lists; raises InvalidField."""
    if not isinstance(data, list):
        raise InvalidField("Unable to parse 'data': it must be a list", field=name)
    flat = _flattened(data, name) if data and isinstance(data[0], list) else data
    if len(flat) != elements:
        raise InvalidField(
            f"Unable to parse 'data' of {name!r}: it has {len(flat)} values, and its shape"
            f" {elements}",
            field=name,
        )
    try:
        return _packed(datatype, flat)
    except (TypeError, ValueError, OverflowError, struct.error) as exc:
        raise InvalidField(
            f"Unable to parse 'data' of {name!r}: not every value is {datatype}", field=name
        ) from exc


def unpack(datatype: str, data: bytes | memoryview) -> Any:
    """Give the values in *data* as a sequence of numbers or truth values."""
    if datatype == "BOOL":
        return [bool(each) for each in data]
    if datatype == "FP16":
        return struct.unpack(f"<{len(data) // ELEMENT_BYTES[datatype]}e", data)
    values = array(_CODES[datatype])
    values.frombytes(data)
    return values


def json_values(datatype: str, data: bytes | memoryview, *, name: str) -> bytes:
    """Give the values in *data* as a flat JSON list; raises InvalidField for NaN and infinity."""
    return b"[" + b",".join(_chunks(datatype, data, name)) + b"]"


def pack_texts(texts: list[bytes]) -> bytes:
    """Give a BYTES tensor: each element behind its length, 4 bytes little-endian."""
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def unpack_texts(data: bytes) -> list[bytes] | None:
    """Give the elements of a BYTES tensor; None where the lengths do not add up."""
    texts, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            return None
        (size,) = struct.unpack_from("<I", data, at)
        at += 4 + size
        if at > len(data):
            return None
        texts.append(data[at - size : at])
    return texts


def _packed(datatype: str, flat: list[Any]) -> bytes:
    if datatype == "BOOL":
        if not all(each in (0, 1) for each in flat):
            raise ValueError("no truth value")
        return bytes(flat)
    if datatype == "FP16":
        return struct.pack(f"<{len(flat)}e", *flat)
    values = array(_CODES[datatype], flat)
    if datatype in ("FP32", "FP64") and not all(map(math.isfinite, values)):
        raise ValueError("a number that is too large")
    return values.tobytes()


def _flattened(data: list[Any], name: str) -> list[Any]:
    """Give the leaves of nested lists, which must all be equally deep."""
    for _ in range(_DEPTH_MAX):
        nested = [isinstance(each, list) for each in data]
        if not any(nested):
            return data
        if not all(nested):
            break
        data = [leaf for each in data for leaf in each]
    raise InvalidField(f"Unable to parse 'data' of {name!r}: it is not nested evenly", field=name)


def _chunks(datatype: str, data: bytes | memoryview, name: str) -> Iterator[bytes]:
    step = _CHUNK * ELEMENT_BYTES[datatype]
    is_float = datatype.startswith("FP")
    for first in range(0, len(data), step):
        values = unpack(datatype, data[first : first + step])
        if datatype == "BOOL":
            yield ",".join("true" if each else "false" for each in values).encode()
            continue
        if is_float and not all(map(math.isfinite, values)):
            raise InvalidField(
                f"output {name!r} has values that are no numbers in JSON; ask for it as binary",
                field=name,
            )
        yield ",".join(map(repr, values)).encode()
