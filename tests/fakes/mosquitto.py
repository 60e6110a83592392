"""A real Mosquitto of a test's own on the loopback, and a subscriber that keeps what it hears."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import aiomqtt
import pytest

from tests.conftest import free_port
from tests.waiting import wait_until


def mosquitto_binary() -> str:
    """Give the broker, or skip the test."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip("there is no mosquitto here: apt-get install mosquitto")
    return found


class Mosquitto:
    """A broker that can be killed and started again on its port."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self._binary = mosquitto_binary()
        self._folder = folder
        self.port = free_port()
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            # As root it would drop to a user that may not read a test's files.
            *(["user root"] if os.geteuid() == 0 else []),
            *(settings or ["allow_anonymous true"]),
        ]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill it."""
        self.kill()

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220
                [self._binary, "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        await wait_until(self._answers, timeout_s=20)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    async def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Heard:
    """What a subscriber has heard, oldest first."""

    def __init__(self) -> None:
        self.messages: list[aiomqtt.Message] = []

    async def wait_for(self, count: int) -> Sequence[aiomqtt.Message]:
        """Wait until *count* messages came."""
        await wait_until(lambda: len(self.messages) >= count, timeout_s=20)
        return self.messages


@asynccontextmanager
async def subscriber(port: int, topic: str = "#", **login: str) -> AsyncIterator[Heard]:
    """Subscribe to *topic* while the block lasts."""
    heard = Heard()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            heard.messages.append(message)

    async with aiomqtt.Client(
        "127.0.0.1",
        port,
        protocol=aiomqtt.ProtocolVersion.V5,
        **login,  # type: ignore[arg-type]
    ) as client:
        await client.subscribe(topic, qos=1)
        listening = asyncio.create_task(listen(client))
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.wait({listening})
