"""A supervisor in a process of its own: ``supervisor_program.py DIARY LINGER_S NAME=KIND...``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gw.output import Terminal
from gw.signals import StopSignals
from gw.supervisor import Supervisor
from tests.integration.gw import children

_KINDS = {
    "polite": children.POLITE,
    "stubborn": children.STUBBORN,
    "crashing": children.CRASHING,
}


async def main(diary: Path, linger_s: float, kinds: dict[str, str]) -> None:
    """Run the children until told to stop, then stop them in the order they were named."""
    terminal = Terminal(1, width=10, colour=False)
    supervisor = Supervisor(sink=terminal)
    signals = StopSignals(
        on_second=supervisor.kill_all, say=lambda text: terminal.write("gw", text.encode())
    )
    signals.listen()
    async with supervisor:
        for name, kind in kinds.items():
            supervisor.start(children.make_spec(name, _KINDS[kind], diary, linger_s=linger_s))
        await signals.stop.wait()
        await supervisor.stop_in_order(list(kinds), grace_s=60)
    terminal.close()


if __name__ == "__main__":
    asyncio.run(
        main(
            Path(sys.argv[1]),
            float(sys.argv[2]),
            dict(argument.split("=", 1) for argument in sys.argv[3:]),
        )
    )
