"""Giving the dispatchers a command about a model, and waiting for what becomes of it."""

from __future__ import annotations

from pipeline.ids import new_id
from pipeline.models.command_outcome import COMMAND_TTL_S, CommandOutcome, follow_command
from pipeline.models.commands import CommandKind, ModelCommand
from webapp.access import Caller
from webapp.model_fields import CommandFields, check_model_name
from webapp.parts import Parts


async def give_command(
    parts: Parts, caller: Caller, kind: CommandKind, name: str, fields: CommandFields
) -> CommandOutcome:
    """Give a command; raises NotFound for a name that no model can have, or Unavailable."""
    name = check_model_name(name)
    now_unix_ms = parts.clock.unix_ms()
    wanted = ModelCommand(
        command_id=new_id("cmd", now_unix_ms),
        command=kind,
        model=name,
        version=fields.version,
        asked_by=caller.key_id,
        asked_unix_ms=now_unix_ms,
        until_unix_ms=now_unix_ms + int(COMMAND_TTL_S * 1000),
    )
    await parts.commands.add(wanted)
    await parts.audit.note(caller, f"model.{kind}", wanted.target)
    return await outcome_of_command(parts, wanted.command_id, wait_s=fields.wait_s)


async def outcome_of_command(parts: Parts, command_id: str, *, wait_s: float) -> CommandOutcome:
    """Give what became of a command, waiting at most *wait_s*; raises NotFound or Unavailable."""
    outcome = await follow_command(
        parts.commands, parts.board, parts.clock, command_id, wait_s=wait_s
    )
    if outcome.is_settled:
        # So that the next job meets what the dispatchers have just told.
        await parts.monitor.look()
    return outcome
