"""The models of a running platform, and commands about them: by way of its Redis."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable, Mapping

from redis.asyncio import Redis

from pipeline.access.audit import AuditLine, AuditLog
from pipeline.clock import SystemClock
from pipeline.health import HealthBoard
from pipeline.ids import new_id
from pipeline.models.catalogue import Catalogue, ModelEntry
from pipeline.models.command_outcome import COMMAND_TTL_S, CommandOutcome, follow_command
from pipeline.models.commands import CommandKind, ModelCommand, ModelCommands
from pipeline.protocol import Keyspace

COLUMNS = ("model", "version", "state", "dispatcher", "memory", "jobs", "failed", "self-test", "")


async def read_catalogue(redis: Redis, keys: Keyspace) -> Mapping[str, ModelEntry]:
    """Give what the dispatchers offer."""
    return await Catalogue(redis, keys).models()


async def command(
    redis: Redis, keys: Keyspace, *, kind: CommandKind, model: str, version: str, wait_s: float
) -> CommandOutcome:
    """Give the dispatchers a command and wait for their answers."""
    now_unix_ms = time.time_ns() // 1_000_000
    actor = f"gw:{getpass.getuser()}"
    wanted = ModelCommand(
        command_id=new_id("cmd", now_unix_ms),
        command=kind,
        model=model,
        version=version,
        asked_by=actor,
        asked_unix_ms=now_unix_ms,
        until_unix_ms=now_unix_ms + int(COMMAND_TTL_S * 1000),
    )
    commands = ModelCommands(redis, keys)
    await commands.add(wanted)
    await AuditLog(redis, keys).note(
        AuditLine(
            at_unix_ms=now_unix_ms,
            actor=actor,
            tenant="",
            action=f"model.{kind}",
            subject=wanted.target,
        )
    )
    return await follow_command(
        commands, HealthBoard(redis, keys), SystemClock(), wanted.command_id, wait_s=wait_s
    )


def rows_of(models: Iterable[ModelEntry]) -> list[tuple[str, ...]]:
    """Write the catalogue for people: a row for each version on each dispatcher."""
    rows = []
    for entry in models:
        if not entry.details:
            rows.append((entry.name, "-", "failed", *["-"] * 5, _first_line(entry.reason)))
        for detail in entry.details:
            default = " (default)" if detail.version in entry.versions[:1] else ""
            rows.append(
                (
                    entry.name,
                    f"{detail.version}{default}",
                    detail.state.value,
                    detail.instance,
                    f"{detail.memory_bytes / 1e6:.0f} MB" if detail.memory_bytes else "-",
                    str(detail.statistics.jobs),
                    str(detail.statistics.failures),
                    detail.self_test or "-",
                    _first_line(detail.reason),
                )
            )
    return rows


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
