"""A batch's files: its source until it has ended, its results until its retention ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from pipeline.errors import Unavailable
from pipeline.pictures.holding import Hold

_SOURCE = ".source"
_RESULTS = ".jsonl"
_PART = ".part"


class BatchFiles:
    """Files in one folder, named by batch id. Calls block: run them in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def source(self, batch_id: str) -> Path:
        """Give where a batch's source lies."""
        return self._root / f"{batch_id}{_SOURCE}"

    def results(self, batch_id: str) -> Path:
        """Give where a batch's result lines lie, once there are some."""
        return self._root / f"{batch_id}{_RESULTS}"

    def begin(self, path: Path) -> IO[bytes]:
        """Open the file that will become *path*; raises Unavailable."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            return path.with_suffix(path.suffix + _PART).open("wb")
        except OSError as exc:
            raise Unavailable(f"the batch cannot be stored: {exc.strerror}") from exc

    def commit(self, file: IO[bytes], path: Path) -> None:
        """Sync *file* and give it its name; on return it survives a power cut.

        Raises Unavailable; nothing is left then but what the sweep finds.
        """
        try:
            file.flush()
            os.fsync(file.fileno())
            file.close()
            path.with_suffix(path.suffix + _PART).rename(path)
            descriptor = os.open(self._root, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise Unavailable(f"the batch cannot be stored: {exc.strerror}") from exc

    def discard(self, file: IO[bytes], path: Path) -> None:
        """Drop a file that was begun; one that is gone is fine."""
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            path.with_suffix(path.suffix + _PART).unlink(missing_ok=True)

    def remove_source(self, batch_id: str) -> None:
        """Remove a batch's source, or put it aside while a backup runs; none is fine."""
        Hold(self._root).remove(self.source(batch_id))

    def older_than(self, unix_ms: int) -> Iterator[tuple[Path, str]]:
        """List the files last written before *unix_ms*, each with the id of its batch."""
        if not self._root.is_dir():
            return
        for path in sorted(self._root.iterdir()):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime * 1000 < unix_ms:
                    yield path, path.name.partition(".")[0]
