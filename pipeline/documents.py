"""JSON objects between services, and to callers: how they are written, and read again.

A newer writer's additional fields do not stop an older reader.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Document = TypeVar("Document")


def from_document(kind: type[Document], document: Mapping[str, Any]) -> Document:
    """Make a dataclass of a parsed JSON object; unknown names are ignored, lists become tuples.

    Raises TypeError or AttributeError when it is not an object or lacks a field.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # any dataclass
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in document.items()
            if name in names
        }
    )


def compact_json(document: Any) -> str:
    """Give JSON text without spaces, whatever script its texts are in."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
