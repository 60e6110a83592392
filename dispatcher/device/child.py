"""One device process as the supervisor sees it: from its start, through its calls, to its death."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from dispatcher.device.arena import SharedMemory
from dispatcher.device.busy import BusyMeter
from dispatcher.device.errors import DeviceLost, DeviceUnavailable
from dispatcher.device.messages import (
    Blame,
    Failed,
    FrameReader,
    Infer,
    Inferred,
    Load,
    Reply,
    Request,
    Start,
    Unload,
    encode,
)
from pipeline.errors import ContractBroken

# How long a process that closed its end, or is asked to, may take to leave with its own exit
# status. Giving an NPU back may take two seconds: ACL waits for the device's last log lines.
_LEAVE_S = 5.0
# A killed process that is still there after this long sits in a driver that never returns.
_BURY_S = 10.0
_POLL_S = 0.002


class NotRun(Exception):
    """The process ended before it came to this call."""


@dataclass(slots=True, kw_only=True)
class _Call:
    number: int
    timeout_s: float
    # Whether it is work for the device: not a start, a description or a question.
    is_work: bool
    answer: asyncio.Future[Any]
    timer: asyncio.TimerHandle | None = None


class DeviceProcess(asyncio.Protocol):
    """A running device process. Calls are answered in order; each one's time starts at its turn.

    A call past its time, a lost device, or an answer that makes no sense, ends the process.
    *on_end* is called as soon as it is given up, before it is dead.
    """

    def __init__(self, process: subprocess.Popen[bytes], busy: BusyMeter) -> None:
        self._process = process
        self._busy = busy
        self._frames = FrameReader()
        self._calls: deque[_Call] = deque()
        self._numbers = 0
        self._transport: asyncio.WriteTransport | None = None
        self._burial: asyncio.Task[str] | None = None
        self.on_end: Callable[[], None] | None = None

    @classmethod
    async def start(
        cls,
        request: Start,
        memory: SharedMemory,
        *,
        name: str,
        timeout_s: float,
        busy: BusyMeter,
    ) -> DeviceProcess:
        """Start a process and its runtime; raises DeviceUnavailable with the reason if it cannot.

        Must run in the thread that outlives the process, usually the main one: Linux kills the
        process when the thread that started it ends.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [theirs.fileno(), memory.fd, memory.size_bytes, os.getpid(), name]
            # What the supervisor does not import from its working directory, its child must not.
            flags = ["-P"] if sys.flags.safe_path else []
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - a few ms, and our own program
                [sys.executable, *flags, "-m", "dispatcher.device.process", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory.fd),
            )
        child = cls(process, busy)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: child, sock=ours)
            answer = await child.call(request, timeout_s)
        except BaseException as exc:
            reason = await child.end("was stopped while starting")
            if child._transport is None:
                ours.close()
            if isinstance(exc, DeviceLost | NotRun):
                raise DeviceUnavailable(f"{name} did not start: {exc or reason}") from exc
            raise
        if isinstance(answer, Failed):
            await child.end(answer.reason)
            raise DeviceUnavailable(f"{name} did not start: {answer.reason}")
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it takes calls."""
        return self._burial is None

    async def call(self, request: Request, timeout_s: float) -> Reply:
        """Send *request* and wait for its answer.

        Raises DeviceLost if the process crashes while on it, or takes longer than *timeout_s* once
        it has begun; raises NotRun if the process ends before.
        """
        if not self.alive or self._transport is None:
            raise NotRun
        self._numbers += 1
        call = _Call(
            number=self._numbers,
            timeout_s=timeout_s,
            is_work=isinstance(request, Infer | Load | Unload),
            answer=asyncio.get_running_loop().create_future(),
        )
        self._calls.append(call)
        self._transport.write(encode(call.number, request))
        if len(self._calls) == 1:
            self._begin_turn()
        reply: Reply = await call.answer
        return reply

    async def end(self, reason: str) -> str:
        """Kill the process, wait until it is gone, and give the reason why it ended."""
        self._give_up(reason)
        return await self.buried()

    async def leave(self) -> None:
        """Let an idle process leave on its own, in a bounded time; kill one that is busy."""
        if self.alive and not self._calls and self._transport is not None:
            self._transport.close()
            self._give_up(None)
            await self.buried()
        else:
            await self.end("was stopped")

    async def buried(self) -> str:
        """Wait until the process, already given up, is gone; give the reason."""
        if self._burial is None:
            raise ContractBroken("a device process is mourned alive")
        return await asyncio.shield(self._burial)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand each answer to the call whose turn it is."""
        for number, reply in self._frames.feed(data):
            if not self._calls or self._calls[0].number != number:
                self._give_up(f"answered request {number} out of turn")
                return
            if isinstance(reply, Failed) and reply.blame is Blame.DEVICE:
                # Alive, and of no use without its device: as good as crashed on this call.
                self._give_up(f"lost its device: {reply.reason}")
                return
            call = self._calls.popleft()
            if call.timer is not None:
                call.timer.cancel()
            if call.is_work:
                device_ms = reply.device_ms if isinstance(reply, Inferred) else None
                self._busy.ended(asyncio.get_running_loop().time(), device_ms=device_ms)
            self._begin_turn()
            if not call.answer.done():
                call.answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Find out why the process closed its end, unless we did."""
        self._give_up(None)

    def _begin_turn(self) -> None:
        if self._calls:
            call = self._calls[0]
            loop = asyncio.get_running_loop()
            call.timer = loop.call_later(call.timeout_s, self._on_overdue, call)
            if call.is_work:
                self._busy.began(loop.time())

    def _on_overdue(self, call: _Call) -> None:
        if self._calls and self._calls[0] is call:
            self._give_up(f"hung past {call.timeout_s:g} s")

    def _give_up(self, reason: str | None) -> None:
        """Stop taking calls and have the process buried; with no *reason*, its exit tells it."""
        if self._burial is not None:
            return
        if self._calls and self._calls[0].timer is not None:
            self._calls[0].timer.cancel()
        self._burial = asyncio.get_running_loop().create_task(
            self._bury(reason), name=f"bury-device-process-{self.pid}"
        )
        if self.on_end is not None:
            self.on_end()

    async def _bury(self, reason: str | None) -> str:
        if reason is None:
            await self._wait_for_exit(_LEAVE_S)
        if self._process.poll() is None:
            self._process.kill()
            await self._wait_for_exit(_BURY_S)
        status = self._process.returncode
        if reason is None:
            reason = "closed its connection" if status is None else _describe_exit(status)
        if status is None:
            reason += f"; process {self.pid} cannot be killed, it sits in the driver"
        if self._transport is not None:
            self._transport.close()
        if self._calls and self._calls[0].is_work:
            self._busy.ended(asyncio.get_running_loop().time())
        # Only now: until it was dead it could still write to the memory of these calls.
        for position, call in enumerate(self._calls):
            if not call.answer.done():
                lost = DeviceLost(f"the device process {reason}", is_gone=status is not None)
                call.answer.set_exception(NotRun() if position else lost)
        self._calls.clear()
        return reason

    async def _wait_for_exit(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while self._process.poll() is None and loop.time() < until_s:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_POLL_S)


def _describe_exit(status: int) -> str:
    """Say how a process ended that nobody here killed."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if -status == signal.SIGKILL:
        return f"was killed ({name}: out of memory, or by hand)"
    return f"crashed ({name})"
