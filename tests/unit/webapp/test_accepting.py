"""Checking the pictures of one request."""

from __future__ import annotations

import pytest

from tests.unit.webapp.pictures import png
from webapp.accepting import check_pictures
from webapp.refusals import RefusedPicture


def test_every_picture_has_its_facts() -> None:
    """In the order of the request."""
    facts = check_pictures([png(1, 1), png(3, 2)], max_pixels=100)

    assert [(each.width_px, each.height_px) for each in facts] == [(1, 1), (3, 2)]


def test_the_bad_one_of_several_is_named() -> None:
    """The caller learns which one to mend."""
    with pytest.raises(RefusedPicture) as caught:
        check_pictures([png(1, 1), b"GIF89a" + bytes(20)], max_pixels=100)

    assert caught.value.field == "picture[1]"
    assert "GIF" in str(caught.value)


def test_a_single_bad_picture_needs_no_number() -> None:
    """Its field is the picture."""
    with pytest.raises(RefusedPicture) as caught:
        check_pictures([b""], max_pixels=100)

    assert caught.value.field == "picture"
