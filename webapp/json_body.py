"""A small JSON object as a request's body: read with limits, and refused with what is wrong."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

from webapp.body import BodyLimits, check_claimed_length, read_body
from webapp.parts import Parts
from webapp.refusals import InvalidField, UnsupportedContent
from webapp.uploads import JSON_TYPE

_LIMITS = BodyLimits(max_bytes=64 * 1024, timeout_s=10.0)


async def read_json_object(
    request: Request, parts: Parts, *, may_be_empty: bool = False, any_type: bool = False
) -> dict[str, Any]:
    """Give the body of *request*; an empty one stands for ``{}`` where it may be left out.

    With *any_type* its content type is not looked at.

    Raises InvalidField, UnsupportedContent, BodyTooLarge, UploadTimedOut or Overloaded.
    """
    length = request.headers.get("content-length", "")
    check_claimed_length(int(length) if length.isdecimal() else None, _LIMITS)
    with parts.budget.hold() as holding:
        body = await read_body(request.receive, _LIMITS, holding)
    if not body and may_be_empty:
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE and not any_type:
        raise UnsupportedContent(f"The body must be {JSON_TYPE}.")
    try:
        document = json.loads(body)
    # Also what nests too deeply for the parser.
    except (ValueError, RecursionError) as exc:
        raise InvalidField("The body is not JSON.", field="body") from exc
    if not isinstance(document, dict):
        raise InvalidField("The body must be a JSON object.", field="body")
    return document
