"""Writes an archive: file by file, never whole in memory, whole on the disk or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from gw.backup.manifest import MANIFEST, MANIFEST_DIGEST, Manifest, Member, check_name
from gw.data_folder import sync_folder
from pipeline.errors import InvalidSettings, Unavailable

_CHUNK_BYTES: Final = 1 << 20
_PRIVATE: Final = 0o600


class ArchiveWriter:
    """An archive that will be at *path*, readable by its owner only: secrets are in it.

    *on_progress* is called before each piece of a file.
    """

    def __init__(self, path: Path, *, on_progress: Callable[[], None]) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._on_progress = on_progress
        self._members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        """Begin; raises InvalidSettings if there is such a file."""
        if self._path.exists():
            raise InvalidSettings(f"{self._path} is there already; move it away or name another")
        self._part.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._part, flags, _PRIVATE), "w+b")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.GNU_FORMAT)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop what was not committed."""
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __contains__(self, name: str) -> bool:
        """Whether a member of that name is written."""
        return name in self._members

    def add_file(self, name: str, path: Path, *, newest_unix_s: float | None = None) -> bool:
        """Add a file; False if it is gone, is no file, or was written after *newest_unix_s*.

        Raises Unavailable if it becomes shorter while it is read.
        """
        if not path.is_file():
            return False
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return False
        with file:
            status = os.fstat(file.fileno())
            if newest_unix_s is not None and status.st_mtime > newest_unix_s:
                return False
            self.add_stream(
                name,
                file,
                status.st_size,
                mode=status.st_mode & 0o777,
                modified_unix_ms=int(status.st_mtime * 1000),
            )
        return True

    def add_stream(
        self,
        name: str,
        source: IO[bytes],
        size: int,
        *,
        mode: int = _PRIVATE,
        modified_unix_ms: int = 0,
    ) -> None:
        """Add *size* bytes of *source*; raises BadArchive for a name that no restore would take."""
        if name not in {MANIFEST, MANIFEST_DIGEST}:
            check_name(name)
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, mode, modified_unix_ms // 1000
        counting = _Counting(source, size, self._on_progress)
        try:
            self._tar.addfile(info, counting)
        except OSError as error:
            # The tar's own complaint; the system's have a number.
            if error.errno is not None:
                raise
            raise Unavailable(
                f"{name} was changed while it was read; take the backup again"
            ) from error
        self._members[name] = Member(
            bytes=size,
            sha256=counting.digest.hexdigest(),
            mode=mode,
            modified_unix_ms=modified_unix_ms,
        )

    def commit(self, manifest: Manifest) -> Manifest:
        """Close the archive with its manifest and give it its name; it survives a power cut."""
        whole = replace(manifest, members=dict(self._members))
        text = whole.to_json()
        self.add_stream(MANIFEST, io.BytesIO(text), len(text))
        digest = hashlib.sha256(text).hexdigest().encode()
        self.add_stream(MANIFEST_DIGEST, io.BytesIO(digest), len(digest))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        sync_folder(self._path.absolute().parent)
        return whole


class _Counting:
    """A reader of at most *left* bytes, which digests what passes."""

    def __init__(self, source: IO[bytes], left: int, on_progress: Callable[[], None]) -> None:
        self._source = source
        self._on_progress = on_progress
        self._left = left
        self.digest = hashlib.sha256()

    def read(self, size: int = _CHUNK_BYTES, /) -> bytes:
        """Give up to *size* bytes."""
        self._on_progress()
        data = self._source.read(min(size, self._left))
        self._left -= len(data)
        self.digest.update(data)
        return data
