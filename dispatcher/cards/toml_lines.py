"""Which line of a TOML text defines which key: ``tomllib`` gives values without places.

The text has already passed ``tomllib``, so this scanner only has to tell statements apart: table
headers, arrays of tables, ``key = value`` with quoted and dotted keys, comments, and values that
run over several lines. Keys inside inline tables have the line of the statement around them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: A key path; an ``int`` is the position in an array of tables.
Path = tuple[str | int, ...]

# One token that can hide brackets, quotes and comment signs: the longest form first.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)
_KEY_PART = re.compile(r"""\s*(?:"((?:\\.|[^"\\])*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.?)""")


class LineIndex:
    """The line, from 1, on which each key path of *text* is defined."""

    def __init__(self, text: str) -> None:
        self._lines = _index(text)

    def line_of(self, path: Path) -> int:
        """Give the line of *path*, or of its nearest ancestor that has one; 1 for the document."""
        while path:
            line = self._lines.get(path)
            if line is not None:
                return line
            path = path[:-1]
        return 1


def _index(text: str) -> Mapping[Path, int]:
    lines: dict[Path, int] = {}
    array_sizes: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text):
        if statement.startswith("[["):
            array = _resolve(_key(statement[2:]), array_sizes)
            position = array_sizes.get(array, 0)
            array_sizes[array] = position + 1
            table = (*array, position)
            lines.setdefault(array, line)
            lines[table] = line
        elif statement.startswith("["):
            table = _resolve(_key(statement[1:]), array_sizes)
            lines.setdefault(table, line)
        else:
            path = table
            for part in _key(statement):
                path = (*path, part)
                lines.setdefault(path, line)
    return lines


def _statements(text: str) -> list[tuple[int, str]]:
    """Cut *text* into statements without white space around, each with the line it starts on."""
    text = text.replace("\r\n", "\n")
    found: list[tuple[int, str]] = []
    start, depth = 0, 0

    def close(end: int) -> None:
        statement = text[start:end]
        body = statement.lstrip()
        if body and not body.startswith("#"):
            first = start + len(statement) - len(body)
            found.append((text.count("\n", 0, first) + 1, body.rstrip()))

    for token in _TOKEN.finditer(text):
        match token.group():
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n" if depth == 0:
                close(token.start())
                start = token.end()
    close(len(text))
    return found


def _key(statement: str) -> tuple[str, ...]:
    """Read the dotted key at the start of *statement*."""
    parts: list[str] = []
    position = 0
    while part := _KEY_PART.match(statement, position):
        parts.append(next(name for name in part.group(1, 2, 3) if name is not None))
        position = part.end()
        if not part.group(4):
            break
    return tuple(parts)


def _resolve(key: tuple[str, ...], array_sizes: Mapping[Path, int]) -> Path:
    """Turn a header's key into a path: a parent that is an array means its latest element."""
    path: Path = ()
    for part in key[:-1]:
        path = (*path, part)
        if path in array_sizes:
            path = (*path, array_sizes[path] - 1)
    return (*path, *key[-1:])
