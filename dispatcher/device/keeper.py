"""Keeps one device process running: calls wait while it restarts, and never meet a dead one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from dispatcher.device.child import DeviceProcess, NotRun
from dispatcher.device.errors import DeviceLost, DeviceUnavailable
from dispatcher.device.messages import Reply, Request
from dispatcher.device.state import DevicePhase, DeviceState, restart_delay_s

log = logging.getLogger(__name__)

#: So many restarts are remembered with their moments.
_REMEMBERED_MAX = 1000


class ProcessKeeper:
    """Holds the current process of a device, and starts the next one when it is lost.

    *start_process* gives a process that is ready for calls, or raises DeviceUnavailable.
    """

    def __init__(self, name: str, start_process: Callable[[], Awaitable[DeviceProcess]]) -> None:
        self._name = name
        self._start_process = start_process
        self._state = DeviceState(phase=DevicePhase.STOPPED, reason="not started")
        self._losses = 0
        self._process: DeviceProcess | None = None
        # The next process. It fails, and is replaced, when an attempt to start one does.
        self._arrival: asyncio.Future[None] | None = None
        self._recovery: asyncio.Task[None] | None = None
        # While this is not set, no process is started.
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._hold_reason = ""
        # When a process was lost, or a start failed (monotonic seconds).
        self._lost_at_s: deque[float] = deque(maxlen=_REMEMBERED_MAX)
        self.restarts = 0

    @property
    def state(self) -> DeviceState:
        """How the device is, as far as the supervisor knows."""
        return self._state

    @property
    def pid(self) -> int | None:
        """The id of the current process, if any."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the first process; raises DeviceUnavailable with the reason if it cannot."""
        self._enter(DevicePhase.STARTING)
        try:
            self._install(await self._start_process())
        except DeviceUnavailable as exc:
            self._losses += 1
            self._enter(DevicePhase.LOST, str(exc))
            raise

    async def stop(self) -> None:
        """End the process and fail what waits for it. It is not started again."""
        process, self._process = self._process, None
        self._enter(DevicePhase.STOPPED)
        self._fail_arrival(DeviceUnavailable(f"{self._name} is stopped"))
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        if process is not None:
            process.on_end = None
            await process.leave()

    async def call(
        self, request: Request, timeout_s: float, *, check: Callable[[], object] = lambda: None
    ) -> Reply:
        """Have *request* answered by this process or the next; *check* runs before each attempt.

        Raises DeviceLost if the process was on it when it crashed, or for longer than *timeout_s*;
        raises DeviceUnavailable if no process could be started.
        """
        while True:
            process = await self._ready_process()
            check()
            try:
                return await process.call(request, timeout_s)
            except NotRun:
                continue
            except DeviceLost as exc:
                if self._state.phase is DevicePhase.STOPPED:
                    raise DeviceUnavailable(f"{self._name} is stopped") from exc
                raise

    def hold(self, reason: str) -> None:
        """Start no process until :meth:`release`; who needs one is told *reason*.

        A process that runs goes on.
        """
        self._hold_reason = reason
        self._may_start.clear()
        if self._arrival is not None and not self._arrival.done():
            self._renew_arrival(DeviceUnavailable(reason))

    def release(self) -> None:
        """Let processes be started again."""
        self._may_start.set()

    def restarts_within(self, window_s: float) -> int:
        """Count how often in the last *window_s* a process was lost or did not start."""
        from_s = asyncio.get_running_loop().time() - window_s
        return sum(moment_s >= from_s for moment_s in self._lost_at_s)

    def forget_restarts(self) -> None:
        """Begin to count anew: the device has shown that it works."""
        self._lost_at_s.clear()

    def note_success(self) -> None:
        """Note that a batch went well: what was lost before is no longer in a row."""
        if self._losses:
            self._losses = 0
            self._enter(self._state.phase, self._state.reason)

    async def _ready_process(self) -> DeviceProcess:
        while True:
            if self._process is not None:
                return self._process
            if self._arrival is None or self._state.phase is DevicePhase.STOPPED:
                raise DeviceUnavailable(f"{self._name} is {self._state.phase}")
            if not self._may_start.is_set():
                raise DeviceUnavailable(self._hold_reason)
            await asyncio.shield(self._arrival)

    def _install(self, process: DeviceProcess) -> None:
        """Let calls through to *process*, which is alive."""
        self._process = process
        process.on_end = self._on_end
        self._enter(DevicePhase.READY, self._state.reason)
        log.info("device.started", extra={"device": self._name, "device_pid": process.pid})
        if self._arrival is not None:
            self._arrival.set_result(None)

    def _on_end(self) -> None:
        """Hold calls back, and see to a new process."""
        process, self._process = self._process, None
        if process is None:
            return
        loop = asyncio.get_running_loop()
        self._arrival = loop.create_future()
        self._enter(DevicePhase.LOST)
        self._recovery = loop.create_task(self._recover(process), name=f"recover-{self._name}")
        self._recovery.add_done_callback(self._on_recovered)

    async def _recover(self, process: DeviceProcess) -> None:
        """Bury *process* and start processes until one stays."""
        reason = await process.buried()
        while True:
            self._losses += 1
            self.restarts += 1
            self._lost_at_s.append(asyncio.get_running_loop().time())
            delay_s = restart_delay_s(self._losses)
            self._enter(DevicePhase.LOST, reason)
            log.error(
                "device.lost",
                extra={"device": self._name, "reason": reason, "restart_delay_s": delay_s},
            )
            await asyncio.sleep(delay_s)
            await self._may_start.wait()
            self._enter(DevicePhase.STARTING, reason)
            try:
                self._install(await self._start_process())
            except DeviceUnavailable as exc:
                reason = str(exc)
                # Who waits has waited for one start, and may hand its work back.
                self._renew_arrival(exc)
            else:
                return

    def _on_recovered(self, recovery: asyncio.Task[None]) -> None:
        """Tell the callers if the recovery itself broke down: nobody else would."""
        if not recovery.cancelled() and (error := recovery.exception()) is not None:
            log.critical("device.recovery_failed", exc_info=error)
            self._enter(DevicePhase.LOST, f"the recovery failed: {error!r}")
            self._fail_arrival(DeviceUnavailable(f"{self._name} cannot be recovered: {error!r}"))

    def _renew_arrival(self, error: DeviceUnavailable) -> None:
        self._fail_arrival(error)
        self._arrival = asyncio.get_running_loop().create_future()

    def _fail_arrival(self, error: DeviceUnavailable) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_exception(error)
            self._arrival.exception()  # nobody may be waiting, which is no mistake

    def _enter(self, phase: DevicePhase, reason: str = "") -> None:
        self._state = DeviceState(phase=phase, reason=reason, losses_in_a_row=self._losses)
