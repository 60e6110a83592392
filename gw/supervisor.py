"""Keeps a set of processes running: restarts what ends, stops all of it in order.

Each process leads a session of its own, so that a Ctrl-C in the terminal reaches the supervisor
alone; each dies with the supervisor (see ``child_shim.py``); each has its standard output and error
read line by line. Nothing here knows what the processes are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from gw.output import LineCutter, LineSink, own_line
from gw.restart_policy import RestartPolicy

#: A grandchild may keep the output pipe open after the process itself ended.
_LAST_OUTPUT_PATIENCE_S: Final = 0.5

#: Under this name the supervisor's own lines are shown.
OWN_NAME: Final = "gw"


class ProcessState(StrEnum):
    """Where a supervised process is."""

    STARTING = "starting"
    RUNNING = "running"
    #: It ended by itself and waits to be started again.
    BACKING_OFF = "backing_off"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """What to run. *lock* is a file the process holds locked while it lives; *port* is for show."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    folder: Path
    lock: Path | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReport:
    """How a supervised process fares. *pid* is None while it does not run.

    *last_exit* is the last exit status: negative for the signal that ended it, None before any.
    """

    name: str
    state: ProcessState
    pid: int | None
    port: int | None
    restarts: int
    started_unix_ms: int | None
    last_exit: int | None


class SupervisedProcess:
    """One process, started again whenever it ends, until it is told to stop."""

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        policy: RestartPolicy,
        sink: LineSink,
        on_change: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._policy = policy
        self._sink = sink
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._state = ProcessState.STARTING
        self._restarts = 0
        self._started_unix_ms: int | None = None
        self._last_exit: int | None = None
        self._stopping = asyncio.Event()
        self._killed = False
        self._gone = asyncio.Event()

    @property
    def name(self) -> str:
        """The service's name."""
        return self._spec.name

    def report(self) -> ProcessReport:
        """Tell how it fares now."""
        running = self._process is not None
        return ProcessReport(
            name=self._spec.name,
            state=self._state,
            pid=self._process.pid if self._process else None,
            port=self._spec.port,
            restarts=self._restarts,
            started_unix_ms=self._started_unix_ms if running else None,
            last_exit=self._last_exit,
        )

    async def run(self) -> None:
        """Run the process over and over, until told to stop."""
        failures = 0
        try:
            while not self._stopping.is_set():
                started_s = time.monotonic()
                await self._run_once()
                if self._stopping.is_set():
                    break
                ran_s = time.monotonic() - started_s
                failures = self._policy.failures_after(failures, ran_s=ran_s)
                # Spreading restarts needs no secrecy.
                delay_s = self._policy.delay_s(failures, chance=random.random())  # noqa: S311
                await self._back_off(delay_s)
        finally:
            self._move(ProcessState.STOPPED)
            self._gone.set()

    async def stop(self, *, grace_s: float) -> None:
        """Ask it to end, and end it with its whole group if it has not after *grace_s*."""
        self._ask_to_stop()
        try:
            async with asyncio.timeout(grace_s):
                await self._gone.wait()
        except TimeoutError:
            self._say(f"{self.name} did not end within {grace_s:g} s and is killed")
            self.kill()
            await self._gone.wait()

    def kill(self) -> None:
        """End it and what it started, at once."""
        self._killed = True
        self._stopping.set()
        self._signal_group(signal.SIGKILL)

    def _ask_to_stop(self) -> None:
        self._stopping.set()
        if self._process is not None:
            self._move(ProcessState.STOPPING)
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    async def _run_once(self) -> None:
        self._move(ProcessState.STARTING)
        read_end, write_end = os.pipe()
        try:
            process = await self._spawn(write_end)
        except OSError as error:
            os.close(read_end)
            self._last_exit = None
            self._say(f"{self.name} could not be started: {error.strerror}")
            return
        finally:
            os.close(write_end)
        self._process = process
        self._started_unix_ms = time.time_ns() // 1_000_000
        self._move(ProcessState.RUNNING)
        pump = asyncio.create_task(self._pump(read_end), name=f"output-of-{self.name}")
        try:
            if self._stopping.is_set():
                # Told while the process was being started.
                self._signal_group(signal.SIGKILL if self._killed else signal.SIGTERM)
            self._last_exit = await process.wait()
        finally:
            self._process = None
            await _finish(pump)

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        spec = self._spec
        shim = Path(__file__).with_name("child_shim.py")
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(shim), str(os.getpid())),
            str(spec.lock) if spec.lock else "",
            *spec.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=spec.folder,
            env=dict(spec.environ),
            start_new_session=True,
        )

    async def _pump(self, read_end: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
        )
        cutter = LineCutter()
        try:
            while chunk := await reader.read(65536):
                for line in cutter.feed(chunk):
                    self._sink.write(self.name, line)
        finally:
            for line in cutter.finish():
                self._sink.write(self.name, line)
            transport.close()

    async def _back_off(self, delay_s: float) -> None:
        status = describe_exit(self._last_exit)
        self._say(f"{self.name} ended ({status}); it is started again in {delay_s:.1f} s")
        self._move(ProcessState.BACKING_OFF)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        if not self._stopping.is_set():
            self._restarts += 1

    def _signal_group(self, number: signal.Signals) -> None:
        # While asyncio has not reaped the leader, its pid and so its group's id cannot be reused.
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _move(self, state: ProcessState) -> None:
        self._state = state
        self._on_change()

    def _say(self, text: str) -> None:
        self._sink.write(OWN_NAME, own_line(text))


class Supervisor:
    """The set of supervised processes. Use as an async context: leaving it leaves none running."""

    def __init__(
        self,
        *,
        sink: LineSink,
        policy: RestartPolicy | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._sink = sink
        self._policy = policy or RestartPolicy()
        self._on_change = on_change
        self._processes: dict[str, SupervisedProcess] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._broken: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Supervisor:
        """Enter with nothing running."""
        self._broken = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill what has not been stopped."""
        self.kill_all()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._broken is not None:
            self._broken.cancel()

    def start(self, spec: ProcessSpec) -> None:
        """Start *spec* and keep it running. Its name must be new."""
        if spec.name in self._processes:
            raise ValueError(f"{spec.name} is supervised already")
        process = SupervisedProcess(
            spec, policy=self._policy, sink=self._sink, on_change=self._on_change
        )
        self._processes[spec.name] = process
        task = asyncio.create_task(process.run(), name=f"supervise-{spec.name}")
        task.add_done_callback(self._notice_defect)
        self._tasks[spec.name] = task

    async def broken(self) -> None:
        """Wait until supervision itself breaks, and raise why: a defect, not a process's end."""
        if self._broken is None:
            raise RuntimeError("the supervisor has not been entered")
        await asyncio.shield(self._broken)

    async def stop_in_order(self, names: Sequence[str], *, grace_s: float) -> None:
        """Stop *names* one after the other, then whatever they leave out."""
        rest = [name for name in self._processes if name not in names]
        for name in (*names, *rest):
            if name in self._processes:
                await self._processes[name].stop(grace_s=grace_s)

    def kill_all(self) -> None:
        """Kill every process and what it started, at once."""
        for process in self._processes.values():
            process.kill()

    def reports(self) -> tuple[ProcessReport, ...]:
        """Tell how each process fares, in the order they were started."""
        return tuple(process.report() for process in self._processes.values())

    def _notice_defect(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._broken is None or self._broken.done():
            return
        error = task.exception()
        if error is not None:
            self._broken.set_exception(error)


def describe_exit(status: int | None) -> str:
    """Put an exit status into words.

    >>> describe_exit(3), describe_exit(-9)
    ('exit code 3', 'signal SIGKILL')
    """
    if status is None:
        return "could not be started"
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


async def _finish(pump: asyncio.Task[None]) -> None:
    """Let the reader come to the end of the output, but not for ever."""
    done, _ = await asyncio.wait({pump}, timeout=_LAST_OUTPUT_PATIENCE_S)
    if not done:
        pump.cancel()
        await asyncio.wait({pump})
