"""The supervisor's state file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gw.state_file import Phase, StackState, read_state, write_state
from gw.supervisor import ProcessReport, ProcessState
from pipeline.errors import MalformedMessage

_STATE = StackState(
    pid=7,
    started_unix_ms=1_800_000_000_000,
    phase=Phase.DEGRADED,
    reason="dispatcher: no model",
    culprit="",
    http_port=8080,
    redis_port=16379,
    services=(
        ProcessReport(
            name="webapp",
            state=ProcessState.BACKING_OFF,
            pid=None,
            port=8080,
            restarts=3,
            started_unix_ms=None,
            last_exit=-9,
        ),
    ),
)


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    """The file carries everything, and writing leaves nothing else behind."""
    write_state(tmp_path / "stack.json", _STATE)

    assert read_state(tmp_path / "stack.json") == _STATE
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    """A folder where nothing ever ran has no state."""
    assert read_state(tmp_path / "stack.json") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"services": [], "phase": "asleep"}', '{"services": [{}]}']
)
def test_refuses_what_is_no_state(text: str) -> None:
    """Any other document raises one kind of error."""
    with pytest.raises(MalformedMessage):
        StackState.from_json(text)
