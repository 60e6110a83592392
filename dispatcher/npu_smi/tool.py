"""Runs ``npu-smi``: without a shell, for a bounded time, with a bounded answer.

Never from a process that uses ACL, which does not survive that another is started from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from typing import TypeVar

from dispatcher.npu_smi.errors import NpuSmiError, NpuSmiRefused
from dispatcher.npu_smi.facts import BoardFacts, HealthFacts, VersionFacts
from dispatcher.npu_smi.frames import read_board
from dispatcher.npu_smi.topics import read_health, read_versions
from dispatcher.npu_smi.words import LONGEST_TEXT

_T = TypeVar("_T")

#: Where the tool lies on a host, and where it is mounted in a container.
_USUAL_PLACE = "/usr/local/sbin/npu-smi"


def find_tool(path: str | None = None) -> str | None:
    """Give where ``npu-smi`` is, searched on *path* (PATH), then in its usual place; or None."""
    return shutil.which("npu-smi", path=path) or shutil.which(_USUAL_PLACE)


class NpuSmi:
    """The tool at *program*. Every method raises NpuSmiError where it tells nothing."""

    def __init__(self, program: str, *, timeout_s: float = 10.0) -> None:
        self._program = program
        self._timeout_s = timeout_s

    async def board(self) -> BoardFacts:
        """Ask for every chip."""
        return await self._ask(read_board, "info")

    async def health(self, npu_id: int, chip_id: int = 0) -> HealthFacts:
        """Ask for a chip's health and its error codes."""
        chip = ["-i", str(npu_id), "-c", str(chip_id)]
        return await self._ask(read_health, "info", "-t", "health", *chip)

    async def versions(self, npu_id: int) -> VersionFacts:
        """Ask for the driver's and the firmware's version."""
        return await self._ask(read_versions, "info", "-t", "board", "-i", str(npu_id))

    async def _ask(self, read: Callable[[str], _T], *arguments: str) -> _T:
        text, status = await self._run(arguments)
        try:
            return read(text)
        except NpuSmiRefused:
            raise
        except NpuSmiError as exc:
            raise type(exc)(f"{exc} (npu-smi {' '.join(arguments)} exited with {status})") from exc

    async def _run(self, arguments: Sequence[str]) -> tuple[str, int]:
        """Give what was printed, and the exit status."""
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A group of its own: the tool may be a script that starts others.
                start_new_session=True,
            )
        except OSError as exc:
            raise NpuSmiError(f"npu-smi cannot be started: {exc.strerror or exc}") from exc
        assert process.stdout is not None  # noqa: S101  # asked for above
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await _read(process.stdout)
                return text, await process.wait()
        except TimeoutError as exc:
            raise NpuSmiError(f"npu-smi did not end within {self._timeout_s:g} s") from exc
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                # One that sits in the driver cannot even be killed; it is not waited for.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 1.0)


async def _read(stream: asyncio.StreamReader) -> str:
    """Read to the end; what is longer than any answer raises NpuSmiError."""
    data = bytearray()
    while chunk := await stream.read(LONGEST_TEXT):
        data += chunk
        if len(data) > LONGEST_TEXT:
            raise NpuSmiError(f"npu-smi printed more than {LONGEST_TEXT} bytes")
    return data.decode("utf-8", "replace")
