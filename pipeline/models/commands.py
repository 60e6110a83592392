"""What operators tell the dispatchers about models: load, unload, reload; and what became of it.

Every dispatcher reads every command, since each has a device of its own, and answers it once. A
restarted one finds what it has not answered. What shall stay unloaded is noted in the same step as
the command, so that it outlives every restart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self, cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.documents import from_document
from pipeline.errors import MalformedMessage
from pipeline.protocol import Keyspace

COMMANDS_MAX = 1000
RETENTION_MS = 24 * 3600 * 1000

_ANSWER_PREFIX = "answer:"


class CommandKind(StrEnum):
    """What is to be done."""

    #: Accept jobs, and put it on the device now.
    LOAD = "load"
    #: Accept no jobs, and leave the device once the accepted ones are through.
    UNLOAD = "unload"
    #: Read its files anew, forget what went wrong, and put it on the device now.
    RELOAD = "reload"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCommand:
    """One command. *version* is "" for the whole model; it is of no use after *until_unix_ms*."""

    KIND: ClassVar[str] = "model.command.v1"

    command_id: str
    command: CommandKind
    model: str
    version: str = ""
    asked_by: str = ""
    asked_unix_ms: int
    until_unix_ms: int

    @property
    def target(self) -> str:
        """Give what it is about: ``name``, or ``name/version``."""
        return f"{self.model}/{self.version}" if self.version else self.model

    def to_fields(self) -> dict[str, str]:
        """Give the fields of the stream's entry, which are the record's too."""
        return {"kind": self.KIND} | {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Parse an entry or a record; raises MalformedMessage."""
        try:
            if fields["kind"] != cls.KIND:
                raise ValueError(fields["kind"])
            return cls(
                command_id=fields["command_id"],
                command=CommandKind(fields["command"]),
                model=fields["model"],
                version=fields["version"],
                asked_by=fields["asked_by"],
                asked_unix_ms=int(fields["asked_unix_ms"]),
                until_unix_ms=int(fields["until_unix_ms"]),
            )
        except (KeyError, ValueError) as exc:
            raise MalformedMessage(f"{cls.KIND}: {exc!r}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswer:
    """What became of a command at one dispatcher: *done*, or *reason* says why it is not."""

    instance: str
    done: bool
    reason: str = ""
    answered_unix_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A command with the answers so far, by instance."""

    command: ModelCommand
    answers: tuple[CommandAnswer, ...]


class ModelCommands:
    """Commands in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys
        self._add = load_script(redis, "add_model_command")
        self._answer = load_script(redis, "answer_model_command")

    async def add(self, command: ModelCommand) -> None:
        """Give the dispatchers a command."""
        flat = [item for pair in command.to_fields().items() for item in pair]
        with redis_errors():
            await self._add(
                keys=[
                    self._keys.model_commands,
                    self._keys.model_command(command.command_id),
                    self._keys.models_unloaded,
                ],
                args=[
                    COMMANDS_MAX,
                    RETENTION_MS,
                    command.command,
                    command.target,
                    command.asked_by,
                    *flat,
                ],
            )

    async def answer(self, command_id: str, answer: CommandAnswer) -> bool:
        """Note what became of a command; False when nobody remembers it."""
        with redis_errors():
            noted = await self._answer(
                keys=[self._keys.model_command(command_id)],
                args=[_ANSWER_PREFIX + answer.instance, json.dumps(asdict(answer))],
            )
        return bool(noted)

    async def get(self, command_id: str) -> CommandRecord | None:
        """Give a command with its answers; None when there is none, or none any more."""
        with redis_errors():
            fields = cast(
                dict[str, str], await self._redis.hgetall(self._keys.model_command(command_id))
            )
        if not fields:
            return None
        answers = tuple(
            _read_answer(text)
            for name, text in sorted(fields.items())
            if name.startswith(_ANSWER_PREFIX)
        )
        return CommandRecord(command=ModelCommand.from_fields(fields), answers=answers)

    async def read(
        self, *, after: str, block_ms: int, count: int = 100
    ) -> list[tuple[str, ModelCommand | None]]:
        """Give the commands behind the entry *after* ("0" for all), with their entries' ids.

        Waits up to *block_ms* for the first. None stands for an entry that nobody can read.
        """
        with redis_errors():
            answer: Any = await self._redis.xread(
                {self._keys.model_commands: after}, count=count, block=block_ms
            )
        return [(entry_id, _read_command(fields)) for entry_id, fields in _rows(answer)]

    async def unloaded(self) -> frozenset[str]:
        """Give what shall stay unloaded: names, and names with a version behind a slash."""
        with redis_errors():
            names = await self._redis.hkeys(self._keys.models_unloaded)
        return frozenset(cast(Sequence[str], names))


def _rows(answer: Any) -> list[tuple[str, dict[str, str]]]:
    """Flatten an XREAD answer, which redis-py gives as a mapping or as pairs."""
    if not answer:
        return []
    batches = list(answer.values()) if isinstance(answer, Mapping) else [b for _, b in answer]
    rows: list[tuple[str, dict[str, str]]] = []
    for batch in batches:
        rows += batch[0] if batch and isinstance(batch[0], list) else batch
    return rows


def _read_command(fields: Mapping[str, str]) -> ModelCommand | None:
    try:
        return ModelCommand.from_fields(fields)
    except MalformedMessage:
        return None


def _read_answer(text: str) -> CommandAnswer:
    try:
        return from_document(CommandAnswer, json.loads(text))
    except (AttributeError, TypeError, ValueError) as exc:
        raise MalformedMessage(f"answer to a model command: {exc!r}") from exc
