"""Rule 14: memory, streams, events, channels and processes are finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.emulator.board import Board, run_script
from tests.unit.emulator.models import doubling_om, write
from tests.unit.emulator.programs import Program

MIB = 1 << 20


def test_rule_14_memory_runs_out(board: Board) -> None:
    """What the system keeps cannot be allocated; freed memory can be again."""
    acl = board.open(memory_mb=100, system_mb=60)
    assert acl.rt.get_mem_info(0) == (40 * MIB, 100 * MIB, 0)
    first, code = acl.rt.malloc(30 * MIB, 2)
    assert code == 0
    assert acl.rt.malloc(11 * MIB, 2) == (0, 207001)
    assert "bytes free" in acl.get_recent_err_msg()
    assert acl.rt.free(first) == 0
    second, code = acl.rt.malloc(11 * MIB, 2)
    assert code == 0
    assert acl.rt.free(second) == 0
    assert acl.rt.get_mem_info(1)[0] == 40 * MIB


def test_rule_14_sizes_are_rounded_up(board: Board) -> None:
    """Each allocation takes a multiple of 32 bytes and 32 more."""
    acl = board.open()
    before = acl.rt.get_mem_info(0)[0]
    address, _ = acl.rt.malloc(33, 2)
    assert before - acl.rt.get_mem_info(0)[0] == 96
    assert acl.rt.free(address) == 0


def test_rule_14_huge_pages_are_few(opened: Any) -> None:
    """HUGE_ONLY fails where HUGE_FIRST still works."""
    held, code = opened.rt.malloc(29 * MIB, 1)
    assert code == 0
    assert opened.rt.get_mem_info(2) == (0, 30 * MIB, 0)
    assert opened.rt.malloc(4 * MIB, 1) == (0, 207001)
    other, code = opened.rt.malloc(4 * MIB, 0)
    assert code == 0
    assert opened.rt.free(held) == opened.rt.free(other) == 0
    assert opened.rt.get_mem_info(2)[0] == 30 * MIB


def test_rule_14_models_take_memory(program: Program) -> None:
    """A model takes its work and weight memory, until it is unloaded."""
    acl = program.start(memory_mb=100, system_mb=60)
    path = write(program.board.folder, doubling_om(work_bytes=25 * MIB, weight_bytes=5 * MIB))
    assert acl.mdl.query_size(path) == (25 * MIB, 5 * MIB, 0)
    number, code = acl.mdl.load_from_file(path)
    assert code == 0
    assert acl.rt.get_mem_info(0)[0] == 10 * MIB
    assert acl.mdl.load_from_file(path) == (0, 207001)
    assert acl.mdl.unload(number) == 0
    assert acl.rt.get_mem_info(0)[0] == 40 * MIB


def test_rule_14_own_work_memory_is_not_counted_twice(program: Program) -> None:
    """A program that brings the memory pays for it once."""
    acl = program.start()
    om = doubling_om(work_bytes=MIB, weight_bytes=MIB)
    path = write(program.board.folder, om)
    work, _ = acl.rt.malloc(MIB, 2)
    weight, _ = acl.rt.malloc(MIB, 2)
    before = acl.rt.get_mem_info(0)[0]
    number, code = acl.mdl.load_from_file_with_mem(path, work, MIB, weight, MIB)
    assert code == 0
    assert acl.rt.get_mem_info(0)[0] == before
    assert acl.mdl.unload(number) == 0
    assert acl.rt.free(work) == acl.rt.free(weight) == 0


def test_rule_14_handles_run_out(board: Board) -> None:
    """Streams, events, contexts and channels have their own codes."""
    acl = board.open(streams=1, events=1, contexts=1, channels=1)
    assert acl.rt.create_stream()[1] == 0
    assert acl.rt.create_stream() == (0, 207008)
    assert acl.rt.create_event()[1] == 0
    assert acl.rt.create_event() == (0, 207007)
    assert acl.rt.create_context(0)[1] == 0
    assert acl.rt.create_context(0) == (0, 207005)
    first, second = acl.media.dvpp_create_channel_desc(), acl.media.dvpp_create_channel_desc()
    assert acl.media.dvpp_create_channel(first) == 0
    assert acl.media.dvpp_create_channel(second) == 207005


def test_rule_14_processes_run_out(tmp_path: Path) -> None:
    """A process too many cannot set the device; an ended one makes room."""
    script = """
        import subprocess, sys
        import acl

        assert acl.init() == 0
        code = acl.rt.set_device(0)
        print(code, flush=True)
        if code == 0:
            if len(sys.argv) == 1:
                subprocess.run([sys.executable, __file__, "child"])
            acl.rt.reset_device(0)
        acl.finalize()
    """
    done = run_script(script, tmp_path, ACL_EMULATOR_PROCESSES="1")
    assert done.stdout.split() == ["0", "207005"], done.stderr
    done = run_script(script, tmp_path, ACL_EMULATOR_PROCESSES="2")
    assert done.stdout.split() == ["0", "0"], done.stderr
