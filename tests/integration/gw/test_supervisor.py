"""The supervisor with real processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gw.restart_policy import RestartPolicy
from gw.supervisor import ProcessReport, ProcessState, Supervisor
from tests.integration.gw.children import CRASHING, POLITE, STUBBORN, make_spec
from tests.integration.gw.processes import is_running, lines_of, wait_until

_REPOSITORY = Path(__file__).parents[3]

#: Fast enough for a test, with the same shape.
_POLICY = RestartPolicy(first_delay_s=0.02, max_delay_s=0.1)


class Memory:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def write(self, service: str, line: bytes) -> None:
        """Remember one line."""
        self.lines.append((service, line.decode()))

    def of(self, service: str) -> list[str]:
        """Give what *service* said."""
        return [line for name, line in self.lines if name == service]


async def _until(condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
    """Wait beside the supervisor, which runs in this same loop."""
    await asyncio.to_thread(wait_until, condition, timeout_s=timeout_s)


def _only(supervisor: Supervisor) -> ProcessReport:
    (report,) = supervisor.reports()
    return report


async def test_restarts_what_crashes_again_and_again(tmp_path: Path) -> None:
    """A process that keeps crashing keeps being started again, and its last exit is known."""
    diary, memory = tmp_path / "diary", Memory()

    async with Supervisor(sink=memory, policy=_POLICY) as supervisor:
        supervisor.start(make_spec("crasher", CRASHING, diary))
        await _until(lambda: _only(supervisor).restarts >= 3)
        await supervisor.stop_in_order(["crasher"], grace_s=5)

    assert lines_of(diary).count("crasher up") >= 3
    assert "going down" in memory.of("crasher")
    assert any("exit code 3" in line for line in memory.of("gw"))


async def test_waits_longer_after_each_crash(tmp_path: Path) -> None:
    """The pauses between restarts grow from the first delay to the longest."""
    memory = Memory()
    policy = RestartPolicy(first_delay_s=0.1, max_delay_s=0.9)

    async with Supervisor(sink=memory, policy=policy) as supervisor:
        supervisor.start(make_spec("crasher", CRASHING, tmp_path / "diary"))
        await _until(lambda: len(memory.of("gw")) >= 4)

    delays_s = [float(line.split()[-2]) for line in memory.of("gw") if "started again" in line]
    assert delays_s[0] <= 0.2
    assert delays_s[3] >= 0.6
    assert max(delays_s) <= 0.9


async def test_restarts_a_process_that_was_killed(tmp_path: Path) -> None:
    """A process killed from outside runs again under another pid, and the report says so."""
    async with Supervisor(sink=Memory(), policy=_POLICY) as supervisor:
        supervisor.start(make_spec("worker", POLITE, tmp_path / "diary"))
        await _until(lambda: lines_of(tmp_path / "diary"))
        first_pid = _only(supervisor).pid
        assert first_pid is not None
        os.kill(first_pid, signal.SIGKILL)
        await _until(lambda: len(lines_of(tmp_path / "diary")) == 2)
        report = _only(supervisor)

    assert report.pid not in {None, first_pid}
    assert report.restarts == 1
    assert report.last_exit == -signal.SIGKILL


async def test_stops_in_the_order_given(tmp_path: Path) -> None:
    """Each process is told to stop only when the one before it is gone."""
    diary = tmp_path / "diary"

    async with Supervisor(sink=Memory(), policy=_POLICY) as supervisor:
        for name in ("store", "worker", "door"):
            supervisor.start(make_spec(name, POLITE, diary, linger_s=0.1))
        await _until(lambda: len(lines_of(diary)) == 3)
        await supervisor.stop_in_order(["door", "worker", "store"], grace_s=5)
        reports = supervisor.reports()

    assert lines_of(diary)[3:] == [
        *("door told", "door gone"),
        *("worker told", "worker gone"),
        *("store told", "store gone"),
    ]
    assert {report.state for report in reports} == {ProcessState.STOPPED}
    assert {report.last_exit for report in reports} == {0}


async def test_kills_what_outstays_its_grace_with_its_children(tmp_path: Path) -> None:
    """A process that ignores the request to stop is killed after the grace, with its child."""
    diary = tmp_path / "diary"

    async with Supervisor(sink=Memory(), policy=_POLICY) as supervisor:
        supervisor.start(make_spec("mule", STUBBORN, diary))
        await _until(lambda: len(lines_of(diary)) == 2)
        pids = [int(line.split()[-1]) for line in lines_of(diary)]
        asked_s = time.monotonic()
        await supervisor.stop_in_order(["mule"], grace_s=0.4)
        took_s = time.monotonic() - asked_s
        report = _only(supervisor)

    assert 0.4 <= took_s < 5
    assert "mule told" in lines_of(diary)
    assert report.last_exit == -signal.SIGKILL
    wait_until(lambda: not any(map(is_running, pids)))


async def test_stopping_interrupts_the_pause_before_a_restart(tmp_path: Path) -> None:
    """A process that waits to be started again stops at once."""
    policy = RestartPolicy(first_delay_s=60, max_delay_s=100)

    async with Supervisor(sink=Memory(), policy=policy) as supervisor:
        supervisor.start(make_spec("crasher", CRASHING, tmp_path / "diary"))
        await _until(lambda: _only(supervisor).state is ProcessState.BACKING_OFF)
        async with asyncio.timeout(2):
            await supervisor.stop_in_order(["crasher"], grace_s=30)

    assert lines_of(tmp_path / "diary") == ["crasher up"]


async def test_leaving_the_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    """Whatever was not stopped is killed when the supervisor is left, also by an error."""
    diary = tmp_path / "diary"

    async def run_and_break() -> None:
        async with Supervisor(sink=Memory(), policy=_POLICY) as supervisor:
            supervisor.start(make_spec("mule", STUBBORN, diary))
            await _until(lambda: len(lines_of(diary)) == 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_and_break()

    pids = [int(line.split()[-1]) for line in lines_of(diary)]
    wait_until(lambda: not any(map(is_running, pids)))


async def test_a_program_that_does_not_exist_is_a_crash_with_a_sentence(tmp_path: Path) -> None:
    """A program that cannot be run is retried like a crash and named in the output."""
    memory = Memory()
    spec = make_spec("ghost", POLITE, tmp_path / "diary")
    missing = type(spec)(
        name="ghost", argv=("/nowhere/ghost",), environ=spec.environ, folder=tmp_path
    )

    async with Supervisor(sink=memory, policy=_POLICY) as supervisor:
        supervisor.start(missing)
        await _until(lambda: _only(supervisor).restarts >= 1)
        report = _only(supervisor)

    assert report.last_exit == 127
    assert "cannot run /nowhere/ghost: No such file or directory" in memory.of("ghost")


async def test_each_process_leads_a_session_of_its_own(tmp_path: Path) -> None:
    """A terminal's Ctrl-C, which goes to a process group, cannot reach a supervised process."""
    async with Supervisor(sink=Memory(), policy=_POLICY) as supervisor:
        supervisor.start(make_spec("worker", POLITE, tmp_path / "diary"))
        await _until(lambda: lines_of(tmp_path / "diary"))
        pid = _only(supervisor).pid
        assert pid is not None
        session, group = os.getsid(pid), os.getpgid(pid)

    assert session == group == pid


async def test_a_process_holds_its_lock_for_its_life(tmp_path: Path) -> None:
    """The lock of a process is taken while it lives and free when it has ended."""
    lock = tmp_path / "lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        async with Supervisor(sink=Memory(), policy=_POLICY) as supervisor:
            supervisor.start(make_spec("writer", POLITE, tmp_path / "diary", lock=lock))
            await _until(lambda: lines_of(tmp_path / "diary"))
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            await supervisor.stop_in_order(["writer"], grace_s=5)

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


async def test_reads_output_that_a_grandchild_keeps_open(tmp_path: Path) -> None:
    """A grandchild that holds on to the output does not keep a restart waiting."""
    body = """
subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3)"])
note("up")
os.write(1, b"no newline")
sys.exit(1)
"""
    memory = Memory()

    async with Supervisor(sink=memory, policy=_POLICY) as supervisor:
        supervisor.start(make_spec("parent", body, tmp_path / "diary"))
        await _until(lambda: _only(supervisor).restarts >= 1, timeout_s=2.9)

    assert memory.of("parent")[0] == "no newline"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Collect supervisor programs, and leave none behind."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for each in started:
        each.kill()
        each.wait(10)


def _start(
    started: list[subprocess.Popen[bytes]], diary: Path, *arguments: str
) -> subprocess.Popen[bytes]:
    program = "tests.integration.gw.supervisor_program"
    with (diary.parent / "shown").open("wb") as shown:
        process = subprocess.Popen(
            [sys.executable, "-m", program, str(diary), *arguments],
            cwd=_REPOSITORY,
            stdout=shown,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started.append(process)
    return process


def _pids(diary: Path, count: int) -> list[int]:
    wait_until(lambda: len(lines_of(diary)) >= count)
    return [int(line.split()[-1]) for line in lines_of(diary)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_stops_everything_in_order(
    tmp_path: Path, program: list[subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    """The first signal lets every process end in order, and the supervisor exits with 0."""
    diary = tmp_path / "diary"
    process = _start(program, diary, "0.1", "a=polite", "b=polite")
    pids = _pids(diary, 2)

    process.send_signal(number)

    assert process.wait(10) == 0
    assert lines_of(diary)[2:] == ["a told", "a gone", "b told", "b gone"]
    assert not any(map(is_running, pids))


def test_a_second_signal_kills_at_once(
    tmp_path: Path, program: list[subprocess.Popen[bytes]]
) -> None:
    """The second signal does not wait for what is stopping, nor for what ignores the first."""
    diary = tmp_path / "diary"
    process = _start(program, diary, "0", "mule=stubborn", "b=polite")
    pids = _pids(diary, 3)

    process.send_signal(signal.SIGINT)
    wait_until(lambda: "mule told" in lines_of(diary))
    process.send_signal(signal.SIGINT)

    assert process.wait(5) == 0
    assert "b told" not in lines_of(diary)
    wait_until(lambda: not any(map(is_running, pids)))


def test_a_killed_supervisor_leaves_no_child(
    tmp_path: Path, program: list[subprocess.Popen[bytes]]
) -> None:
    """When the supervisor is killed outright, the kernel kills each of its children."""
    diary = tmp_path / "diary"
    process = _start(program, diary, "0", "a=polite", "b=polite")
    pids = _pids(diary, 2)
    assert all(map(is_running, pids))

    process.kill()
    process.wait(10)

    wait_until(lambda: not any(map(is_running, pids)), timeout_s=5)
    assert not [line for line in lines_of(diary) if line.endswith("told")]


def test_a_supervisor_killed_while_children_start_leaves_none(
    tmp_path: Path, program: list[subprocess.Popen[bytes]]
) -> None:
    """Killed at any moment of a crash loop, the supervisor leaves nothing that could start anew."""
    diary = tmp_path / "diary"
    process = _start(program, diary, "0", *(f"c{index}=crashing" for index in range(8)))
    wait_until(lambda: len(lines_of(diary)) >= 8)

    process.kill()
    process.wait(10)
    time.sleep(0.5)
    written = len(lines_of(diary))
    time.sleep(1.0)

    assert len(lines_of(diary)) == written
