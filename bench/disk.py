"""A disk that can lose its power: an ext4 file system in a file, copied at one instant.

The file lies on XFS, whose reflinks copy it between two writes and not over a while. What the copy
holds is what ext4 has handed to its disk: what was synced, and whatever the kernel had written back
by itself. What stood in the page cache alone is not in it, as after a power cut.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Unavailable

_NEEDED = ("mkfs.xfs", "mkfs.ext4", "mount", "umount")
_OUTER_BYTES = 12 << 30
_INNER_BYTES = 4 << 30
_UNMOUNT_TRIES = 50
_UNMOUNT_PAUSE_S = 0.1


def why_impossible() -> str:
    """Say what is missing for such disks here, "" if nothing is."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (packages xfsprogs, e2fsprogs, mount)"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return "" if os.geteuid() == 0 else "only root may mount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A mounted file system at *folder*, in the file *image*."""

    image: Path
    folder: Path

    def cut(self, name: str) -> Path:
        """Copy the disk as a power cut would leave it now; give the copy's file."""
        copy = self.image.with_name(f"{name}.img")
        _run("cp", "--reflink=always", str(self.image), str(copy))
        return copy


@contextmanager
def new_disk(folder: Path) -> Iterator[Disk]:
    """Make a disk below *folder* and keep it mounted for the block; raises Unavailable."""
    with (
        _image(folder / "outer.img", _OUTER_BYTES, ("mkfs.xfs", "-q")) as outer_image,
        mounted(outer_image, folder / "outer") as outer,
        _image(outer / "disk.img", _INNER_BYTES, ("mkfs.ext4", "-q", "-F")) as image,
        mounted(image, folder / "disk") as disk,
    ):
        yield Disk(image=image, folder=disk)


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount a file system's file at *folder* for as long as the block lasts."""
    folder.mkdir(exist_ok=True)
    _run("mount", "-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def _image(path: Path, size_bytes: int, make: tuple[str, ...]) -> Iterator[Path]:
    with path.open("wb") as file:
        file.truncate(size_bytes)
    _run(*make, str(path))
    try:
        yield path
    finally:
        path.unlink()


def _unmount(folder: Path) -> None:
    """Unmount, once the last process has closed its files there."""
    for _ in range(_UNMOUNT_TRIES):
        try:
            _run("umount", str(folder))
        except Unavailable:
            time.sleep(_UNMOUNT_PAUSE_S)
        else:
            return
    _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")
