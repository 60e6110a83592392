"""Rule 18: what is not given back is reported with the place where it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.emulator.board import Board, misuse, run_script

LEAK = """
    import acl

    def forgetful():
        return acl.rt.malloc(64, 0)

    acl.init()
    acl.rt.set_device(0)
    forgetful()
    print("done")
"""


def test_rule_18_an_exit_with_leaks_is_a_failure(tmp_path: Path) -> None:
    """The process ends with a status of its own, and names block and place."""
    done = run_script(LEAK, tmp_path)
    assert done.stdout == "done\n"
    assert done.returncode == 70
    assert "leak at exit: malloc of 64 bytes" in done.stderr
    assert "program.py:5 in forgetful" in done.stderr


def test_rule_18_lenient_exits_only_report(tmp_path: Path) -> None:
    """Without strictness the status stays what it was."""
    done = run_script(LEAK, tmp_path, ACL_EMULATOR_STRICT="0")
    assert done.returncode == 0
    assert "leak at exit" in done.stderr


def test_rule_18_a_clean_exit_says_nothing(tmp_path: Path) -> None:
    """A program that gives all back hears nothing."""
    script = LEAK.replace("    forgetful()", "    acl.rt.free(forgetful()[0])")
    done = run_script(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_rule_18_finalize_reports_every_kind(opened: Any, board: Board) -> None:
    """Streams, events, buffers, datasets, descriptions, memory: each once, with its place."""
    opened.rt.create_stream()
    opened.rt.create_event()
    opened.create_data_buffer(0, 0)
    opened.mdl.create_dataset()
    opened.mdl.create_desc()
    opened.rt.malloc_host(64)
    opened.media.dvpp_malloc(64)
    with pytest.raises(misuse(), match="there are leaks"):
        opened.finalize()
    told = [text for text in board.findings if text.startswith("leak at finalize")]
    assert len(told) == 7
    assert all("test_rule_18_leaks.py" in text for text in told)


def test_rule_18_finalize_without_leaks_is_silent(opened: Any, board: Board) -> None:
    """What acl made for itself is nobody's leak."""
    opened.rt.synchronize_stream(0)
    assert opened.rt.reset_device(0) == 0
    assert opened.finalize() == 0
    assert board.findings == []


def test_rule_18_a_reset_with_live_streams_is_a_finding(opened: Any) -> None:
    """Streams and contexts go before the device."""
    opened.rt.create_stream()
    with pytest.raises(misuse(), match="still live: stream"):
        opened.rt.reset_device(0)
