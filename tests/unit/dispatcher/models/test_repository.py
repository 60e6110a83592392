"""Tests of dispatcher/models/repository.py."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from dispatcher.models.repository import Repository, scan

CARD = """\
[model]
name = "{name}"
task = "raw"
runtime = "{runtime}"
[input]
width_px = 8
height_px = 8
[decoder]
kind = "raw"
"""


def add_model(
    root: Path, name: str = "street", *versions: int | str, runtime: str = "onnx"
) -> Path:
    """Add a model with a good card and a model file in each of *versions*; give its folder."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(CARD.format(name=name, runtime=runtime))
    for version in versions:
        (folder / str(version)).mkdir()
        file = "model.onnx" if runtime == "onnx" else "model.om"
        (folder / str(version) / file).write_bytes(f"{name} {version}".encode())
    return folder


def reasons(repository: Repository) -> dict[tuple[str, int | None], str]:
    """Give the refusals by model and version."""
    return {(r.model, r.version): r.reason for r in repository.refusals}


def test_a_version_carries_its_card_and_its_file(tmp_path: Path) -> None:
    """A usable version names its file, the file's size and sha256, and what the device calls it."""
    folder = add_model(tmp_path, "street", 3)

    repository = scan(tmp_path)

    found = repository.find("street")
    assert found is not None
    assert found.card.name == "street"
    assert found.path == folder / "3" / "model.onnx"
    assert found.file_sha256 == hashlib.sha256(b"street 3").hexdigest()
    assert found.file_bytes == len(b"street 3")
    assert found.key == "street/3"
    assert repository.refusals == ()


def test_the_highest_version_is_the_default(tmp_path: Path) -> None:
    """Versions compare as numbers: 10 is above 9; any may be asked for by number."""
    add_model(tmp_path, "street", 1, 9, 10)

    repository = scan(tmp_path)

    assert [v.version for v in repository.models["street"]] == [10, 9, 1]
    default, first = repository.find("street"), repository.find("street", 1)
    assert default is not None
    assert default.version == 10
    assert first is not None
    assert first.version == 1
    assert repository.find("street", 2) is None
    assert repository.find("road") is None


def test_a_model_without_a_file_says_how_to_get_one(tmp_path: Path) -> None:
    """A card without any version, or a version folder without its file, tells what to do."""
    add_model(tmp_path, "bare")
    (add_model(tmp_path, "hollow") / "1").mkdir()

    found = reasons(scan(tmp_path))

    assert "run `gw models fetch demo`" in found["bare", None]
    assert "run `gw models fetch demo`" in found["hollow", 1]
    assert str(tmp_path / "hollow" / "1" / "model.onnx") in found["hollow", 1]


def test_one_bad_model_does_not_hide_the_others(tmp_path: Path) -> None:
    """A wrong card, a bad name and a bad version are refused by name; the rest is usable."""
    add_model(tmp_path, "good", 1)
    (add_model(tmp_path, "typo", 1) / "model.toml").write_text("[model")
    (tmp_path / "no-card").mkdir()
    (add_model(tmp_path, "half", 1, 2) / "2" / "model.onnx").write_bytes(b"")

    repository = scan(tmp_path)

    found = reasons(repository)
    assert set(repository.models) == {"good", "half"}
    assert set(found) == {("typo", None), ("no-card", None), ("half", 2)}
    assert "model.toml:1: not valid TOML" in found["typo", None]
    assert "cannot be read: No such file" in found["no-card", None]
    assert found["half", 2].endswith("is empty")
    default = repository.find("half")
    assert default is not None
    assert default.version == 1


@pytest.mark.parametrize("name", ["Street", "-street", "a b", "a" * 65, "straße", "street~"])
def test_a_folder_with_a_name_that_is_no_model_name_is_refused(tmp_path: Path, name: str) -> None:
    """Names are lower case letters, digits, dot, dash and underscore, at most 64."""
    (tmp_path / name).mkdir()

    assert "does not match" in reasons(scan(tmp_path))[name, None]


def test_what_is_not_a_model_is_passed_over(tmp_path: Path) -> None:
    """Files, hidden folders and Python's own are not models; other folders are not versions."""
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (add_model(tmp_path, "street", 1) / "pictures").mkdir()

    repository = scan(tmp_path)

    assert set(repository.models) == {"street"}
    assert repository.refusals == ()


@pytest.mark.parametrize("version", ["0", "01", "-1", "v1", "1.0", "1" * 10])
def test_a_version_that_is_no_positive_number_is_refused(tmp_path: Path, version: str) -> None:
    """A model file under another name than 1, 2, 3 is a mistake, and is told."""
    add_model(tmp_path, "street", version)

    repository = scan(tmp_path)

    assert repository.models == {}
    assert f'folder "{version}" holds a model file' in reasons(repository)["street", None]


def test_a_link_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    """A model, a version or a file that is really elsewhere, or nowhere, is not followed."""
    outside = add_model(tmp_path / "outside", "linked", 1)
    root = tmp_path / "gwproc"
    add_model(root, "good", 1)
    (root / "linked").symlink_to(outside)
    (add_model(root, "by-version") / "1").symlink_to(outside / "1")
    by_file = add_model(root, "by-file", 1)
    (by_file / "1" / "model.onnx").unlink()
    (by_file / "1" / "model.onnx").symlink_to(outside / "1" / "model.onnx")
    dangling = add_model(root, "dangling", 1)
    (dangling / "1" / "model.onnx").unlink()
    (dangling / "1" / "model.onnx").symlink_to(root / "nowhere")
    loop = add_model(root, "loop", 1)
    (loop / "1" / "model.onnx").unlink()
    (loop / "1" / "model.onnx").symlink_to(loop / "1" / "model.onnx")

    repository = scan(root)

    assert set(repository.models) == {"good"}
    found = reasons(repository)
    assert set(found) == {
        ("linked", None),
        ("by-version", 1),
        ("by-file", 1),
        ("dangling", 1),
        ("loop", 1),
    }
    assert all("is a link that leads out" in reason for reason in found.values())


def test_a_link_within_the_repository_is_followed(tmp_path: Path) -> None:
    """A version may be a link to another version's folder."""
    folder = add_model(tmp_path, "street", 1)
    (folder / "2").symlink_to(folder / "1")

    assert [v.version for v in scan(tmp_path).models["street"]] == [2, 1]


def test_a_file_of_the_other_runtime_is_named(tmp_path: Path) -> None:
    """A model.om where the card says onnx is told apart from a file that was never fetched."""
    folder = add_model(tmp_path, "street", 1, runtime="acl")
    (folder / "model.toml").write_text(CARD.format(name="street", runtime="onnx"))

    reason = reasons(scan(tmp_path))["street", 1]

    assert 'the card says runtime "onnx", but the folder holds model.om' in reason


def test_a_model_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A named pipe is refused instead of being opened, which would wait for ever."""
    folder = add_model(tmp_path, "street", 1)
    (folder / "1" / "model.onnx").unlink()
    os.mkfifo(folder / "1" / "model.onnx")

    assert reasons(scan(tmp_path))["street", 1].endswith("is not a regular file")


def test_a_repository_that_is_absent_has_no_models(tmp_path: Path) -> None:
    """A root that does not exist gives neither models nor refusals."""
    assert scan(tmp_path / "absent") == Repository(models={}, refusals=())
