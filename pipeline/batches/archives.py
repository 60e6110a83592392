"""Reading a zip archive that nobody vouches for: an index of its entries, and one entry at a time.

Nothing is ever written to a path from the archive: an entry's name is only a label. Every bound is
checked before the memory is taken: the central directory's size before it is read, an entry's size
before it is inflated, and again while it is, because what an archive says of itself may be a lie.
Format: PKWARE APPNOTE 6.3.10.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pipeline.batches.batch import NAME_MAX_CHARACTERS, SourceFault

_END: Final = struct.Struct("<4sHHHHIIH")
_END_SIGNATURE: Final = b"PK\x05\x06"
_END64_LOCATOR: Final = struct.Struct("<4sIQI")
_END64_LOCATOR_SIGNATURE: Final = b"PK\x06\x07"
_END64: Final = struct.Struct("<4sQHHIIQQQQ")
_END64_SIGNATURE: Final = b"PK\x06\x06"
_COMMENT_MAX_BYTES: Final = 0xFFFF
_CENTRAL_ENTRY_MIN_BYTES: Final = 46
#: Names and extra fields included, no honest writer needs more for one entry.
_CENTRAL_ENTRY_MAX_BYTES: Final = 4096
_ENCRYPTED: Final = 0x1 | 0x40
_CHUNK_BYTES: Final = 64 * 1024
#: What inflates further than this is a bomb; the densest picture formats stay far below.
RATIO_MAX: Final = 200
#: Below this size a ratio says nothing: a plain BMP of a few kB shrinks to almost none.
_RATIO_FROM_BYTES: Final = 1024 * 1024

_ARCHIVES: Final = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
)
_ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    OverflowError,
)


class EntryFault(SourceFault):
    """One entry cannot be taken; the others can. *code* tells which way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """The bounds of one archive."""

    entries_max: int
    entry_max_bytes: int
    total_max_bytes: int


class Archive:
    """An open archive. Use as a context; entries are by index, in the order of its directory.

    Raises SourceFault for what is no archive that is taken, or is past its bounds as a whole.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._file = path.open("rb")
        try:
            check_directory(self._file, limits)
            self._zip = _open(self._file)
            self._entries = [entry for entry in self._zip.infolist() if not entry.is_dir()]
            self._check_total()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        """Enter with the directory read."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def __len__(self) -> int:
        """Give how many entries there are, folders not counted."""
        return len(self._entries)

    @property
    def names(self) -> Sequence[str]:
        """Give the entries' labels."""
        return [label(entry.filename) for entry in self._entries]

    def read(self, index: int) -> bytes:
        """Give the bytes of entry *index*; raises EntryFault."""
        entry = self._entries[index]
        if entry.flag_bits & _ENCRYPTED:
            raise EntryFault("the entry is encrypted", code="encrypted_entry")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise EntryFault(
                "the entry's compression is not taken; use deflate or none",
                code="unsupported_compression",
            )
        if entry.file_size > self._limits.entry_max_bytes:
            raise self._too_large()
        if _is_bomb(entry.file_size, entry.compress_size):
            raise EntryFault(
                f"the entry would inflate more than {RATIO_MAX} times", code="zip_bomb"
            )
        try:
            data = self._inflate(entry)
        except _ZIP_ERRORS as exc:
            raise EntryFault("the entry is damaged", code="damaged_entry") from exc
        if data.startswith(_ARCHIVES):
            raise EntryFault("an archive inside the archive is not opened", code="nested_archive")
        return data

    def _inflate(self, entry: zipfile.ZipInfo) -> bytes:
        data = bytearray()
        with self._zip.open(entry) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                data += chunk
                if len(data) > self._limits.entry_max_bytes:
                    raise self._too_large()
        return bytes(data)

    def _too_large(self) -> EntryFault:
        return EntryFault(
            f"the entry is larger than {self._limits.entry_max_bytes} bytes", code="entry_too_large"
        )

    def _check_total(self) -> None:
        if not self._entries:
            raise SourceFault("the archive holds no file")
        if len(self._entries) > self._limits.entries_max:
            raise _too_many(self._limits)
        total_bytes = sum(entry.file_size for entry in self._entries)
        if total_bytes > self._limits.total_max_bytes:
            raise SourceFault(
                f"the archive would inflate to {total_bytes} bytes; at most"
                f" {self._limits.total_max_bytes} are taken",
                code="zip_bomb",
            )


def check_directory(file: IO[bytes], limits: ArchiveLimits) -> None:
    """Read what the archive's end says of its directory; raises SourceFault past the bounds.

    ``zipfile`` takes the whole directory into memory, so its size is judged before.
    """
    file.seek(0, 2)
    size_bytes = file.tell()
    tail_at = max(0, size_bytes - _END.size - _COMMENT_MAX_BYTES - _END64_LOCATOR.size)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or at + _END.size > len(tail):
        raise SourceFault("this is not a zip archive, or its end is missing")
    _, disk, first_disk, _, entries, directory_bytes, directory_at, _ = _END.unpack_from(tail, at)
    is_64 = entries == 0xFFFF or 0xFFFFFFFF in (directory_bytes, directory_at)
    locator = tail[max(0, at - _END64_LOCATOR.size) : at]
    if is_64 or locator.startswith(_END64_LOCATOR_SIGNATURE):
        # Whether or not the plain end asks for it: zipfile believes a zip64 end that stands here.
        entries, directory_bytes = _end64(file, locator, tail_at + at)
    if disk != first_disk or disk not in (0, 0xFFFF):
        raise SourceFault("an archive in several parts is not taken")
    # A folder is an entry too: an honest archive has fewer folders than files.
    if entries > 2 * limits.entries_max:
        raise _too_many(limits)
    fits = entries * _CENTRAL_ENTRY_MIN_BYTES <= directory_bytes <= size_bytes
    if not fits or directory_bytes > entries * _CENTRAL_ENTRY_MAX_BYTES:
        raise SourceFault("the archive's directory does not fit to its end")
    file.seek(0)


def label(name: str) -> str:
    """Give an entry's name as something to show: one printable line, cut to its bound."""
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    return text if len(text) <= NAME_MAX_CHARACTERS else f"…{text[1 - NAME_MAX_CHARACTERS :]}"


def _open(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _ZIP_ERRORS as exc:
        raise SourceFault("the archive's directory is damaged") from exc


def _end64(file: IO[bytes], locator: bytes, end_at: int) -> tuple[int, int]:
    """Give entries and directory size of a zip64 archive, whose plain end has no room for them."""
    record_at = end_at - _END64_LOCATOR.size - _END64.size
    if not locator.startswith(_END64_LOCATOR_SIGNATURE) or record_at < 0:
        raise SourceFault("the archive's zip64 end is missing")
    file.seek(record_at)
    record = file.read(_END64.size)
    if len(record) < _END64.size or not record.startswith(_END64_SIGNATURE):
        raise SourceFault("the archive's zip64 end is damaged")
    _, _, _, _, _, _, _, entries, directory_bytes, _ = _END64.unpack(record)
    return entries, directory_bytes


def _is_bomb(size_bytes: int, compressed_bytes: int) -> bool:
    return size_bytes > _RATIO_FROM_BYTES and size_bytes > RATIO_MAX * max(1, compressed_bytes)


def _too_many(limits: ArchiveLimits) -> SourceFault:
    return SourceFault(
        f"the archive has too many entries; at most {limits.entries_max} are taken",
        code="too_many_items",
    )
