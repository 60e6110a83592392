"""Tests of dispatcher/cards/toml_lines.py."""

from __future__ import annotations

import tomllib

import pytest

from dispatcher.cards.toml_lines import LineIndex, Path

TEXT = """\
# a comment with [brackets] and an = sign
title = "not a [table] # nor a comment"

[model] # trailing comment
name = 'x'
"quoted key" = 1
description = \"\"\"
[not.a.table]
fake = 1
\"\"\"
after = 2

[rules]
labels = [
    "a", # ] not the end
    "b]",
]
only = true
min_scores.person = 0.5
min_scores."big dog" = 0.25

[[rules.region]]
name = "first"
points = [[0, 0],
          [1, 0], [1, 1]]

  [[ rules . region ]]
  name = "second"

  [rules.region.extra]
  deep = 1

[rules.inline]
table = { a = 1, b = 2 }
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("title",), 2),
        (("model",), 4),
        (("model", "name"), 5),
        (("model", "quoted key"), 6),
        (("model", "description"), 7),
        (("model", "after"), 11),
        (("rules", "labels"), 14),
        (("rules", "labels", 1), 14),
        (("rules", "only"), 18),
        (("rules", "min_scores"), 19),
        (("rules", "min_scores", "big dog"), 20),
        (("rules", "region"), 22),
        (("rules", "region", 0), 22),
        (("rules", "region", 0, "points"), 24),
        (("rules", "region", 0, "absent"), 22),
        (("rules", "region", 1), 27),
        (("rules", "region", 1, "name"), 28),
        (("rules", "region", 1, "extra", "deep"), 31),
        (("rules", "inline", "table", "b"), 34),
        (("nowhere", "at", "all"), 1),
    ],
)
def test_each_key_is_found_on_the_line_that_defines_it(path: Path, line: int) -> None:
    """A key has the line of its statement; what has none has its nearest ancestor's."""
    assert LineIndex(TEXT).line_of(path) == line


def test_windows_line_ends_do_not_shift_lines() -> None:
    """A file saved with carriage returns has the same line numbers."""
    assert LineIndex(TEXT.replace("\n", "\r\n")).line_of(("rules", "region", 1, "name")) == 28


def test_every_key_of_the_sample_is_indexed() -> None:
    """No key that tomllib sees, outside inline tables, is missed by the scanner."""
    index = LineIndex(TEXT)

    def walk(value: object, path: Path) -> None:
        if isinstance(value, dict) and path[-1:] != ("table",):
            for key, inner in value.items():
                line = index.line_of((*path, key))
                assert str(key) in TEXT.splitlines()[line - 1], (path, key, line)
                walk(inner, (*path, key))
        elif isinstance(value, list):
            for position, inner in enumerate(value):
                walk(inner, (*path, position))

    walk(tomllib.loads(TEXT), ())


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "a = 1"])
def test_small_texts_are_scanned(text: str) -> None:
    """A text without tables, or without anything, has its keys on line 1 or none."""
    assert LineIndex(text).line_of(("a",)) == 1
