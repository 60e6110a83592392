"""The blob store: pictures that wait, as files. A job's picture lies under the job's id.

A picture is on the disk, name and bytes, before its job is announced; it is removed when the
device is through with it. What a crash leaves between the two is swept by age.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import Unavailable
from pipeline.pictures.holding import Hold

#: The blobs' folder inside the data folder, which webapp and dispatcher share.
PICTURES_FOLDER = "pictures"

#: What a file is called while it is written.
PART_SUFFIX = ".part"


class FileBlobs:
    """Blobs in one folder, spread over 1,024 others. Calls block: run them in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hold = Hold(root)

    def put(self, name: str, data: bytes, *, stamp_unix_ms: int = 0) -> None:
        """Store *data* under *name*; on return it survives a power cut. Raises Unavailable.

        With *stamp_unix_ms* it counts as written at that moment.
        """
        path = self.path(name)
        part = path.with_suffix(PART_SUFFIX)
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                _fsync_folder(self._root)
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                if stamp_unix_ms:
                    os.utime(file.fileno(), (stamp_unix_ms / 1000, stamp_unix_ms / 1000))
                os.fsync(file.fileno())
            part.rename(path)
            _fsync_folder(path.parent)
        except OSError as exc:
            # The same fault may forbid the removal too: then the sweep finds it.
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise Unavailable(f"the picture cannot be stored: {exc.strerror}") from exc

    def get(self, name: str) -> bytes | None:
        """Give the bytes, or None when there is no such blob."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Remove a blob, or put it aside while a backup runs; one that is not there is fine."""
        self._hold.remove(self.path(name))

    def move_out(self, name: str, target: Path) -> None:
        """Take a blob out, to be the file *target*; raises FileNotFoundError."""
        path = self.path(name)
        self._hold.keep_a_link(path)
        path.rename(target)

    def older_than(self, unix_ms: int) -> Iterator[str]:
        """List the blobs, whole or half-written, that were last written before *unix_ms*."""
        for path in self._root.glob("??/*"):
            try:
                if path.stat().st_mtime * 1000 < unix_ms:
                    yield path.name
            except FileNotFoundError:
                continue

    def free_bytes(self) -> int:
        """Give what is left on the disk."""
        self._root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).free

    def path(self, name: str) -> Path:
        """Give where a blob lies, or would."""
        # The last characters of an id are its random ones.
        return self._root / Path(name).stem[-2:] / name


def _fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: without it a power cut may forget a renamed file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
