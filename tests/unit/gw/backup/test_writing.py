"""An archive is written whole, privately, and over nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gw.backup.manifest import STORE, BadArchive
from gw.backup.writing import ArchiveWriter
from pipeline.errors import InvalidSettings, Unavailable
from tests.unit.gw.backup.archives import write_archive


def test_an_archive_is_for_its_owner_only(tmp_path: Path) -> None:
    """Its mode is 0600, and nothing is left beside it."""
    path = tmp_path / "folder" / "a.tar"
    path.parent.mkdir()

    write_archive(path, tmp_path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """The archive of yesterday stays."""
    path = tmp_path / "a.tar"
    path.write_bytes(b"yesterday's")

    with (
        pytest.raises(InvalidSettings, match="is there already"),
        ArchiveWriter(path, on_progress=lambda: None),
    ):
        pass
    assert path.read_bytes() == b"yesterday's"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    """A file that became shorter, a name that no restore takes: there is no archive then."""
    path = tmp_path / "a.tar"
    with (
        pytest.raises(Unavailable, match="changed while it was read"),
        ArchiveWriter(path, on_progress=lambda: None) as writer,
    ):
        writer.add_stream(STORE, io.BytesIO(b"short"), 6)
    with (
        pytest.raises(BadArchive),
        ArchiveWriter(path, on_progress=lambda: None) as writer,
    ):
        writer.add_stream("models/a\\b", io.BytesIO(b""), 0)

    assert list(tmp_path.iterdir()) == []
