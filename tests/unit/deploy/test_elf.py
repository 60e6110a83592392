"""ELF files are trimmed to what the loader reads."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.elf import trimmed

HEADER_BYTES, SEGMENT_BYTES = 64, 56


def elf(*, segment_end: int, total_bytes: int, bits: int = 2) -> bytes:
    """Give a file with one segment that ends at *segment_end*, and more behind it."""
    header = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 9000, 0, 64, 56, 1, 64, 5, 4)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, segment_end, segment_end, 4096)
    return (header + segment).ljust(total_bytes, b"x")


def test_what_lies_behind_the_last_segment_goes() -> None:
    """The file ends with its last segment, and speaks of no sections."""
    lean = trimmed(elf(segment_end=4000, total_bytes=10_000))

    assert len(lean) == 4000
    assert struct.unpack_from("<Q", lean, 40) == (0,)
    assert struct.unpack_from("<HH", lean, 60) == (0, 0)


def test_the_segment_table_stays_even_if_it_lies_last() -> None:
    """A table of segments behind all segments is kept whole."""
    assert len(trimmed(elf(segment_end=64, total_bytes=500))) == HEADER_BYTES + SEGMENT_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/bin/sh\n",
        b"\x7fELF",
        elf(segment_end=4000, total_bytes=4000),
        elf(segment_end=9000, total_bytes=4000),
        elf(segment_end=400, total_bytes=4000, bits=1),
    ],
    ids=["empty", "text", "short", "trim already", "truncated", "32-bit"],
)
def test_what_cannot_be_trimmed_stays_as_it_is(data: bytes) -> None:
    """Anything but a whole 64-bit file with something to trim comes back unchanged."""
    assert trimmed(data) == data


def test_a_trimmed_extension_module_still_loads(tmp_path: Path) -> None:
    """The interpreter imports a real extension module after its trimming."""
    import uvloop.loop

    source = Path(uvloop.loop.__file__)
    package = tmp_path / "uvloop"
    shutil.copytree(source.parent, package)
    lean = trimmed(source.read_bytes())
    (package / source.name).write_bytes(lean)

    answer = subprocess.run(
        [sys.executable, "-c", "import uvloop; print(uvloop.new_event_loop(), uvloop.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert str(tmp_path) in answer.stdout, answer.stderr
    assert len(lean) < source.stat().st_size / 2
