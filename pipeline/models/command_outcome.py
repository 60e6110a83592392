"""What became of a model command at all dispatchers together, and waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from pipeline.clock import Clock
from pipeline.errors import NotFound
from pipeline.health import HealthBoard
from pipeline.models.commands import CommandAnswer, CommandRecord, ModelCommand, ModelCommands

#: A command that no dispatcher came to in this time is of no use any more.
COMMAND_TTL_S = 600.0

_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """A command with its answers; *silent* are dispatchers that live and have not answered.

    *state* is ``expired`` when its time was over before any dispatcher answered.
    """

    command: ModelCommand
    state: Literal["pending", "done", "failed", "expired"]
    answers: tuple[CommandAnswer, ...]
    silent: tuple[str, ...]

    @property
    def is_settled(self) -> bool:
        """Whether nothing is waited for any more."""
        return self.state != "pending"


def outcome_of(record: CommandRecord, live: Collection[str], *, now_unix_ms: int) -> CommandOutcome:
    """Judge a command by its answers and the dispatchers that live."""
    answered = {answer.instance for answer in record.answers}
    silent = tuple(sorted(set(live) - answered))
    is_over = now_unix_ms >= record.command.until_unix_ms
    state: Literal["pending", "done", "failed", "expired"] = "pending"
    if any(not answer.done for answer in record.answers):
        state = "failed"
    elif record.answers and not silent:
        state = "done"
    elif is_over:
        state = "failed" if record.answers else "expired"
    return CommandOutcome(
        command=record.command, state=state, answers=record.answers, silent=silent
    )


async def follow_command(
    commands: ModelCommands, board: HealthBoard, clock: Clock, command_id: str, *, wait_s: float
) -> CommandOutcome:
    """Give the outcome of a command, once it is settled or *wait_s* are over.

    Raises NotFound for a command that is not remembered, Unavailable while Redis is away.
    """
    until_ms = clock.monotonic_ms() + wait_s * 1000
    while True:
        record = await commands.get(command_id)
        if record is None:
            raise NotFound("There is no command of this id.")
        now_unix_ms = clock.unix_ms()
        live = [
            beat.instance
            for beat in await board.all()
            if beat.service == "dispatcher" and beat.is_fresh(now_unix_ms)
        ]
        outcome = outcome_of(record, live, now_unix_ms=now_unix_ms)
        if outcome.is_settled or clock.monotonic_ms() >= until_ms:
            return outcome
        await asyncio.sleep(_LOOK_S)
