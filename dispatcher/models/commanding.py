"""Doing what operators say about models, and telling them what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from dispatcher.dispatch import Dispatch
from dispatcher.models.lifecycle import Lifecycle
from dispatcher.models.shelf import ShelvedModel
from pipeline.clock import Clock
from pipeline.errors import GwError, Unavailable
from pipeline.following import BLOCK_MS, PAUSE_S
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.commands import CommandAnswer, CommandKind, ModelCommand, ModelCommands

log = logging.getLogger(__name__)

_LOOK_S = 0.05
_BEGINNING = "0"


class CommandFailed(GwError):
    """A command could not be done; the message says why."""

    code = "command_failed"


class Commanding:
    """Follows the commands and does each of them once, beside one another.

    *publish* tells others how things are before a command counts as done.
    """

    def __init__(  # noqa: PLR0913  # parts, by name
        self,
        *,
        commands: ModelCommands,
        lifecycle: Lifecycle,
        dispatch: Dispatch,
        publish: Callable[[], Awaitable[None]],
        threads: Executor,
        clock: Clock,
        instance: str,
        is_explicit: bool,
    ) -> None:
        self._commands = commands
        self._lifecycle = lifecycle
        self._dispatch = dispatch
        self._publish = publish
        self._threads = threads
        self._clock = clock
        self._instance = instance
        self._is_explicit = is_explicit

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until *stop* is set; what is under way then is answered by the next life."""
        after = _BEGINNING
        async with asyncio.TaskGroup() as tasks:
            doing: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                try:
                    rows = await self._commands.read(after=after, block_ms=BLOCK_MS)
                except Unavailable as exc:
                    log.warning("commands.unread", extra={"reason": str(exc)})
                    await sleep_or_stop(stop, PAUSE_S)
                    continue
                for entry_id, command in rows:
                    after = entry_id
                    if command is not None:
                        task = tasks.create_task(self._do(command))
                        doing.add(task)
                        task.add_done_callback(doing.discard)
            for task in doing:
                task.cancel()

    async def _do(self, command: ModelCommand) -> None:
        """Do a command and answer it, unless that was done before or nobody waits any more."""
        left_s = (command.until_unix_ms - self._clock.unix_ms()) / 1000
        try:
            record = await self._commands.get(command.command_id)
            answered = record is None or any(
                answer.instance == self._instance for answer in record.answers
            )
            if answered or left_s <= 0:
                return
            reason = await self._carry_out(command, left_s)
            answer = CommandAnswer(
                instance=self._instance,
                done=not reason,
                reason=reason,
                answered_unix_ms=self._clock.unix_ms(),
            )
            await self._commands.answer(command.command_id, answer)
        except Unavailable as exc:
            # The next life of this dispatcher finds it unanswered.
            log.warning("command.unanswered", extra={"id": command.command_id, "reason": str(exc)})
        else:
            log.info(
                "command.answered",
                extra={
                    "command": command.command,
                    "model": command.target,
                    "done": answer.done,
                    "reason": reason,
                },
            )

    async def _carry_out(self, command: ModelCommand, left_s: float) -> str:
        """Do it within *left_s*; give why it is not done, "" if it is."""
        steps = {
            CommandKind.LOAD: self._load,
            CommandKind.UNLOAD: self._unload,
            CommandKind.RELOAD: self._reload,
        }
        try:
            # Before anything takes long: what is noted there counts from now on.
            self._lifecycle.shelf.unloaded = await self._commands.unloaded()
            async with asyncio.timeout(left_s):
                await steps[command.command](command)
            await self._publish()
        except TimeoutError:
            return "it was not done in time; it goes on"
        except GwError as exc:
            return str(exc)
        return ""

    async def _load(self, command: ModelCommand) -> None:
        reason = ""
        if self._is_explicit:
            reason = await self._sync(command, anew=False)
        await self._put_on_device(command, reason)

    async def _reload(self, command: ModelCommand) -> None:
        for slot in self._lifecycle.shelf.slots(command.model):
            self._dispatch.loader.forgive(slot.model.key)
        reason = await self._sync(command, anew=True)
        if reason:
            raise CommandFailed(reason)
        await self._put_on_device(command, reason)

    async def _unload(self, command: ModelCommand) -> None:
        """Have nothing new accepted, and wait until what was accepted is through and it is off."""
        models = self._targets(command)
        if not models:
            raise CommandFailed(f"there is no {command.target} here")
        await self._publish()
        never = asyncio.Event()
        while any(self._is_there(model.key) for model in models):
            await sleep_or_stop(never, _LOOK_S)

    async def _sync(self, command: ModelCommand, *, anew: bool) -> str:
        return await self._lifecycle.sync(command.model, self._dispatch, self._threads, anew=anew)

    async def _put_on_device(self, command: ModelCommand, reason: str) -> None:
        """Load the version that is named, or the default."""
        shelf = self._lifecycle.shelf
        model: ShelvedModel | None = shelf.default(command.model)
        if command.version:
            offered = shelf.offered(command.model)
            named = [each for each in offered if str(each.version.version) == command.version]
            model = next(iter(named), None)
        if model is None:
            raise CommandFailed(reason or f"{command.target} is not offered here")
        self._dispatch.loader.forgive(model.key)
        await self._dispatch.load(model, _nothing)

    def _targets(self, command: ModelCommand) -> list[ShelvedModel]:
        return [
            slot.model
            for slot in self._lifecycle.shelf.slots(command.model)
            if command.version in ("", str(slot.model.version.version))
        ]

    def _is_there(self, key: str) -> bool:
        return self._dispatch.occupancy.is_loaded(key) or self._dispatch.holds(key)


async def _nothing() -> None:
    """Try nothing."""
