"""What ``gw images`` reads from the engine's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gw.images import installed_images, use_version
from pipeline.errors import NotFound, Unavailable


def document(*names: str, **labels: str) -> dict[str, Any]:
    """Give one image as ``docker image inspect`` tells of it."""
    told = {f"org.opencontainers.image.{name}": value for name, value in labels.items()}
    return {"RepoTags": list(names), "Config": {"Labels": told or None}, "Size": 94_000_000}


def test_versions_are_in_order_the_newest_first() -> None:
    """Numbers count by value, not by their digits; ``latest`` comes first."""
    found = [document("gw/webapp:0.1.9"), document("gw/webapp:0.1.10", "gw/webapp:latest")]

    names = [image.name for image in installed_images(found, [])]

    assert names == ["gw/webapp:latest", "gw/webapp:0.1.10", "gw/webapp:0.1.9"]


def test_an_image_tells_its_labels_and_whether_it_runs() -> None:
    """Version, commit and base come from the labels; a container's image is marked."""
    found = [
        document("gw/notifier:0.1.2", version="0.1.2", revision="abc", created="2026"),
        document("gw/webapp:0.1.2", **{"base.name": "python:3.11-alpine"}),
        document("gw/webapp:0.1.1"),
    ]

    notifier, webapp, old = installed_images(found, ["gw/webapp:0.1.2", "redis:7.4-alpine"])

    assert (notifier.version, notifier.revision, notifier.created) == ("0.1.2", "abc", "2026")
    assert (webapp.base, webapp.is_running, webapp.size_bytes) == (
        "python:3.11-alpine",
        True,
        94_000_000,
    )
    assert not notifier.is_running
    assert not old.is_running


def test_other_images_and_names_are_left_out() -> None:
    """An image without a name of ours is not ours, nor is another name of one that is."""
    found = [document("redis:7"), document(), document("gw/webapp:1.0.0", "mirror/webapp:1.0.0")]

    assert [image.name for image in installed_images(found, [])] == ["gw/webapp:1.0.0"]


def test_without_an_engine_it_says_where_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container there is no client of the engine: the sentence says so."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable, match="not in a container"):
        use_version("0.1.1", tmp_path)


def test_without_an_installation_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without an installer is named, and the way by hand is told."""
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotFound, match="GW_VERSION"):
        use_version("0.1.1", tmp_path)


def test_the_installer_of_the_installation_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit code is given, and it is told where and to which version."""
    for name, text in (("docker", ""), ("install.sh", f'echo "$@" >{tmp_path}/told; exit 7\n')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert use_version("0.1.1", tmp_path) == 7
    assert (tmp_path / "told").read_text() == f"--prefix {tmp_path} --use 0.1.1\n"
