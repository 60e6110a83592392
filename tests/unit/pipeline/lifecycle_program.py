"""A small service, run as a process of its own: how it behaves is the first argument."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field

from pipeline.lifecycle import run_service
from pipeline.settings import ServiceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSettings:
    """Only what every service has."""

    service: ServiceSettings = field(default_factory=ServiceSettings)


async def serve(_: ProgramSettings, stop: asyncio.Event) -> None:
    """Say that it is up, then do as the first argument says."""
    _say("up")
    match sys.argv[1]:
        case "polite":
            await stop.wait()
            _say("finished")
        case "stubborn":
            await stop.wait()
            _say("finishing")
            await asyncio.Event().wait()
        case "dying":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stop.wait(), name="main")
                tasks.create_task(_die(), name="side")


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _die() -> None:
    raise RuntimeError("the side task broke")


if __name__ == "__main__":
    run_service("program", ProgramSettings, serve)
