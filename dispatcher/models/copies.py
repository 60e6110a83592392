"""Private copies of model files: what a device loads, again and again, is never written to.

A file under ``gwproc`` may be overwritten at any moment, also while the device loads it, and again
when a restarted device process loads it once more for the jobs under way. So what was read, hashed
and found whole is what is loaded: a copy under the hash of its content, shared by the dispatchers
of a box and removed when none of them uses it. The price is disk: once the size of the models.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from dispatcher.models.repository import HASH_CHUNK_BYTES, hash_file

_LOCK_SUFFIX = ".lock"


class ChangedMeanwhile(Exception):
    """A file changed between being hashed and being copied."""


class Copy:
    """The copy of one version's files. Somebody holds it until it is released."""

    def __init__(
        self, folder: Path, digests: Mapping[str, str], size_bytes: int, lock_fd: int
    ) -> None:
        self.folder = folder
        self.digests = digests
        self.size_bytes = size_bytes
        self._lock_fd: int | None = lock_fd

    def release(self) -> None:
        """Let it go: the next sweep may remove it."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


class Copies:
    """The folder of all copies. Every method blocks; any may raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, files: Sequence[Path], digests: Mapping[str, str]) -> Copy:
        """Copy *files*, whose hex sha256 by name are *digests*, unless that was done before.

        Raises ChangedMeanwhile where a file is not what it was.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = _name_of(digests)
        lock_fd = self._lock(name)
        try:
            place = self._folder / name
            if not place.is_dir():
                self._fill(place, files, digests)
            size_bytes = sum(entry.stat().st_size for entry in place.iterdir())
        except BaseException:
            os.close(lock_fd)
            raise
        return Copy(place, digests, size_bytes, lock_fd)

    def sweep(self) -> int:
        """Remove the copies that nobody holds, finished or not; give how many."""
        if not self._folder.is_dir():
            return 0
        removed = 0
        for lock in self._folder.glob(f"*{_LOCK_SUFFIX}"):
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                name = lock.name.removesuffix(_LOCK_SUFFIX)
                for left in (self._folder / name, *self._folder.glob(f".{name}.*")):
                    shutil.rmtree(left, ignore_errors=True)
                lock.unlink()
                removed += 1
            finally:
                os.close(descriptor)
        return removed

    def _lock(self, name: str) -> int:
        """Hold the copy called *name*, in whatever state it is."""
        path = self._folder / f"{name}{_LOCK_SUFFIX}"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                # Somebody may have swept it between the two steps.
                if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _fill(self, place: Path, files: Sequence[Path], digests: Mapping[str, str]) -> None:
        """Copy *files* aside, durably, and put them in their place at once."""
        aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        aside.mkdir(mode=0o700)
        try:
            for file in files:
                if _copy(file, aside / file.name) != digests[file.name]:
                    raise ChangedMeanwhile(file)
            try:
                aside.rename(place)
            except OSError:
                # Another dispatcher was first, and has put the same there.
                if not place.is_dir():
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def hash_files(files: Sequence[Path]) -> dict[str, str]:
    """Give the hex sha256 of *files* by name. Blocks; may raise OSError."""
    return {file.name: hash_file(file)[0] for file in files}


def _name_of(digests: Mapping[str, str]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _copy(source: Path, target: Path) -> str:
    """Copy a file and sync it; give the sha256 of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as written:
        while chunk := read.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()
