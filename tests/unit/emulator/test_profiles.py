"""Profiles: a device is played, at its speed and with its memory, without computing."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.models import doubling_om, write
from tests.unit.emulator.programs import Program

GEARS: dict[str, Any] = {"out": (4, 4), "dynamic_batch": (1, 2, 4)}
MIB = 1 << 20


@pytest.mark.parametrize(("batch", "at_least_s"), [(1, 0.06), (4, 0.15)])
def test_a_run_takes_a_fixed_part_and_one_for_each_item(
    program: Program, batch: int, at_least_s: float
) -> None:
    """The time follows from the batch that was chosen."""
    program.start(profiles=[{"model": "*", "fixed_ms": 30, "item_ms": 30}])
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    assert loaded.choose_batch(batch) == 0
    began_s = time.monotonic()
    assert loaded.execute() == 0
    lasted_s = time.monotonic() - began_s
    assert at_least_s <= lasted_s < at_least_s + 0.3


def test_outputs_are_zeros(program: Program) -> None:
    """Nothing is computed, and nothing of the poison is left in the valid part."""
    program.start(profiles=[{"model": "*"}])
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    assert loaded.choose_batch(2) == 0
    assert loaded.execute() == 0
    assert (loaded.get((2, 4)) == 0).all()
    assert (loaded.get((4, 4))[2:] != 0).all()


def test_a_profile_can_compute(program: Program) -> None:
    """Real results at the played device's speed."""
    program.start(profiles=[{"model": "*", "fixed_ms": 50, "compute": True}])
    loaded = program.load()
    loaded.put(np.ones((1, 4), np.float32))
    began_s = time.monotonic()
    assert loaded.execute() == 0
    assert time.monotonic() - began_s >= 0.05
    assert (loaded.get((1, 4)) == 3).all()


def test_the_first_fitting_profile_counts(program: Program) -> None:
    """Patterns are tried in order, on the model's own name and on that of its file."""
    profiles = [
        {"model": "yolo*", "work_mb": 3, "weight_mb": 2},
        {"model": "doubling", "work_mb": 1, "weight_mb": 1},
    ]
    acl = program.start(profiles=profiles)
    taken = []
    for name in ("yolo-s.om", "other.om"):
        path = write(program.board.folder, doubling_om(), name)
        before = acl.rt.get_mem_info(0)[0]
        number, code = acl.mdl.load_from_file(path)
        assert code == 0
        taken.append(before - acl.rt.get_mem_info(0)[0])
        assert acl.mdl.unload(number) == 0
    assert taken == [5 * MIB, 2 * MIB]


def test_time_can_be_scaled(program: Program) -> None:
    """With a scale of 0 an hour takes no time."""
    program.start(profiles=[{"model": "*", "fixed_ms": 3.6e6, "load_ms": 3.6e6}], time_scale=0.0)
    began_s = time.monotonic()
    assert program.load().execute() == 0
    assert time.monotonic() - began_s < 5


def test_a_real_model_can_be_played(program: Program) -> None:
    """An OM without an ONNX graph needs a profile, and runs with one."""
    graph = doubling_om().replace(b"gw_emulated", b"xx_emulated")
    acl = program.start()
    path = write(program.board.folder, graph)
    assert acl.mdl.load_from_file(path) == (0, 500002)
    assert "profile" in acl.get_recent_err_msg()
    program.start(profiles=[{"model": "*"}])
    assert program.load(graph).execute() == 0


def test_queued_runs_follow_each_other_without_gaps(program: Program) -> None:
    """Ten queued runs of 10 ms take 100 ms on the device's own clock."""
    acl = program.start(profiles=[{"model": "*", "fixed_ms": 10}])
    loaded = program.load()
    began_s = time.monotonic()
    for _ in range(10):
        assert loaded.execute_async() == 0
    assert acl.rt.synchronize_stream(program.stream) == 0
    lasted_s = time.monotonic() - began_s
    assert 0.099 <= lasted_s < 0.4
    assert program.board.machine.timeline.busy_s == pytest.approx(0.1)
