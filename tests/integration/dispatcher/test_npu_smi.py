"""Running npu-smi: the emulated one, and ones that hang, flood, fail or are not there."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from dispatcher.npu_smi.errors import NpuSmiError, NpuSmiRefused, NpuSmiUnreadable
from dispatcher.npu_smi.facts import NpuHealth
from dispatcher.npu_smi.tool import NpuSmi, find_tool
from tests.builders_om import EMULATOR
from tests.waiting import wait_until

BIN = EMULATOR / "bin"


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let the emulated tool run with this interpreter; give what sets its board."""
    monkeypatch.setenv("ACL_EMULATOR_PYTHON", sys.executable)
    return monkeypatch


def script(folder: Path, text: str) -> NpuSmi:
    """Give a tool that does *text*."""
    program = folder / "npu-smi"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return NpuSmi(str(program), timeout_s=0.5)


async def test_the_emulated_board_is_read(board: pytest.MonkeyPatch) -> None:
    """Table, health and versions of the tool that the emulator has."""
    board.setenv("ACL_EMULATOR_HEALTH", "Alarm")
    board.setenv("ACL_EMULATOR_TEMPERATURE_C", "71")
    program = find_tool(f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert program is not None
    tool = NpuSmi(program)

    read = await tool.board()
    (chip,) = read.chips
    health = await tool.health(chip.npu_id, chip.chip_id)
    versions = await tool.versions(chip.npu_id)

    assert (chip.soc, chip.health, chip.temperature_c) == ("310B4", NpuHealth.ALARM, 71)
    assert (chip.power_w, chip.memory_used_mb, chip.memory_total_mb) == (0.0, 1500, 7545)
    assert (health.health, health.error_codes) == (NpuHealth.ALARM, "80E3A203")
    assert read.driver_version == versions.software == "23.0.rc3"
    assert versions.firmware == "7.1.0.3.220"


@pytest.mark.parametrize("code", [-8005, -8020])
async def test_an_error_of_the_driver_is_told(board: pytest.MonkeyPatch, code: int) -> None:
    """The emulated tool's refusal comes with its code."""
    board.setenv("ACL_EMULATOR_DCMI_ERROR", str(code))

    with pytest.raises(NpuSmiRefused) as refused:
        await NpuSmi(str(BIN / "npu-smi")).board()
    assert refused.value.number == code


def test_a_tool_that_is_absent_is_no_error(tmp_path: Path) -> None:
    """It is searched for, and is not there."""
    assert find_tool(str(tmp_path)) is None


async def test_a_tool_that_vanishes_is_told(tmp_path: Path) -> None:
    """Between the search and the start it may go."""
    with pytest.raises(NpuSmiError, match="cannot be started: No such file"):
        await NpuSmi(str(tmp_path / "gone")).board()


async def test_a_tool_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """After its time it is given up, and no process of it is left."""
    tool = script(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait")
    started_s = time.monotonic()

    with pytest.raises(NpuSmiError, match=r"did not end within 0\.5 s"):
        await tool.board()

    assert time.monotonic() - started_s < 5
    pid = int((tmp_path / "pid").read_text())

    def is_gone() -> bool:
        if not psutil.pid_exists(pid):
            return True
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    await wait_until(is_gone)


async def test_a_tool_that_floods_is_cut_off(tmp_path: Path) -> None:
    """It is stopped long before it fills memory."""
    with pytest.raises(NpuSmiError, match="more than 65536 bytes"):
        await script(tmp_path, "exec yes '| a | b |'").board()


async def test_a_tool_that_says_nothing_is_told_with_its_status(tmp_path: Path) -> None:
    """A crash of the tool is unreadable, and names the exit status."""
    with pytest.raises(NpuSmiUnreadable, match=r"npu-smi info exited with 7"):
        await script(tmp_path, "exit 7").board()


async def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    """Arguments reach the tool one by one, as they are."""
    tool = script(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/arguments; exit 1')

    with pytest.raises(NpuSmiError):
        await tool.health(0, 0)

    arguments = (tmp_path / "arguments").read_text().split()
    assert " ".join(arguments) == "info -t health -i 0 -c 0"
