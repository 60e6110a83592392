"""``gw up``: plan the stack from settings, and run it here or in the background."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from egress.policy import EgressPolicy
from gw.data_folder import DataFolder
from gw.output import LineSink, LogFiles, Tee, Terminal, last_lines, wants_colour
from gw.ports import free_port, is_free
from gw.run_lock import RunLock, holder_of
from gw.settings import CommandSettings
from gw.stack import STOP_ORDER, StackPlan
from gw.stack_run import StackRun, StartFailed
from gw.state_file import Phase, StackState, read_state
from gw.supervisor import OWN_NAME
from pipeline.errors import InvalidSettings

#: What the background supervisor needs past its own deadline to say that it failed.
_EXTRA_PATIENCE_S: Final = 30.0
_POLL_S: Final = 0.1
#: Enough for a traceback of a group of errors.
_SHOWN_LOG_LINES: Final = 60

_STDOUT: Final = 1


def run_in_foreground(
    settings: CommandSettings,
    environ: Mapping[str, str],
    *,
    egress_allow: tuple[str, ...] = (),
    show: bool = True,
) -> None:
    """Run the stack until a signal stops it. *show* puts the services' lines on standard output.

    Raises InvalidSettings if it cannot be run as asked, StartFailed if it does not come up.
    """
    folder = DataFolder.at(settings.data_dir)
    folder.create()
    with RunLock(folder.lock):
        plan = plan_stack(folder, settings, egress_allow=egress_allow)
        files = LogFiles(folder.log_of)
        sinks: list[LineSink] = [files]
        terminal = None
        if show:
            width = max(map(len, STOP_ORDER))
            terminal = Terminal(_STDOUT, width=width, colour=wants_colour(_STDOUT, environ))
            sinks.append(terminal)
        run = StackRun(plan, settings=settings, environ=environ, sink=Tee(*sinks))
        try:
            asyncio.run(run.run())
        finally:
            if terminal:
                terminal.close()
            files.close()


def plan_stack(
    folder: DataFolder, settings: CommandSettings, *, egress_allow: tuple[str, ...]
) -> StackPlan:
    """Settle ports and folders; raises InvalidSettings, naming the option that mends it."""
    models = settings.models_dir.expanduser().resolve()
    if not models.is_dir():
        raise InvalidSettings(f"there is no models folder {models}; name it with --models")
    EgressPolicy.parse(" ".join(egress_allow))
    if not is_free(settings.http_port):
        raise InvalidSettings(
            f"port {settings.http_port} on 127.0.0.1 is in use; choose another with --port"
        )
    if settings.redis_port and not is_free(settings.redis_port):
        raise InvalidSettings(
            f"port {settings.redis_port} on 127.0.0.1 is in use; choose another with"
            " GW_EMBEDDED_REDIS_PORT"
        )
    return StackPlan(
        folder=folder,
        models=models,
        http_port=settings.http_port,
        redis_port=settings.redis_port or free_port(str(folder.root)),
        egress_allow=egress_allow,
    )


def run_in_background(
    settings: CommandSettings, environ: Mapping[str, str], *, egress_allow: tuple[str, ...] = ()
) -> None:
    """Start the stack in a process of its own and return when it is ready.

    Raises InvalidSettings or StartFailed, after showing what the logs say, if it does not get
    there; then nothing is left running, except services that live but cannot work yet.
    """
    folder = DataFolder.at(settings.data_dir)
    folder.create()
    holder = holder_of(folder.lock)
    if holder is not None:
        raise InvalidSettings(
            f"gw already runs on the data folder {folder.root} (process {holder.pid});"
            " `gw down` stops it"
        )
    child = _start_supervisor(folder, environ, egress_allow)
    try:
        state = _wait_for_outcome(folder, child, timeout_s=settings.up_timeout_s)
    except BaseException:
        child.send_signal(signal.SIGTERM)
        raise
    if state.phase is Phase.DEGRADED:
        raise StartFailed(f"everything runs, but not all of it can work: {state.reason}")
    click.echo(f"gw is up: http://127.0.0.1:{state.http_port}   (API key in {folder.api_key})")


def _start_supervisor(
    folder: DataFolder, environ: Mapping[str, str], egress_allow: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own; what it says outside its log goes to a file."""
    argv = [sys.executable, "-P", "-m", "gw", "up", "--data", str(folder.root), "--silent"]
    for network in egress_allow:
        argv += ["--egress-allow", network]
    with _raw_output(folder).open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own program
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environ),
            start_new_session=True,
        )


def _wait_for_outcome(
    folder: DataFolder, child: subprocess.Popen[bytes], *, timeout_s: float
) -> StackState:
    """Wait until the stack is ready or degraded; raises StartFailed otherwise."""
    deadline_s = time.monotonic() + timeout_s + _EXTRA_PATIENCE_S
    while time.monotonic() < deadline_s:
        ended = child.poll() is not None
        state = read_state(folder.state)
        if state is not None and state.pid != child.pid:
            state = None
        if ended:
            raise _failure(folder, state)
        if state is not None and state.phase in {Phase.READY, Phase.DEGRADED}:
            return state
        time.sleep(_POLL_S)
    raise StartFailed(f"gw did not come up; its log is {folder.log_of(OWN_NAME)}")


def _failure(folder: DataFolder, state: StackState | None) -> StartFailed:
    """Show the last lines of the logs that matter, and say what went wrong."""
    said = [line for line in last_lines(_raw_output(folder), _SHOWN_LOG_LINES) if line]
    if state is None or not state.reason:
        reason = said[-1].removeprefix("gw: ") if said else "gw ended before it was ready"
        for line in said[:-1]:
            click.echo(line, err=True)
        return StartFailed(reason)
    if state.culprit:
        for line in last_lines(folder.log_of(state.culprit), _SHOWN_LOG_LINES):
            click.echo(f"{state.culprit} | {line}", err=True)
    return StartFailed(state.reason)


def _raw_output(folder: DataFolder) -> Path:
    return folder.logs / "gw.out"
