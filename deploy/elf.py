"""Trims ELF files to what the loader reads: wheels are built with symbols that nothing here uses.

The loader knows a file by its program headers; symbol tables, debugging records and the section
headers behind them are for linkers and debuggers. Of uvloop's 9.8 MB they are 8.
"""

from __future__ import annotations

import struct
from typing import Final

_MAGIC: Final = b"\x7fELF"
_CLASS_64: Final = 2
_LITTLE_ENDIAN: Final = 1

#: e_phoff, e_shoff; e_phentsize, e_phnum; e_shentsize, e_shnum, e_shstrndx (ELF-64 header).
_OFFSETS: Final = struct.Struct("<QQ")
_OFFSETS_AT: Final = 32
_PROGRAM_TABLE: Final = struct.Struct("<HH")
_PROGRAM_TABLE_AT: Final = 54
_SECTION_TABLE: Final = struct.Struct("<HHH")
_SECTION_TABLE_AT: Final = 58
_HEADER_BYTES: Final = 64

#: p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz (ELF-64 program header).
_SEGMENT: Final = struct.Struct("<IIQQQQ")


def trimmed(data: bytes) -> bytes:
    """Give an ELF file without what lies behind its last segment, and without section headers.

    Anything that is not a whole 64-bit little-endian ELF file comes back as it is.
    """
    end = _loaded_end(data)
    if end is None or end >= len(data):
        return data
    lean = bytearray(data[:end])
    _OFFSETS.pack_into(lean, _OFFSETS_AT, _OFFSETS.unpack_from(data, _OFFSETS_AT)[0], 0)
    section_bytes = _SECTION_TABLE.unpack_from(data, _SECTION_TABLE_AT)[0]
    _SECTION_TABLE.pack_into(lean, _SECTION_TABLE_AT, section_bytes, 0, 0)
    return bytes(lean)


def _loaded_end(data: bytes) -> int | None:
    """Tell where the last byte lies that a program header speaks of; None if they do not fit."""
    if len(data) < _HEADER_BYTES or data[:4] != _MAGIC:
        return None
    if data[4] != _CLASS_64 or data[5] != _LITTLE_ENDIAN:
        return None
    table_at = _OFFSETS.unpack_from(data, _OFFSETS_AT)[0]
    entry_bytes, count = _PROGRAM_TABLE.unpack_from(data, _PROGRAM_TABLE_AT)
    end = max(_HEADER_BYTES, table_at + entry_bytes * count)
    if count == 0 or entry_bytes < _SEGMENT.size or end > len(data):
        return None
    for number in range(count):
        segment = _SEGMENT.unpack_from(data, table_at + entry_bytes * number)
        end = max(end, segment[2] + segment[5])
    return end if end <= len(data) else None
