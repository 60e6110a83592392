"""JSON objects between services of different versions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pipeline.documents import from_document


@dataclass(frozen=True, kw_only=True)
class Note:
    """A small record."""

    text: str
    size: int = 1


def test_known_names_are_taken_and_others_ignored() -> None:
    """A newer writer's field does not disturb; a default stands in for an older writer's."""
    assert from_document(Note, {"text": "a", "size": 2, "colour": "red"}) == Note(text="a", size=2)
    assert from_document(Note, {"text": "a"}) == Note(text="a")


def test_a_field_without_a_default_is_needed() -> None:
    """What is missing is named."""
    with pytest.raises(TypeError, match="text"):
        from_document(Note, {"size": 2})
