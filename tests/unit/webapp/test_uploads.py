"""Taking requests of each content type apart."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from starlette.types import Message, Receive

from pipeline.errors import InvalidRequest
from webapp.body import MemoryBudget
from webapp.head import SubmissionHead
from webapp.refusals import BodyTooLarge, InvalidField, UnsupportedContent
from webapp.settings import UploadSettings
from webapp.uploads import (
    Upload,
    decode_base64,
    decode_text_fields,
    merged,
    parse_json,
    read_upload,
)

SETTINGS = UploadSettings(picture_max_bytes=1024, request_max_bytes=4096)


def receiving(body: bytes) -> Receive:
    """Give *body* in one piece."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def read(body: bytes, **head: Any) -> Upload:
    """Read an upload."""
    with MemoryBudget(1_000_000).hold() as holding:
        return await read_upload(SubmissionHead(**head), receiving(body), holding, SETTINGS)


def as_json(**document: Any) -> bytes:
    """Give a JSON body."""
    return json.dumps(document).encode()


async def test_a_raw_body_is_the_picture() -> None:
    """Its fields come from the head, objects among them as JSON text."""
    upload = await read(
        b"pixels", media_type="image/jpeg", fields={"model": "echo", "metadata": '{"a": 1}'}
    )

    assert upload.pictures == (b"pixels",)
    assert upload.fields == {"model": "echo", "metadata": {"a": 1}}


async def test_json_carries_a_picture_in_base64() -> None:
    """Everything else in the object is a field."""
    body = as_json(model="echo", picture=base64.b64encode(b"pixels").decode())

    upload = await read(body, media_type="application/json", fields={"priority": "high"})

    assert upload.pictures == (b"pixels",)
    assert upload.fields == {"model": "echo", "priority": "high"}


async def test_json_names_a_picture_by_url() -> None:
    """Nothing is fetched yet."""
    body = as_json(model="echo", picture_url="https://example.com/a.jpg")

    upload = await read(body, media_type="application/json")

    assert (upload.pictures, upload.picture_url) == ((), "https://example.com/a.jpg")


async def test_a_form_carries_pictures_and_fields() -> None:
    """Fields of form and head are joined."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\npixels\r\n'
        b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"a":1}\r\n--b--\r\n'
    )

    upload = await read(
        body, media_type="multipart/form-data", boundary="b", fields={"model": "echo"}
    )

    assert upload.pictures == (b"pixels",)
    assert upload.fields == {"metadata": {"a": 1}, "model": "echo"}


async def test_a_form_without_a_picture_is_refused() -> None:
    """The picture is what is missing."""
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\necho\r\n--b--\r\n'

    with pytest.raises(InvalidField) as caught:
        await read(body, media_type="multipart/form-data", boundary="b")

    assert caught.value.field == "picture"


@pytest.mark.parametrize(
    "head",
    [
        {"media_type": ""},
        {"media_type": "image/gif"},
        {"media_type": "image/svg+xml"},
        {"media_type": "application/x-www-form-urlencoded"},
        {"media_type": "text/plain"},
        {"media_type": "image/jpeg", "content_encoding": "gzip"},
    ],
)
async def test_other_content_is_refused(head: dict[str, str]) -> None:
    """Types and encodings that are not taken say so before a byte is read."""
    with pytest.raises(UnsupportedContent):
        await read(b"", **head)


@pytest.mark.parametrize(
    ("media_type", "length_bytes"),
    [("image/png", 1025), ("application/json", 100_000), ("multipart/form-data", 1_000_000)],
)
async def test_a_body_that_claims_too_much_is_refused(media_type: str, length_bytes: int) -> None:
    """Each kind of body has its own limit."""
    with pytest.raises(BodyTooLarge):
        await read(b"", media_type=media_type, boundary="b", length_bytes=length_bytes)


async def test_base64_of_a_picture_too_large_is_refused() -> None:
    """The picture's own limit holds whatever wraps it."""
    picture = base64.b64encode(b"x" * 1025).decode()

    with pytest.raises(BodyTooLarge):
        await read(as_json(model="echo", picture=picture), media_type="application/json")


@pytest.mark.parametrize(
    "document",
    [
        {"model": "echo"},
        {"model": "echo", "picture": "eA==", "picture_url": "http://a/"},
        {"model": "echo", "picture": 5},
        {"model": "echo", "picture": "not base64!"},
        {"model": "echo", "picture": "eA"},
        {"model": "echo", "picture": "eA==\n"},
        {"model": "echo", "picture": "\u00e9A=="},
    ],
)
async def test_a_json_picture_must_be_one(document: dict[str, Any]) -> None:
    """Exactly one picture, in strict base64, or one URL."""
    with pytest.raises(InvalidField) as caught:
        await read(as_json(**document), media_type="application/json")

    assert caught.value.field == "picture"


async def test_a_picture_url_must_be_text() -> None:
    """A number is no URL."""
    with pytest.raises(InvalidField) as caught:
        await read(as_json(model="echo", picture_url=5), media_type="application/json")

    assert caught.value.field == "picture_url"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe{}",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
async def test_malformed_json_is_refused(body: bytes) -> None:
    """Broken, foreign, endless or bottomless: it is the caller's error, and quickly told."""
    with pytest.raises(InvalidRequest):
        await read(body, media_type="application/json")


def test_text_fields_become_objects() -> None:
    """Only those that are objects, and only from valid JSON."""
    assert decode_text_fields({"reference": "{}", "webhook": "{}"}) == {
        "reference": "{}",
        "webhook": {},
    }

    with pytest.raises(InvalidField) as caught:
        decode_text_fields({"metadata": "{"})
    assert caught.value.field == "metadata"


def test_a_field_in_two_places_is_refused() -> None:
    """Body and head may not disagree, not even agree."""
    with pytest.raises(InvalidField, match="twice"):
        merged({"model": "a"}, {"model": "a"})


def test_base64_is_decoded() -> None:
    """The empty text is the empty picture, which the picture's check refuses."""
    assert decode_base64("") == b""
    assert decode_base64("cGl4ZWxz") == b"pixels"


def test_json_is_parsed() -> None:
    """Text and bytes alike."""
    assert parse_json('{"a": [1]}') == parse_json(b'{"a": [1]}') == {"a": [1]}


def test_the_json_limit_has_room_for_the_largest_picture() -> None:
    """A picture of the allowed size fits in base64."""
    encoded_bytes = len(base64.b64encode(bytes(SETTINGS.picture_max_bytes)))

    assert SETTINGS.json_limit_bytes > encoded_bytes
    assert UploadSettings(json_max_bytes=5000).json_limit_bytes == 5000
