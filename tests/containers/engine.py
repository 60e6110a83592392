"""The Docker engine that the tests run on: the one that answers, or else one of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

#: The standalone Compose of the development environment.
COMPOSE = Path(sys.executable).with_name("docker-compose")

_START_PATIENCE_S = 60.0
_POLL_S = 0.1


def docker(*arguments: str, check: bool = True, stdin: Any = None) -> str:
    """Run the client; give its standard output. A failure shows what it wrote."""
    answer = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, stdin=stdin
    )
    if check and answer.returncode != 0:
        raise AssertionError(f"docker {' '.join(arguments)}: {answer.stdout}{answer.stderr}")
    return answer.stdout


def inspect(name: str) -> dict[str, Any]:
    """Give what the engine knows of a container or an image."""
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return found


class Engine:
    """A running engine. *is_own* tells whether the tests started it, and may therefore kill it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_own(self) -> bool:
        """Whether this engine is a child of the tests."""
        return self._process is not None

    def ensure(self) -> None:
        """Use the engine that answers, or start one."""
        if not _answers():
            can_start = shutil.which("dockerd") is not None and os.geteuid() == 0
            assert can_start, "no Docker engine answers: start one, or be root with dockerd"
            self.start()

    def start(self) -> None:
        """Start ``dockerd`` and wait until it answers."""
        # A pid file of one that was killed keeps the next from starting if its number lives again.
        Path("/var/run/docker.pid").unlink(missing_ok=True)
        Path("/var/run/docker/containerd/containerd.pid").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd"], stdout=log, stderr=log, start_new_session=True
            )
        deadline_s = time.monotonic() + _START_PATIENCE_S
        while not _answers():
            assert time.monotonic() < deadline_s, self._log.read_text()[-2000:]
            time.sleep(_POLL_S)

    def kill_with_everything(self) -> None:
        """Kill the engine and every process in every container at once, as a power cut would."""
        assert self._process is not None
        victims = [psutil.Process(self._process.pid), *self._below()]
        for victim in victims:
            _signal(victim, psutil.Process.suspend)
        # Frozen, none could start another; so this list is whole.
        victims = [psutil.Process(self._process.pid), *self._below()]
        for victim in victims:
            _signal(victim, psutil.Process.kill)
        self._process.wait(30)
        psutil.wait_procs(victims, timeout=30)

    def stop(self) -> None:
        """Stop the engine if it is ours."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def _below(self) -> list[psutil.Process]:
        """List the engine's children, and the shims with their containers, which are init's."""
        assert self._process is not None
        found: list[psutil.Process] = []
        found += psutil.Process(self._process.pid).children(recursive=True)
        for process in psutil.process_iter(["name", "cmdline"]):
            name, command = process.info["name"] or "", process.info["cmdline"] or []
            if name.startswith("containerd-shim") and any("/var/run/docker" in a for a in command):
                found += [process, *process.children(recursive=True)]
        return found


def _answers() -> bool:
    answer = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return answer.returncode == 0 and b"Server Version" in answer.stdout


def _signal(process: psutil.Process, send: Any) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send(process)
