"""Runs the embedded stack in this process's foreground, from the first lock to the last exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import time
from collections.abc import Mapping
from typing import Final

from gw.append_only import cut_torn_end
from gw.data_folder import secret_at
from gw.first_key import FirstKey, ensure_first_key
from gw.health import Health, probe_stack
from gw.output import LineSink, own_line
from gw.server import (
    LOOPBACK,
    REDIS,
    ServerBinary,
    find_server,
    prepare_server,
    wait_until_ready,
)
from gw.settings import CommandSettings
from gw.signals import StopSignals
from gw.stack import STOP_ORDER, StackPlan, redis_spec, service_specs
from gw.state_file import Phase, StackState, write_state
from gw.supervisor import OWN_NAME, ProcessReport, Supervisor, describe_exit
from pipeline.access.keys import KeyStore
from pipeline.connection import connect
from pipeline.errors import GwError, InvalidSettings, Unavailable
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings

#: A service that ended this often before the stack was ready once will not come up by waiting.
_HOPELESS_RESTARTS: Final = 4

#: The exit code by which a service says that its settings contradict themselves (lifecycle.py).
_EXIT_REFUSED: Final = 2

_PROBE_INTERVAL_S: Final = 0.2

#: A service keeps to its grace period by itself; only one that does not is killed from here.
_GRACE_MARGIN_S: Final = 5.0


class StartFailed(Unavailable):
    """The stack could not be started. *service* is whose log tells more, if any."""

    def __init__(self, message: str, *, service: str = "") -> None:
        super().__init__(message)
        self.service = service


class StackRun:
    """One run of the stack. :meth:`run` returns when all of it has stopped."""

    def __init__(
        self,
        plan: StackPlan,
        *,
        settings: CommandSettings,
        environ: Mapping[str, str],
        sink: LineSink,
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._environ = environ
        self._sink = sink
        self._password = secret_at(plan.folder.redis_secret)
        self._supervisor = Supervisor(sink=sink, on_change=self._publish)
        self._started_unix_ms = time.time_ns() // 1_000_000
        self._phase = Phase.STARTING
        self._reason = ""
        self._culprit = ""
        self._signals = StopSignals(on_second=self._supervisor.kill_all, say=self._say)

    async def run(self) -> None:
        """Start everything, wait for a signal, stop everything in order.

        Raises StartFailed or InvalidSettings if it does not come up; then too nothing is left.
        """
        self._signals.listen()
        async with self._supervisor:
            self._publish()
            try:
                await self._until_told_to_stop()
            except GwError as error:
                self._culprit = error.service if isinstance(error, StartFailed) else ""
                self._enter(Phase.FAILED, str(error))
                raise
            finally:
                if self._phase is not Phase.FAILED:
                    self._enter(Phase.STOPPING)
                self._say("stopping")
                patience_s = self._settings.grace_s + _GRACE_MARGIN_S
                await self._supervisor.stop_in_order(STOP_ORDER, grace_s=patience_s)
        self._say("stopped")

    async def _until_told_to_stop(self) -> None:
        told = asyncio.create_task(self._signals.stop.wait(), name="wait-for-signal")
        work = asyncio.create_task(self._start_and_watch(), name="start-and-watch")
        try:
            await asyncio.wait({told, work}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
        finally:
            for task in (told, work):
                task.cancel()
            await asyncio.wait({told, work})

    async def _start_and_watch(self) -> None:
        deadline_s = time.monotonic() + self._settings.up_timeout_s
        await self._start_server(find_server(self._plan.folder), deadline_s)
        await self._provide_key()
        for spec in service_specs(self._plan, self._environ):
            self._supervisor.start(spec)
        await self._settle(deadline_s)
        await self._supervisor.broken()

    async def _start_server(self, binary: ServerBinary, deadline_s: float) -> None:
        port = self._plan.redis_port
        torn = await asyncio.to_thread(cut_torn_end, self._plan.folder, binary)
        if torn is not None:
            self._say(f"the job store's file had a torn end, as after a power cut; it is in {torn}")
        argv = prepare_server(
            self._plan.folder, binary, port=port, max_memory_mb=self._settings.redis_memory_mb
        )
        self._say(f"starting {binary} on {LOOPBACK}:{port}")
        self._supervisor.start(redis_spec(self._plan, argv, self._environ))
        ready = asyncio.create_task(
            wait_until_ready(
                port=port,
                password=self._password,
                timeout_s=max(0.0, deadline_s - time.monotonic()),
            ),
            name="wait-for-redis",
        )
        try:
            while not (await asyncio.wait({ready}, timeout=_PROBE_INTERVAL_S))[0]:
                self._give_up_on_hopeless()
            answered_pid = await ready
        except TimeoutError as error:
            raise StartFailed(str(error), service=REDIS) from error
        finally:
            ready.cancel()
        if answered_pid not in {report.pid for report in self._supervisor.reports()}:
            raise InvalidSettings(f"another server listens on {LOOPBACK}:{port}")

    async def _provide_key(self) -> None:
        path = self._plan.folder.api_key
        redis = connect(
            RedisSettings(
                url=f"redis://{LOOPBACK}:{self._plan.redis_port}/0", password=self._password
            )
        )
        try:
            outcome = await ensure_first_key(path, KeyStore(redis, Keyspace()))
        finally:
            await redis.aclose()
        if outcome is FirstKey.MADE:
            self._say(f"made an API key; it lies in {path}")
        elif outcome is FirstKey.UNKNOWN:
            self._say(
                f"the API key in {path} is not known here (revoked?); remove the file to have"
                " another made at the next start, or use `gw keys create`"
            )

    async def _settle(self, deadline_s: float) -> None:
        """Wait until every service is healthy; past the deadline accept what at least lives."""
        while True:
            health = await probe_stack(self._state(), password=self._password)
            if all(each.ready for each in health.values()):
                self._enter(Phase.READY)
                self._greet()
                return
            self._give_up_on_hopeless()
            if time.monotonic() >= deadline_s:
                self._accept_or_fail(health)
                return
            await asyncio.sleep(_PROBE_INTERVAL_S)

    def _accept_or_fail(self, health: Mapping[str, Health]) -> None:
        for name, each in health.items():
            if not each.alive:
                raise StartFailed(
                    f"{name} did not come up within {self._settings.up_timeout_s:g} s:"
                    f" {each.reason}",
                    service=name,
                )
        reasons = "; ".join(
            f"{name}: {each.reason}" for name, each in health.items() if each.reason
        )
        self._enter(Phase.DEGRADED, reasons)
        self._say(f"everything runs, but not all of it can work: {reasons}")
        self._greet()

    def _give_up_on_hopeless(self) -> None:
        for report in self._supervisor.reports():
            if is_hopeless(report):
                raise StartFailed(
                    f"{report.name} does not come up ({describe_exit(report.last_exit)})",
                    service=report.name,
                )

    def _greet(self) -> None:
        url, key = self._plan.url, self._plan.folder.api_key
        self._say(f"gw is up: {url}   (API key in {key})")
        self._say(
            f'try: curl -H "Authorization: Bearer $(cat {shlex.quote(str(key))})" {url}/v1/models'
        )

    def _enter(self, phase: Phase, reason: str = "") -> None:
        self._phase, self._reason = phase, reason
        self._publish()

    def _state(self) -> StackState:
        return StackState(
            pid=os.getpid(),
            started_unix_ms=self._started_unix_ms,
            phase=self._phase,
            reason=self._reason,
            culprit=self._culprit,
            http_port=self._plan.http_port,
            redis_port=self._plan.redis_port,
            services=self._supervisor.reports(),
        )

    def _publish(self) -> None:
        # A full disk must not take running services down with it.
        with contextlib.suppress(OSError):
            write_state(self._plan.folder.state, self._state())

    def _say(self, text: str) -> None:
        self._sink.write(OWN_NAME, own_line(text))


def is_hopeless(report: ProcessReport) -> bool:
    """Tell whether waiting longer for a service's first start is pointless."""
    return report.last_exit == _EXIT_REFUSED or report.restarts >= _HOPELESS_RESTARTS
