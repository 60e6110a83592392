"""Copies: whole, shared, held while anybody uses them, and then swept."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.models.copies import ChangedMeanwhile, Copies, hash_files


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a model file."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"weights")
    return file


def test_a_copy_is_what_was_hashed(tmp_path: Path, source: Path) -> None:
    """Overwriting the original changes nothing of it, and the same content is copied once."""
    copies = Copies(tmp_path / "copies")
    copy = copies.take([source], hash_files([source]))
    other = copies.take([source], hash_files([source]))
    source.write_bytes(b"other!!")
    assert (copy.folder / "model.onnx").read_bytes() == b"weights"
    assert copy.folder == other.folder
    changed = copies.take([source], hash_files([source]))
    assert changed.folder != copy.folder


def test_a_file_that_changes_before_it_is_copied_is_noticed(tmp_path: Path, source: Path) -> None:
    """Nothing is left of the attempt but its lock, which is swept."""
    copies = Copies(tmp_path / "copies")
    digests = hash_files([source])
    source.write_bytes(b"half of")
    with pytest.raises(ChangedMeanwhile):
        copies.take([source], digests)
    assert copies.sweep() == 1
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_held_copy_is_not_swept(tmp_path: Path, source: Path) -> None:
    """As long as anybody holds it, in this process or another dispatcher's."""
    copies, others = Copies(tmp_path / "copies"), Copies(tmp_path / "copies")
    one = copies.take([source], hash_files([source]))
    two = others.take([source], hash_files([source]))
    one.release()
    one.release()
    assert copies.sweep() == 0
    assert (two.folder / "model.onnx").exists()
    two.release()
    assert copies.sweep() == 1
    assert not two.folder.exists()
    again = copies.take([source], hash_files([source]))
    assert (again.folder / "model.onnx").read_bytes() == b"weights"


def test_an_absent_folder_has_nothing_to_sweep(tmp_path: Path) -> None:
    """Before the first copy."""
    assert Copies(tmp_path / "nowhere").sweep() == 0
