"""Tables for people."""

from __future__ import annotations

from gw.table import render_table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Cells stand under their column's name, without blanks at a line's end."""
    assert render_table(("name", "pid"), [("webapp", "17"), ("redis", "4")]) == (
        "NAME    PID\nwebapp  17\nredis   4"
    )


def test_wide_characters_take_two_columns() -> None:
    """Chinese text does not push the columns after it out of line."""
    lines = render_table(("label", "score"), [("猫", "0.9"), ("cat", "0.8")]).splitlines()

    assert lines[1:] == ["猫     0.9", "cat    0.8"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A cell with an escape sequence in it is shown harmless."""
    assert "\x1b" not in render_table(("label",), [("\x1b[2Jgone",)])
