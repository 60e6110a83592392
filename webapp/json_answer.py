"""Answers that are JSON: the one way in which every route writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from pipeline.documents import compact_json
from webapp.uploads import JSON_TYPE


def json_answer(
    document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with *document*."""
    return json_text_answer(compact_json(document), status=status, headers=headers)


def json_text_answer(
    text: str | bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with what is JSON already, such as a result as it was stored."""
    return Response(text, status_code=status, headers=headers, media_type=JSON_TYPE)
