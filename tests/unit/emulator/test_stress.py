"""Long use leaves nothing behind. The size is a number of runs: see ``main`` for a larger one."""

from __future__ import annotations

import gc
import importlib
import resource
import sys
import tracemalloc
from pathlib import Path
from typing import Any

from tests.unit.emulator.board import EMULATOR, Board
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Program

RUNS = 4_000
GEARS: dict[str, Any] = {"out": (4, 4), "dynamic_batch": (1, 2, 4)}
SETTINGS: dict[str, object] = {"time_scale": 0.0, "profiles": [{"model": "*", "fixed_ms": 5}]}


def mix(program: Program, runs: int, *, reload_every: int = 50) -> None:
    """Run a model *runs* times, one in four through the stream, loading it anew now and then."""
    om = doubling_om((-1, 4), **GEARS)
    acl = program.acl
    done = 0
    while done < runs:
        loaded = program.load(om)
        for turn in range(min(reload_every, runs - done)):
            assert loaded.choose_batch((1, 2, 4)[turn % 3]) == 0
            if turn % 4:
                assert loaded.execute() == 0
            else:
                assert loaded.execute_async() == 0
                assert acl.rt.synchronize_stream(program.stream) == 0
            done += 1
        loaded.close()
        program.loaded.clear()


def test_long_use_leaves_no_handle_and_no_memory(program: Program) -> None:
    """Thousands of runs and loads leave what a few leave: the context and the stream."""
    acl = program.start(**SETTINGS)
    mix(program, 500)
    gc.collect()
    live, free = len(program.board.leaks), acl.rt.get_mem_info(0)[0]
    tracemalloc.start()
    try:
        mix(program, 200)
        gc.collect()
        before_bytes = tracemalloc.get_traced_memory()[0]
        mix(program, RUNS)
        gc.collect()
        grown_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    finally:
        tracemalloc.stop()
    assert len(program.board.leaks) == live
    assert acl.rt.get_mem_info(0)[0] == free
    assert grown_bytes < 600_000


def main(runs: int, folder: Path) -> None:
    """Do the same with *runs* runs, and print what is left."""
    sys.path.insert(0, str(EMULATOR))
    program = Program(Board(importlib.import_module("acl"), folder))
    program.start(**SETTINGS)
    mix(program, runs // 20)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mix(program, runs)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    program.close()
    sys.stdout.write(f"{runs} runs, grown by {grown_kb} kB, live: {program.board.leaks}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
