"""How progress is shown."""

from __future__ import annotations

import pytest

from gw.demo.progress import Progress
from tests.unit.gw.demo.passages import make_passage


def test_without_a_terminal_each_picture_has_a_plain_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file or a pipe gets whole lines and no control characters."""
    progress = Progress(12, is_terminal=False)
    progress.ended(make_passage())
    progress.ended(make_passage(job=None, result=None, error="too large"))
    progress.close()

    assert capsys.readouterr().out.splitlines() == [
        " 1 of 12  page.png: 1 region in 211 ms, webhook verified",
        " 2 of 12  page.png: refused: too large",
    ]


def test_a_terminal_shows_one_changing_line_and_keeps_what_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Good news replaces itself; a failure ends its line and so stays."""
    progress = Progress(2, is_terminal=True)
    progress.ended(make_passage())
    progress.ended(make_passage(job=None, result=None, error="too large"))
    progress.close()

    assert capsys.readouterr().out.split("\r\x1b[K") == [
        "",
        "1 of 2  page.png: 1 region in 211 ms, webhook verified",
        "2 of 2  page.png: refused: too large\n",
        "",
    ]
