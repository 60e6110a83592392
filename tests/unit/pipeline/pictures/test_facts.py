"""What a picture says about itself."""

from __future__ import annotations

import pytest

from pipeline.errors import InvalidPicture
from pipeline.pictures.facts import picture_facts
from tests.unit.webapp.pictures import png


def test_the_smallest_picture_is_one() -> None:
    """A single pixel is a picture like any other."""
    facts = picture_facts(png(1, 1), max_pixels=100)

    assert (facts.format, facts.width_px, facts.height_px) == ("png", 1, 1)
    assert facts.size_bytes == len(png(1, 1))


def test_a_picture_of_exactly_the_limit_is_taken() -> None:
    """The limit counts pixels, whatever the shape."""
    assert picture_facts(png(1, 100), max_pixels=100).height_px == 100

    with pytest.raises(InvalidPicture, match="1 x 101"):
        picture_facts(png(1, 101), max_pixels=100)


def test_a_truncated_picture_is_refused() -> None:
    """A cut-off upload is told at the door."""
    with pytest.raises(InvalidPicture):
        picture_facts(png(10, 10)[:-8], max_pixels=100)
