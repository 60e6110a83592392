"""The head of a submission, read once: who, what kind of body, and the fields it already carries.

A field of a job may stand in the body, in the query string, or in a header ``Gw-<Field>`` with
dashes for underscores; in one of them only. Outside a JSON body an object is JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from pipeline.errors import InvalidRequest
from webapp.refusals import InvalidField

_FIELD_PREFIX = b"gw-"
_QUERY_FIELDS_MAX = 32
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:;.*)?", re.IGNORECASE)
_PARAMETER = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionHead:
    """What the request line and the headers of a submission say.

    *length_bytes* is what the caller claims, None for a chunked body: good for refusing early,
    never for believing. *wait_s* is the preference of RFC 7240, None without one; nor is there an
    *idempotency_key*, which is the header's text.
    """

    authorization: str = field(default="", repr=False)
    media_type: str = ""
    boundary: str = ""
    content_encoding: str = ""
    length_bytes: int | None = None
    wait_s: int | None = None
    idempotency_key: str | None = field(default=None, repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_head(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> SubmissionHead:
    """Read the head from raw ASGI *headers* (lower-case names); raises InvalidRequest."""
    known: dict[bytes, str] = {}
    fields: dict[str, str] = {}
    wait_s: int | None = None
    for name, value in headers:
        if name.startswith(_FIELD_PREFIX):
            field_name = name[len(_FIELD_PREFIX) :].decode("latin-1").replace("-", "_")
            _add(fields, field_name, _header_text(field_name, value))
        elif name == b"prefer":
            wait_s = _first(wait_s, preferred_wait_s(value.decode("latin-1")))
        elif name == b"idempotency-key" and b"idempotency-key" in known:
            raise InvalidField("The key is given twice.", field="Idempotency-Key")
        else:
            known.setdefault(name, value.decode("latin-1"))
    _add_query(fields, query)
    media_type, boundary = parse_content_type(known.get(b"content-type", ""))
    length = known.get(b"content-length", "")
    return SubmissionHead(
        authorization=known.get(b"authorization", ""),
        media_type=media_type,
        boundary=boundary,
        content_encoding=known.get(b"content-encoding", "").strip().lower(),
        length_bytes=int(length) if length.isdecimal() else None,
        wait_s=wait_s,
        idempotency_key=known.get(b"idempotency-key"),
        fields=fields,
    )


def preferred_wait_s(prefer: str) -> int | None:
    """Give the seconds of ``wait`` in a Prefer header; what makes no sense is no preference.

    >>> preferred_wait_s("respond-async, wait=10")
    10
    """
    for preference in prefer.split(","):
        match = _WAIT.fullmatch(preference.strip())
        if match:
            return int(match[1])
    return None


def parse_content_type(value: str) -> tuple[str, str]:
    """Give the media type in lower case, and the boundary parameter if there is one."""
    media_type, semicolon, rest = value.partition(";")
    boundary = ""
    for name, quoted, plain in _PARAMETER.findall(semicolon + rest):
        if name.lower() == "boundary":
            boundary = plain or re.sub(r"\\(.)", r"\1", quoted)
    return media_type.strip().lower(), boundary


def _add_query(fields: dict[str, str], query: bytes) -> None:
    if not query:
        return
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_QUERY_FIELDS_MAX,
        )
    except ValueError as exc:
        raise InvalidRequest("The query string cannot be parsed.") from exc
    for name, text in pairs:
        if name == "webhook" and "secret" in text:
            raise InvalidField(
                "A secret does not belong into a URL: send the webhook in the header Gw-Webhook.",
                field=name,
            )
        _add(fields, name, text)


def _header_text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidField("The field's value is not UTF-8.", field=name) from exc


def _add(fields: dict[str, str], name: str, text: str) -> None:
    if name in fields:
        raise InvalidField("The field is given twice.", field=name)
    fields[name] = text


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one
