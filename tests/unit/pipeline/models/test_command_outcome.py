"""A command is done when every dispatcher that lives says so."""

from __future__ import annotations

import pytest

from pipeline.models.command_outcome import outcome_of
from pipeline.models.commands import CommandAnswer, CommandKind, CommandRecord, ModelCommand

DONE = CommandAnswer(instance="a", done=True)
FAILED = CommandAnswer(instance="b", done=False, reason="no room")


@pytest.mark.parametrize(
    ("answers", "live", "now_unix_ms", "state", "silent"),
    [
        ((), ["a"], 5, "pending", ("a",)),
        ((), [], 5, "pending", ()),
        ((DONE,), ["a"], 5, "done", ()),
        ((DONE,), [], 5, "done", ()),
        ((DONE,), ["b", "a"], 5, "pending", ("b",)),
        ((DONE,), ["b", "a"], 1000, "failed", ("b",)),
        ((DONE, FAILED), ["a", "b", "c"], 5, "failed", ("c",)),
        ((), ["a"], 1000, "expired", ("a",)),
    ],
)
def test_the_state_follows_answers_and_time(
    answers: tuple[CommandAnswer, ...],
    live: list[str],
    now_unix_ms: int,
    state: str,
    silent: tuple[str, ...],
) -> None:
    """One no is a no; a dispatcher that lives and is silent is waited for until time is over."""
    command = ModelCommand(
        command_id="cmd_1",
        command=CommandKind.UNLOAD,
        model="echo",
        asked_unix_ms=0,
        until_unix_ms=1000,
    )
    outcome = outcome_of(
        CommandRecord(command=command, answers=answers), live, now_unix_ms=now_unix_ms
    )
    assert (outcome.state, outcome.silent) == (state, silent)
    assert outcome.is_settled == (state != "pending")
