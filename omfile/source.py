"""Bytes at an offset: of a buffer, or of a file that is never read whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from omfile.errors import TruncatedOm, UnreadableOm


class Source(Protocol):
    """Where an OM's bytes lie."""

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Give exactly *size_bytes* from *offset*; raises TruncatedOm where they are not there."""


@dataclass(frozen=True, slots=True)
class MemorySource:
    """An OM that is in memory. Only what is asked for is copied."""

    data: memoryview

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.data.nbytes

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Give exactly *size_bytes* from *offset*."""
        _check_bounds(offset, size_bytes, self.size_bytes)
        return bytes(self.data[offset : offset + size_bytes])


@dataclass(frozen=True, slots=True)
class FileSource:
    """An OM on disk, opened anew for every read: nothing to close, and it crosses to a process."""

    path: Path
    size_bytes: int

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Give exactly *size_bytes* from *offset*; raises UnreadableOm for a file that went."""
        _check_bounds(offset, size_bytes, self.size_bytes)
        try:
            with self.path.open("rb") as opened:
                opened.seek(offset)
                found = opened.read(size_bytes)
        except OSError as exc:
            raise unreadable(exc) from exc
        _check_bounds(offset, size_bytes, offset + len(found))
        return found


def unreadable(exc: OSError) -> UnreadableOm:
    """Say that a file cannot be read, and why."""
    return UnreadableOm(
        f"the file cannot be read ({exc.strerror or exc}): "
        "check that it is there and that this user may read it"
    )


def _check_bounds(offset: int, wanted_bytes: int, there_bytes: int) -> None:
    if offset < 0 or wanted_bytes < 0 or offset + wanted_bytes > there_bytes:
        raise TruncatedOm(
            f"the file ends at byte {there_bytes:,} where {max(wanted_bytes, 0):,} bytes from "
            f"{offset:,} are needed: copy it again, and compare sizes or checksums afterwards"
        )
