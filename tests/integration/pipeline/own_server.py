"""A server of a test's own: one that may be filled, hung, killed and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.settings import RedisSettings
from tests.conftest import free_port, server_binary
from tests.waiting import wait_until_blocking


class OwnServer:
    """A server on a port of its own that keeps its port and its append-only file over restarts."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, *, timeout_s: float = 1.0, password: str = "") -> RedisSettings:
        """Give the settings of a client of this server."""
        url = f"redis://127.0.0.1:{self._port}/0"
        return RedisSettings(url=url, timeout_s=timeout_s, password=password)

    def start(self, *options: str) -> None:
        """Start it, and wait until it takes connections (it may still be loading)."""
        command = [server_binary(), "--port", str(self._port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self._folder), "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always", *self._options, *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until_blocking(self._takes_connections)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _takes_connections(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-500:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@contextmanager
def running(folder: Path, *options: str) -> Iterator[OwnServer]:
    """Run a server while the block lasts."""
    server = OwnServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
