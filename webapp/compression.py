"""Compressed bodies, in and out: gzip and deflate, never more than the limit once unpacked."""

from __future__ import annotations

import gzip
import zlib

from webapp.refusals import BodyTooLarge, InvalidField, UnsupportedContent

#: Window bits by coding: RFC 1952 with its header, and RFC 1950, which HTTP calls deflate.
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_STEP_BYTES = 1024 * 1024

#: The quick end: what is sent are numbers, which shrink little.
_LEVEL = 1


def decompress(data: bytes, coding: str, *, max_bytes: int) -> bytes:
    """Unpack a body of *coding*, "" for none; raises BodyTooLarge past *max_bytes*.

    And UnsupportedContent for another coding, InvalidField for what is damaged.
    """
    if coding in ("", "identity"):
        return data
    if coding not in _WINDOW_BITS:
        raise UnsupportedContent(f"The content encoding must be gzip or deflate, not {coding!r}.")
    unpacker = zlib.decompressobj(_WINDOW_BITS[coding])
    parts, size_bytes = [], 0
    try:
        while not unpacker.eof:
            part = unpacker.decompress(data, _STEP_BYTES)
            data = unpacker.unconsumed_tail
            size_bytes += len(part)
            if size_bytes > max_bytes:
                raise BodyTooLarge(max_bytes)
            parts.append(part)
            if not part and not data:
                raise InvalidField("The compressed body breaks off.", field="body")
    except zlib.error as exc:
        raise InvalidField(f"The body is not {coding}.", field="body") from exc
    if unpacker.unused_data:
        raise InvalidField("Something follows the compressed body.", field="body")
    return b"".join(parts)


def choose_coding(accept_encoding: str) -> str:
    """Give the coding of an answer: the best of those that are accepted, "" for none.

    >>> choose_coding("br, deflate;q=0.5, gzip;q=0.8")
    'gzip'
    """
    best, chosen = 0.0, ""
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        name = coding.strip()
        weight = _weight(parameter)
        if name in _WINDOW_BITS and weight > best:
            best, chosen = weight, name
    return chosen


def compress(data: bytes, coding: str) -> bytes:
    """Pack an answer."""
    if coding == "gzip":
        return gzip.compress(data, _LEVEL, mtime=0)
    return zlib.compress(data, _LEVEL) if coding == "deflate" else data


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
