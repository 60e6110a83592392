"""JSON objects between services: a newer writer's additional fields do not stop an older reader."""

from __future__ import annotations

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
