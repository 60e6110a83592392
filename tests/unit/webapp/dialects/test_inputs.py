"""Pictures and models under the names that other protocols have for them."""

from __future__ import annotations

import base64

import pytest

from webapp.access import Caller
from webapp.dialects.inputs import (
    ModelRef,
    default_model,
    parse_model_ref,
    parse_picture,
    take_picture,
)
from webapp.refusals import BodyTooLarge, InvalidField


@pytest.mark.parametrize(
    ("text", "model", "version"),
    [
        ("echo", "echo", ""),
        ("echo:2", "echo", "2"),
        ("gw/echo", "echo", ""),
        ("anybody/echo:2", "echo", "2"),
    ],
)
def test_a_model_is_named_with_or_without_owner_and_version(
    text: str, model: str, version: str
) -> None:
    """The owner says nothing."""
    assert parse_model_ref(text, name="version") == ModelRef(model=model, version=version)


@pytest.mark.parametrize("text", ["", "gw/", "echo:", ":2", "a/b/c", "gw/:2"])
def test_a_name_without_a_model_is_refused(text: str) -> None:
    """The field that holds it is named."""
    with pytest.raises(InvalidField) as caught:
        parse_model_ref(text, name="version")

    assert caught.value.field == "version"


def test_a_key_without_a_model_is_told_how_to_get_one() -> None:
    """The refusal names the field and the command."""
    caller = Caller(tenant="t", key_id="k", scopes=frozenset())

    with pytest.raises(InvalidField, match="--default-model"):
        default_model(caller, name="model")


def test_a_picture_is_a_url_or_a_data_url() -> None:
    """The scheme may be written in any case, and the media type is not believed."""
    data = base64.b64encode(b"abc").decode()

    assert parse_picture("HTTPS://example.com/a", name="i", max_bytes=9).url.endswith("/a")
    for head in ("data:image/png;base64,", "DATA:;BASE64,", "data:text/plain;charset=x;base64,"):
        assert parse_picture(head + data, name="i", max_bytes=3).data == b"abc"
    with pytest.raises(BodyTooLarge):
        parse_picture(f"data:;base64,{data}", name="i", max_bytes=2)


def test_the_picture_is_taken_out_of_the_options() -> None:
    """What is left is what the caller said besides; null counts as not given."""
    options = {"image_url": "http://x/", "image": None, "camera": 3}

    picture = take_picture(options, ("image_url", "image"), prefix="", max_bytes=9)

    assert picture.url == "http://x/"
    assert options == {"camera": 3}
