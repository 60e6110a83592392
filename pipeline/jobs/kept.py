"""What is kept of a job after its end: its picture, the preview, and raw outputs.

All are files in a folder of their own. A file's modification time is the moment until which it is
kept: no list is needed, and a sweep asks nobody but the folder. ``sweep_kept`` is that sweep.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pipeline.clock import Clock
from pipeline.jobs.job import Job
from pipeline.jobs.store import JobStore
from pipeline.pictures.blobs import PART_SUFFIX, FileBlobs

#: The folder inside the data folder, which webapp, dispatcher and operations share.
KEPT_FOLDER = "kept"

_PREVIEW = ".preview"
_OUTPUTS = ".outputs"

#: A half-written file may be somebody's who writes it at this moment.
_PART_AGE_MS = 3600 * 1000

#: So many records are asked for in one round trip.
_ROUND_TRIP_MAX = 128


class KeptPictures:
    """Kept files. Calls block: run them in a thread."""

    def __init__(self, root: Path) -> None:
        self._files = FileBlobs(root)

    def keep_picture(self, blobs: FileBlobs, job_id: str, *, until_unix_ms: int) -> None:
        """Take a job's picture over from the pictures that wait; one that is gone is fine.

        Safe to repeat: a crash leaves it in one place or the other.
        """
        source = blobs.path(job_id)
        target = self._files.path(job_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _stamp(source, until_unix_ms)
            blobs.move_out(job_id, target)
        except FileNotFoundError:
            return

    def put_preview(self, job_id: str, jpeg: bytes, *, until_unix_ms: int) -> None:
        """Store a job's preview; raises Unavailable."""
        name = job_id + _PREVIEW
        self._files.put(name, jpeg)
        _stamp(self._files.path(name), until_unix_ms)

    def put_outputs(self, job_id: str, data: bytes, *, until_unix_ms: int) -> None:
        """Store the outputs of a job's model, one after the other; raises Unavailable."""
        self._files.put(job_id + _OUTPUTS, data, stamp_unix_ms=until_unix_ms)

    def outputs(self, job_id: str) -> bytes | None:
        """Give the outputs of a job's model."""
        return self._files.get(job_id + _OUTPUTS)

    def remove_outputs(self, job_id: str) -> None:
        """Remove the outputs of a job's model; none is fine."""
        self._files.delete(job_id + _OUTPUTS)

    def picture(self, job_id: str) -> bytes | None:
        """Give a kept picture."""
        return self._files.get(job_id)

    def preview(self, job_id: str) -> bytes | None:
        """Give a preview."""
        return self._files.get(job_id + _PREVIEW)

    def remove(self, job_id: str) -> None:
        """Remove all that is kept of a job; nothing is fine."""
        self._files.delete(job_id)
        self._files.delete(job_id + _PREVIEW)
        self._files.delete(job_id + _OUTPUTS)

    def due(self, now_unix_ms: int) -> list[str]:
        """List the names of the files whose time is over."""
        due = list(self._files.older_than(now_unix_ms))
        if any(name.endswith(PART_SUFFIX) for name in due):
            left = set(self._files.older_than(now_unix_ms - _PART_AGE_MS))
            due = [name for name in due if not name.endswith(PART_SUFFIX) or name in left]
        return due

    def delete(self, name: str) -> None:
        """Remove one file, as :meth:`due` names it."""
        self._files.delete(name)


class Disposal:
    """What becomes of a picture that nobody works on any more: what its job's retention says."""

    def __init__(self, blobs: FileBlobs, kept: KeptPictures, clock: Clock) -> None:
        self._blobs = blobs
        self._kept = kept
        self._clock = clock

    def dispose(self, job: Job) -> None:
        """Remove a job's picture, or keep it for its submitter. Blocks; raises OSError."""
        if job.keep_picture_s:
            until_unix_ms = self._clock.unix_ms() + job.keep_picture_s * 1000
            self._kept.keep_picture(self._blobs, job.job_id, until_unix_ms=until_unix_ms)
        else:
            self._blobs.delete(job.job_id)


async def sweep_kept(kept: KeptPictures, store: JobStore, *, now_unix_ms: int) -> int:
    """Remove kept files whose time is over; give how many. Raises Unavailable.

    A preview stays as long as its job's record, which lives longer while an announcement is to be
    tried again. Safe to run anywhere, at any time, several at once.
    """
    due = await asyncio.to_thread(kept.due, now_unix_ms)
    removed = 0
    for first in range(0, len(due), _ROUND_TRIP_MAX):
        names = due[first : first + _ROUND_TRIP_MAX]
        gone = await store.absent([name.removesuffix(_PREVIEW) for name in names])
        for name in names:
            if not name.endswith(_PREVIEW) or name.removesuffix(_PREVIEW) in gone:
                await asyncio.to_thread(kept.delete, name)
                removed += 1
    return removed


def _stamp(path: Path, until_unix_ms: int) -> None:
    os.utime(path, (until_unix_ms / 1000, until_unix_ms / 1000))
