"""One request, whatever its content type, as the pictures and the fields that it carries."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from starlette.types import Receive

from pipeline.errors import InvalidRequest
from webapp.body import BodyLimits, Holding, check_claimed_length, read_body, read_into
from webapp.head import SubmissionHead
from webapp.multipart import PICTURE_FIELD, FormParser
from webapp.refusals import BodyTooLarge, InvalidField, UnsupportedContent
from webapp.settings import UploadSettings

JSON_TYPE = "application/json"
FORM_TYPE = "multipart/form-data"
#: A raw body's type is not believed: the bytes say what they are.
PICTURE_TYPES = (
    "image/jpeg",
    "image/jpg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/x-ms-bmp",
    "application/octet-stream",
)

#: Fields that are objects; outside a JSON body they are JSON text.
OBJECT_FIELDS = frozenset({"metadata", "webhook"})

#: A form's boundaries and fields, on top of its pictures.
_FORM_MARGIN_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What a request carries: either *pictures* or *picture_url*, and fields not yet checked."""

    pictures: tuple[bytes, ...] = field(default=(), repr=False)
    picture_url: str = field(default="", repr=False)
    fields: Mapping[str, Any] = field(repr=False)


async def read_upload(
    head: SubmissionHead, receive: Receive, holding: Holding, settings: UploadSettings
) -> Upload:
    """Read the body within its limits and take it apart.

    Raises UnsupportedContent, what :mod:`webapp.body` raises, and InvalidRequest.
    """
    if head.content_encoding not in ("", "identity"):
        raise UnsupportedContent("A compressed body is not taken; send it as it is.")
    if head.media_type in PICTURE_TYPES:
        limits = _limits(settings, settings.picture_max_bytes)
        check_claimed_length(head.length_bytes, limits)
        picture = await read_body(receive, limits, holding)
        return Upload(pictures=(picture,), fields=decode_text_fields(head.fields))
    if head.media_type == FORM_TYPE:
        return await _read_form(head, receive, holding, settings)
    if head.media_type == JSON_TYPE:
        limits = _limits(settings, settings.json_limit_bytes)
        check_claimed_length(head.length_bytes, limits)
        document = parse_json_object(await read_body(receive, limits, holding))
        return json_upload(document, head.fields, picture_max_bytes=settings.picture_max_bytes)
    raise UnsupportedContent(
        "Send a picture as image/jpeg, image/png, image/webp, image/bmp or"
        f" application/octet-stream, a form as {FORM_TYPE}, or {JSON_TYPE}."
    )


def json_upload(
    document: dict[str, Any], head_fields: Mapping[str, str], *, picture_max_bytes: int
) -> Upload:
    """Take a JSON submission apart: ``picture`` in base64 or ``picture_url``, the rest fields."""
    picture = document.pop("picture", None)
    picture_url = document.pop("picture_url", None)
    fields = merged(document, decode_text_fields(head_fields))
    if (picture is None) == (picture_url is None):
        raise InvalidField(
            "Exactly one of 'picture' (base64) and 'picture_url' is needed.", field=PICTURE_FIELD
        )
    if picture is None:
        if not isinstance(picture_url, str):
            raise InvalidField("The picture's URL must be a string.", field="picture_url")
        return Upload(picture_url=picture_url, fields=fields)
    data = decode_base64(picture)
    if len(data) > picture_max_bytes:
        raise BodyTooLarge(picture_max_bytes)
    return Upload(pictures=(data,), fields=fields)


def decode_base64(text: object) -> bytes:
    """Decode standard base64 with its padding; raises InvalidField."""
    if not isinstance(text, str):
        raise InvalidField("The picture must be a string in base64.", field=PICTURE_FIELD)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidField("The picture is not valid base64.", field=PICTURE_FIELD) from exc


def decode_text_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """Turn the text of object fields into objects; the others stay text."""
    decoded: dict[str, Any] = dict(fields)
    for name in OBJECT_FIELDS & decoded.keys():
        try:
            decoded[name] = parse_json(decoded[name])
        except InvalidRequest as exc:
            raise InvalidField("The field is not valid JSON.", field=name) from exc
    return decoded


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Join fields from two places; raises InvalidField where both have one."""
    twice = one.keys() & other.keys()
    if twice:
        raise InvalidField("The field is given twice.", field=min(twice))
    return {**one, **other}


def parse_json_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object; raises InvalidRequest."""
    document = parse_json(data)
    if not isinstance(document, dict):
        raise InvalidRequest("The JSON body must be an object.")
    return document


def parse_json(data: bytes | str) -> Any:
    """Parse JSON as RFC 8259 has it, without NaN and Infinity; raises InvalidRequest.

    Nesting deeper than the interpreter's stack is invalid too: nothing we take is that deep.
    """
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest("The body is not valid JSON.") from exc


async def _read_form(
    head: SubmissionHead, receive: Receive, holding: Holding, settings: UploadSettings
) -> Upload:
    limits = _limits(settings, settings.request_max_bytes + _FORM_MARGIN_BYTES)
    check_claimed_length(head.length_bytes, limits)
    form = FormParser(
        head.boundary,
        pictures_max=settings.jobs_per_request_max,
        picture_max_bytes=settings.picture_max_bytes,
    )
    await read_into(form.feed, receive, limits, holding)
    form.finish()
    if not form.pictures:
        raise InvalidField("The form has no picture.", field=PICTURE_FIELD)
    fields = merged(decode_text_fields(form.fields), decode_text_fields(head.fields))
    return Upload(pictures=tuple(form.pictures), fields=fields)


def _limits(settings: UploadSettings, max_bytes: int) -> BodyLimits:
    return BodyLimits(max_bytes=max_bytes, timeout_s=settings.upload_timeout_s)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
