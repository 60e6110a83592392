"""Nothing stays behind, whoever is killed: no process, no shared memory."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from dispatcher.device.link import Device
from tests.fakes.faulty_runtime import CRASHES
from tests.integration.device.conftest import double, wait_until


def shared_memory_files() -> set[str]:
    """Give the names in /dev/shm."""
    return set(os.listdir("/dev/shm"))


def mapped_devices(pid: int) -> int:
    """Count the mappings of device memory in process *pid*."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return maps.count("memfd:gw-device")


async def start_supervisor(
    *flags: str, folder: Path, mode: str
) -> tuple[asyncio.subprocess.Process, psutil.Process]:
    """Start a supervisor in *folder*, and give it and its device process."""
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable,
        *flags,
        "-m",
        "tests.integration.device.supervisor",
        str(folder),
        mode,
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert supervisor.stdout is not None
    return supervisor, psutil.Process(int(await supervisor.stdout.readline()))


@pytest.mark.parametrize("mode", ["idle", "busy"])
async def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path, mode: str) -> None:
    """SIGKILL of the supervisor ends its device process, even one that hangs, and its memory."""
    before = shared_memory_files()
    supervisor, device = await start_supervisor(folder=tmp_path, mode=mode)
    assert mapped_devices(device.pid) == 1
    assert shared_memory_files() == before

    supervisor.send_signal(signal.SIGKILL)
    await supervisor.wait()

    await wait_until(lambda: not device.is_running(), timeout_s=5)
    assert shared_memory_files() == before
    assert not [p for p in psutil.process_iter(["name"]) if p.pid == device.pid]


async def test_the_working_directory_does_not_replace_the_program(tmp_path: Path) -> None:
    """Where the supervisor ignores packages in its working directory, its device does, too."""
    decoy = tmp_path / "dispatcher"
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise SystemExit('a decoy')")

    supervisor, device = await start_supervisor("-P", folder=tmp_path, mode="idle")

    assert device.is_running()
    supervisor.kill()
    await supervisor.wait()
    await wait_until(lambda: not device.is_running(), timeout_s=5)


async def test_lost_processes_leave_nothing_behind(device: Device) -> None:
    """After some restarts the supervisor has the descriptors, mappings and children of before."""
    process = psutil.Process()
    gc.collect()  # what earlier tests' devices still have is not of this one
    before = process.num_fds(), mapped_devices(process.pid), len(process.children())
    shared = shared_memory_files()

    for _ in range(3):
        with pytest.raises(Exception, match="crashed"):
            await double(device, CRASHES)
        assert await double(device, 1) == [2]

    assert (process.num_fds(), mapped_devices(process.pid), len(process.children())) == before
    assert shared_memory_files() == shared


async def test_a_stopped_device_gives_its_memory_back(device: Device) -> None:
    """Once a device is stopped and nobody holds a view, its mapping and descriptors are gone."""
    process = psutil.Process()
    gc.collect()
    mapped, descriptors = mapped_devices(process.pid), process.num_fds()

    await device.stop()

    # The socket, the memory, and the mapping's own copy of the memory's descriptor.
    assert process.num_fds() == descriptors - 3
    assert mapped_devices(process.pid) == mapped - 1
