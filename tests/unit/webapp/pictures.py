"""Pictures as bytes, written by hand so that they can also lie."""

from __future__ import annotations

import struct
import zlib


def png(width_px: int, height_px: int) -> bytes:
    """Write a PNG of one grey; only the 1 x 1 one has all its pixels, the others claim theirs."""
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"\x00\x80"))
        + _chunk(b"IEND", b"")
    )


def jpeg(width_px: int = 64, height_px: int = 48, *, size_bytes: int = 1000) -> bytes:
    """Write a JPEG whose structure is complete and whose pixels are noise."""
    frame = struct.pack(">BHHB", 8, height_px, width_px, 1) + b"\x01\x11\x00"
    scan = b"\x01\x01\x00\x00\x3f\x00"
    head = b"\xff\xd8" + _segment(0xC0, frame) + _segment(0xDA, scan)
    return head + b"\x5a" * max(0, size_bytes - len(head) - 2) + b"\xff\xd9"


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
