"""Rule 15: a model is built for one chip."""

from __future__ import annotations

import pytest

from tests.unit.emulator.board import Board
from tests.unit.emulator.models import doubling_om, write
from tests.unit.emulator.programs import Program


@pytest.mark.parametrize("soc", ["Ascend310B1", "310B4"])
def test_rule_15_the_chip_is_configurable(board: Board, soc: str) -> None:
    """The name comes with the vendor's prefix."""
    acl = board.open(soc=soc)
    assert acl.get_soc_name() == f"Ascend{soc.removeprefix('Ascend')}"


@pytest.mark.parametrize(
    ("built_for", "code"),
    [("Ascend310B4", 0), ("", 0), ("Ascend310B1", 500002), ("Ascend310P3", 500002)],
)
def test_rule_15_a_model_for_another_chip_is_refused(
    program: Program, built_for: str, code: int
) -> None:
    """The code is 500002 and the text names both chips; an empty name fits every chip."""
    acl = program.start(soc="Ascend310B4")
    path = write(program.board.folder, doubling_om(soc_version=built_for))
    number, got = acl.mdl.load_from_file(path)
    assert got == code
    if code:
        text = acl.get_recent_err_msg()
        assert "supported socVersion=Ascend310B4" in text
        assert f"model socVersion={built_for}" in text
    else:
        assert acl.mdl.unload(number) == 0
