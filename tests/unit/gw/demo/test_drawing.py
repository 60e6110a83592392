"""Regions drawn into pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gw.demo.drawing import draw, drawn_name, regions_of, write_pictures
from gw.demo.pictures import Picture, decode
from pipeline.errors import InvalidSettings
from tests.unit.gw.demo.passages import make_result

GREY = np.full((60, 80, 3), 128, np.uint8)
PICTURE = Picture(name="grey.png", data=cv2.imencode(".png", GREY)[1].tobytes())


def test_a_region_is_outlined_where_it_was_found() -> None:
    """The outline's corners are coloured, its inside and the rest of the picture stay."""
    (quad,) = regions_of(make_result())

    drawn = decode(draw(PICTURE, [quad]) or b"")

    changed = np.argwhere((drawn != GREY).any(axis=2))
    assert changed.min(axis=0).tolist() == [2, 4]
    assert changed.max(axis=0).tolist() == [8, 40]
    assert (drawn[5, 10] == 128).all()


def test_without_regions_the_picture_stays_as_it_is() -> None:
    """Nothing found, nothing drawn."""
    assert np.array_equal(decode(draw(PICTURE, []) or b""), GREY)


@pytest.mark.parametrize("data", [b"no picture", b""])
def test_bytes_that_are_no_picture_are_not_drawn(data: bytes) -> None:
    """What OpenCV cannot read gives None, an empty file too."""
    assert draw(Picture(name="no.png", data=data), []) is None


def test_a_result_without_text_regions_has_none() -> None:
    """No result, or one of another kind, has no outlines."""
    assert regions_of(None) == []
    assert regions_of({"detections": []}) == []


def test_formats_that_are_not_written_become_png() -> None:
    """A drawn JPEG or PNG keeps its name; others get an ending that says what they are."""
    assert [drawn_name(name) for name in ("a.JPG", "a.png", "a.webp", "a.bmp")] == [
        "a.JPG",
        "a.png",
        "a.webp.png",
        "a.bmp.png",
    ]


def test_both_the_sent_and_the_drawn_picture_are_written(tmp_path: Path) -> None:
    """The sent one is byte for byte what was sent, also where it cannot be drawn."""
    broken = Picture(name="no.png", data=b"no picture")

    written = write_pictures([(PICTURE, regions_of(make_result())), (broken, [])], tmp_path / "out")

    assert written == [tmp_path / "out" / "grey.png"]
    assert (tmp_path / "out" / "sent" / "grey.png").read_bytes() == PICTURE.data
    assert (tmp_path / "out" / "sent" / "no.png").read_bytes() == b"no picture"


def test_an_output_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    """Where a file stands in the way the error names the folder."""
    (tmp_path / "out").write_text("in the way")

    with pytest.raises(InvalidSettings, match="out cannot be written"):
        write_pictures([(PICTURE, [])], tmp_path / "out")
