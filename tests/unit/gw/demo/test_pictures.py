"""Which pictures the demonstration sends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gw.demo.pictures import (
    COMPOSED_HEIGHT_PX,
    COMPOSED_NAME,
    COMPOSED_WIDTH_PX,
    PICTURES_MAX,
    TILES,
    decode,
    pictures_in,
    shipped_pictures,
)
from pipeline.errors import InvalidSettings
from pipeline.pictures.header import read_picture_header


def test_the_shipped_pictures_are_real_and_differ() -> None:
    """At least eight different pictures come along, and each can be decoded."""
    pictures = shipped_pictures()

    assert len({picture.data for picture in pictures}) == len(pictures) >= 8
    assert all(decode(picture.data) is not None for picture in pictures)


def test_one_picture_is_a_full_size_jpeg_made_of_the_others() -> None:
    """The composed picture is a JPEG of 1920 x 1080 in which every tile shows its picture."""
    pictures = {picture.name: picture.data for picture in shipped_pictures()}
    header = read_picture_header(pictures[COMPOSED_NAME])
    composed = decode(pictures[COMPOSED_NAME])

    assert (header.format, header.width_px, header.height_px) == (
        "jpeg",
        COMPOSED_WIDTH_PX,
        COMPOSED_HEIGHT_PX,
    )
    for tile in TILES:
        shown = composed[
            tile.top_px : tile.top_px + tile.height_px, tile.left_px : tile.left_px + tile.width_px
        ]
        middle = shown[tile.height_px // 4 : -tile.height_px // 4, tile.width_px // 4 :]
        assert float(np.std(middle)) > 10, tile.name


def test_a_folders_pictures_are_taken_in_order(tmp_path: Path) -> None:
    """Files with a picture's ending are sent by name; folders and other files are not."""
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "c.png").mkdir()

    assert [(each.name, each.data) for each in pictures_in(tmp_path)] == [
        ("a.png", b"a.png"),
        ("b.JPG", b"b.JPG"),
    ]


def test_a_folder_full_of_pictures_is_bounded(tmp_path: Path) -> None:
    """No more than a demonstration's worth is taken."""
    for number in range(PICTURES_MAX + 3):
        (tmp_path / f"{number:03}.png").write_bytes(b"x")

    assert len(pictures_in(tmp_path)) == PICTURES_MAX


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    """An empty folder is named."""
    with pytest.raises(InvalidSettings, match="holds no JPEG, PNG, BMP or WebP picture"):
        pictures_in(tmp_path)


def test_decoding_says_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """A picture whose colour profile libpng complains about is decoded in silence."""
    page = next(each for each in shipped_pictures() if each.name == "page.png")

    assert decode(page.data).shape == (191, 384, 3)
    assert capfd.readouterr().err == ""
