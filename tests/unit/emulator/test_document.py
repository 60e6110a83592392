"""The user's document says what the code does."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.unit.emulator.board import ROOT, part

TEXT = (ROOT / "docs" / "emulator.md").read_text("utf-8")


@pytest.mark.usefixtures("acl")
def test_the_table_lists_every_setting_with_its_default() -> None:
    """No setting is missing, none is invented, and defaults agree."""
    told = dict(re.findall(r"^\| `([a-z_]+)` \| `?([^`|]+)`? \|", TEXT, re.MULTILINE))
    expected = {}
    for setting in dataclasses.fields(part("configuration").Configuration):
        value = setting.default
        shown = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
        if isinstance(value, str):
            shown = f'"{value}"'
        expected[setting.name] = "none" if value == () else shown or str(value)
    assert {key: value.strip() for key, value in told.items()} == expected


@pytest.mark.usefixtures("acl")
@pytest.mark.parametrize(("table", "kind"), [("faults", "FaultSpec"), ("profiles", "Profile")])
def test_examples_show_every_key(table: str, kind: str) -> None:
    """The examples of faults and profiles can be read, and leave no key out."""
    start = TEXT.index(f"[[{table}]]")
    example = TEXT[start : TEXT.index("```", start)]
    keys = set(re.findall(r"^([a-z_]+) =", example, re.MULTILINE))
    configuration = part("configuration")
    assert keys == {setting.name for setting in dataclasses.fields(getattr(configuration, kind))}
    configuration.configuration_from(__import__("tomllib").loads(example))


def test_every_rule_is_listed_and_tested() -> None:
    """Twenty-two rules, each with tests of its name."""
    rules = [int(number) for number in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)]
    assert rules == list(range(1, 23))
    folder = ROOT / "tests" / "unit" / "emulator"
    for rule in rules:
        (file,) = folder.glob(f"test_rule_{rule:02}_*.py")
        assert f"def test_rule_{rule:02}_" in file.read_text("utf-8")
