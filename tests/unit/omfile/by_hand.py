"""Bytes of an OM laid out by hand, field by field."""

from __future__ import annotations

import struct


def header_bytes(**fields: int) -> bytes:
    """Give a header with the fields put at their offsets, one by one."""
    header = bytearray(256)
    header[0:4] = b"IMOD"
    header[84:90] = b"byhand"
    places = {
        "headsize": (4, "<I"),
        "version": (8, "<I"),
        "length": (76, "<I"),
        "is_encrypt": (80, "<B"),
        "modeltype": (82, "<B"),
        "model_num": (156, "<I"),
        "model_length": (184, "<Q"),
        "need_check_os_cpu_info": (192, "<B"),
        "is_unknow_model": (193, "<B"),
    }
    for name, value in {"headsize": 256, "version": 0x20000000, **fields}.items():
        offset, kind = places[name]
        struct.pack_into(kind, header, offset, value)
    return bytes(header)


def wide(*parts: tuple[int, bytes], pad: int = 0) -> bytes:
    """Lay out a wide table, with offsets that mean nothing, and its data."""
    table = struct.pack("<II", len(parts), pad)
    for kind, data in parts:
        table += struct.pack("<IIQQ", kind, 7, 0xDEAD, len(data))
    return table + b"".join(data for _, data in parts)
