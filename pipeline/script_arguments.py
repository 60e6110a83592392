"""What the scripts are called with: KEYS referred to by index, and documents as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ScriptKeys:
    """The KEYS of a script under construction: each key once, by its Lua index."""

    _indices: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Give the keys in the order of their indices."""
        return list(self._indices)

    def index(self, name: str) -> int:
        """Give the Lua index of a key, from 1."""
        return self._indices.setdefault(name, len(self._indices) + 1)


def flat(fields: Mapping[str, Any]) -> list[Any]:
    """Give ``name, value, name, value`` as Redis takes it."""
    return [item for pair in fields.items() for item in pair]


def to_json(document: Any) -> str:
    """Give JSON text that Lua's decoder reads.

    Not as ASCII: it refuses the escape of a lone surrogate, which a caller's text may hold. Sent as
    text the client replaces it.
    """
    return json.dumps(document, ensure_ascii=False)
