"""The data folder and the private files in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gw.data_folder import DataFolder, secret_at, write_private
from pipeline.errors import InvalidSettings


def test_folders_are_their_owners_alone(tmp_path: Path) -> None:
    """Every folder that is made has mode 0700, and making them again changes nothing."""
    folder = DataFolder.at(tmp_path / "data")

    folder.create()
    folder.create()

    made = (folder.root, folder.run, folder.redis, folder.logs)
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}


def test_refuses_a_place_where_no_folder_can_be(tmp_path: Path) -> None:
    """A file in the way is told in one sentence."""
    (tmp_path / "data").write_text("in the way")

    with pytest.raises(InvalidSettings, match="cannot be used"):
        DataFolder.at(tmp_path / "data").create()


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A private file has mode 0600 from its first moment, also where it replaces a laxer one."""
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    """The first call makes a long secret, later calls read the same one."""
    first = secret_at(tmp_path / "secret")

    assert len(first) >= 43
    assert secret_at(tmp_path / "secret") == first
    assert secret_at(tmp_path / "other") != first


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    """An emptied secret file never becomes an empty password."""
    (tmp_path / "secret").write_text("\n")

    with pytest.raises(InvalidSettings, match="is empty"):
        secret_at(tmp_path / "secret")
