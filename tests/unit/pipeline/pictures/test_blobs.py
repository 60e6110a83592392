"""The blob store on real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import Unavailable
from pipeline.pictures.blobs import FileBlobs
from tests.builders import make_id

#: Far in the future: everything is older.
LATER_UNIX_MS = 9**15


def files_under(root: Path) -> list[str]:
    """Give the names of all files, wherever they lie."""
    return sorted(path.name for path in root.rglob("*") if not path.is_dir())


def test_a_blob_comes_back_as_it_was_put(tmp_path: Path) -> None:
    """Bytes survive, under their own name only; putting again replaces them."""
    blobs = FileBlobs(tmp_path / "new" / "folder")
    first, second = make_id(), make_id()
    blobs.put(first, b"\x00\xff" * 1000)
    blobs.put(second, b"")
    blobs.put(second, b"again")

    assert blobs.get(first) == b"\x00\xff" * 1000
    assert blobs.get(second) == b"again"
    assert blobs.get(make_id()) is None


def test_a_deleted_blob_is_gone(tmp_path: Path) -> None:
    """Deleting leaves no file, and deleting what is not there is fine."""
    blobs = FileBlobs(tmp_path)
    name = make_id()
    blobs.delete(name)
    blobs.put(name, b"x")

    blobs.delete(name)
    blobs.delete(name)

    assert blobs.get(name) is None
    assert files_under(tmp_path) == []


def test_blobs_are_listed_by_age(tmp_path: Path) -> None:
    """Only what was last written before the moment is listed, whole or half-written."""
    blobs = FileBlobs(tmp_path)
    old, young = make_id(), make_id()
    for name in (old, young):
        blobs.put(name, b"x")
    folder = next(tmp_path.rglob(old)).parent
    half = folder / f"{old[:-3]}0{old[-2:]}.part"
    half.write_bytes(b"half a pic")
    for path in (folder / old, half):
        os.utime(path, (1000, 1000))

    assert sorted(blobs.older_than(1_000_001)) == sorted([old, half.name])
    assert list(blobs.older_than(1_000_000)) == []
    assert len(list(blobs.older_than(LATER_UNIX_MS))) == 3


def test_what_a_crash_left_can_be_swept(tmp_path: Path) -> None:
    """Every name that is listed can be deleted, also a half-written one's."""
    blobs = FileBlobs(tmp_path)
    name = make_id()
    blobs.put(name, b"x")
    next(tmp_path.rglob(name)).with_suffix(".part").write_bytes(b"half")

    for listed in list(blobs.older_than(LATER_UNIX_MS)):
        blobs.delete(listed)

    assert files_under(tmp_path) == []


def test_a_half_written_blob_is_no_blob(tmp_path: Path) -> None:
    """A picture whose writing was cut short is not given as if it were whole."""
    blobs = FileBlobs(tmp_path)
    name = make_id()
    blobs.put(name, b"x")
    whole = next(tmp_path.rglob(name))
    whole.rename(whole.with_suffix(".part"))

    assert blobs.get(name) is None


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """ENOSPC while writing raises Unavailable with the system's words; an older blob stays."""
    blobs = FileBlobs(tmp_path)
    name = make_id()
    blobs.put(name, b"before")
    # Everything that is written to this device fails as on a full disk.
    next(tmp_path.rglob(name)).with_suffix(".part").symlink_to("/dev/full")

    with pytest.raises(Unavailable, match="No space left"):
        blobs.put(name, b"x" * 100_000)

    assert files_under(tmp_path) == [name]
    assert blobs.get(name) == b"before"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file where the folder should be raises Unavailable, not an error of the system's."""
    (tmp_path / "pictures").write_text("a file")
    blobs = FileBlobs(tmp_path / "pictures")

    with pytest.raises(Unavailable):
        blobs.put(make_id(), b"x")

    assert files_under(tmp_path) == ["pictures"]


def test_a_folder_that_nobody_may_write_is_told() -> None:
    """A folder of the kernel's, where even root makes nothing, raises Unavailable."""
    with pytest.raises(Unavailable):
        FileBlobs(Path("/proc/self")).put(make_id(), b"x")


def test_free_space_is_that_of_the_disk(tmp_path: Path) -> None:
    """The folder need not be there yet."""
    assert FileBlobs(tmp_path / "new").free_bytes() > 0


def test_blobs_are_spread_over_folders(tmp_path: Path) -> None:
    """Many blobs of one moment do not lie in one folder."""
    blobs = FileBlobs(tmp_path)
    for _ in range(64):
        blobs.put(make_id(), b"x")

    assert len(list(tmp_path.iterdir())) > 20
