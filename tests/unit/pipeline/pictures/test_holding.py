"""Files that are held while a backup runs, on real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.batches.files import BatchFiles
from pipeline.errors import InvalidSettings, Unavailable
from pipeline.jobs.kept import KeptPictures
from pipeline.pictures.blobs import FileBlobs
from pipeline.pictures.holding import Hold
from tests.builders import make_id


def held_names(hold: Hold) -> set[str]:
    """Give the names of what was put aside."""
    return {path.name for path in hold.held()}


def run_out(root: Path) -> None:
    """Let a hold end by itself, as when its backup was killed."""
    os.utime(root.with_name(root.name + ".held") / ".until", (1000, 1000))


def test_a_removed_picture_is_put_aside_while_held(tmp_path: Path) -> None:
    """To its readers it is gone; the backup still has its bytes; afterwards nothing is left."""
    blobs, hold = FileBlobs(tmp_path / "pictures"), Hold(tmp_path / "pictures")
    before, during, after = make_id(), make_id(), make_id()
    for name in (before, during, after):
        blobs.put(name, name.encode())
    blobs.delete(before)
    hold.begin()

    blobs.delete(during)
    blobs.delete(make_id())

    assert blobs.get(during) is None
    assert {path.name: path.read_bytes() for path in hold.held()} == {during: during.encode()}
    hold.end()
    blobs.delete(after)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_picture_that_is_kept_stays_with_the_backup_too(tmp_path: Path) -> None:
    """A picture that moves to the kept ones while held lies in both places."""
    blobs, hold = FileBlobs(tmp_path / "pictures"), Hold(tmp_path / "pictures")
    kept = KeptPictures(tmp_path / "kept")
    job_id = make_id()
    blobs.put(job_id, b"x")
    hold.begin()

    kept.keep_picture(blobs, job_id, until_unix_ms=9**15)

    assert kept.picture(job_id) == b"x"
    assert held_names(hold) == {job_id}


def test_a_batchs_source_is_put_aside_while_held(tmp_path: Path) -> None:
    """What a batch of the snapshot may still have to read is not lost."""
    files, hold = BatchFiles(tmp_path / "batches"), Hold(tmp_path / "batches")
    path = files.source("batch_1")
    file = files.begin(path)
    file.write(b"zip")
    files.commit(file, path)
    hold.begin()

    files.remove_source("batch_1")

    assert held_names(hold) == {"batch_1.source"}
    assert not path.exists()


def test_a_hold_that_ran_out_holds_nothing_and_says_so(tmp_path: Path) -> None:
    """A backup that stood still fails; another one takes over and clears what it left."""
    root = tmp_path / "pictures"
    blobs, hold = FileBlobs(root), Hold(root)
    first, second = make_id(), make_id()
    blobs.put(first, b"x")
    blobs.put(second, b"x")
    hold.begin()
    with pytest.raises(InvalidSettings, match="another backup"):
        Hold(root).begin()
    blobs.delete(first)
    run_out(root)

    blobs.delete(second)

    assert held_names(hold) == {first}
    with pytest.raises(Unavailable, match="stood still"):
        hold.renew()
    Hold(root).begin()
    hold.renew()
    assert held_names(hold) == set()
