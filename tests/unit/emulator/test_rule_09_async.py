"""Rule 9: a stream works in order, later, and tells of errors when it is synchronised."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import misuse
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Program

SLOW = [{"model": "*", "fixed_ms": 200, "compute": True}]


def test_rule_09_results_are_there_after_synchronising(program: Program) -> None:
    """A queued run has its results once the stream is done."""
    acl = program.start()
    loaded = program.load()
    loaded.put(np.array([[1, 2, 3, 4]], np.float32))
    assert loaded.execute_async() == 0
    assert acl.rt.synchronize_stream(program.stream) == 0
    assert loaded.get((1, 4)).tolist() == [[3, 5, 7, 9]]


def test_rule_09_inputs_are_read_when_the_run_begins(program: Program) -> None:
    """A buffer that is reused too early gives the later picture's result."""
    acl = program.start(profiles=SLOW)
    first, second = program.load(), program.load(name="second.om")
    assert first.execute_async() == 0
    second.put(np.full((1, 4), 1, np.float32))
    assert second.execute_async() == 0
    second.put(np.full((1, 4), 5, np.float32))
    assert acl.rt.synchronize_stream(program.stream) == 0
    assert second.get((1, 4)).tolist() == [[11, 11, 11, 11]]


def test_rule_09_work_is_done_in_order(program: Program) -> None:
    """A copy queued behind a run copies its result."""
    acl = program.start(profiles=SLOW)
    loaded = program.load()
    loaded.put(np.zeros((1, 4), np.float32))
    copy, _ = acl.rt.malloc(64, 0)
    assert loaded.execute_async() == 0
    result = loaded.address(loaded.outputs)
    assert acl.rt.memcpy_async(copy, 64, result, 16, 3, program.stream) == 0
    assert acl.rt.stream_query(program.stream) == (1, 0)
    assert acl.rt.synchronize_stream(program.stream) == 0
    assert acl.rt.stream_query(program.stream) == (0, 0)
    assert np.frombuffer(acl.util.ptr_to_bytes(copy, 16), np.float32).tolist() == [1, 1, 1, 1]
    assert acl.rt.free(copy) == 0


def test_rule_09_errors_are_told_when_synchronising(program: Program) -> None:
    """Queueing succeeds; the failure comes later, once."""
    acl = program.start(faults=[{"at": "execute", "code": 507011}])
    loaded = program.load()
    assert loaded.execute_async() == 0
    assert acl.rt.synchronize_stream(program.stream) == 507011
    assert acl.rt.synchronize_stream(program.stream) == 0


def test_rule_09_errors_can_stick(program: Program) -> None:
    """As configured, a failed stream stays failed."""
    fault = {"at": "execute", "code": 507011}
    acl = program.start(faults=[fault], sticky_stream_errors=True)
    loaded = program.load()
    assert loaded.execute_async() == 0
    assert acl.rt.synchronize_stream(program.stream) == 507011
    assert acl.rt.synchronize_stream(program.stream) == 507011


def test_rule_09_a_wait_can_run_out_of_time(program: Program) -> None:
    """The variant with a timeout gives 507046, and the work goes on."""
    acl = program.start(profiles=SLOW)
    assert program.load().execute_async() == 0
    assert acl.rt.synchronize_stream_with_timeout(program.stream, 10) == 507046
    assert acl.rt.synchronize_device_with_timeout(1) == 507046
    assert acl.rt.synchronize_stream_with_timeout(program.stream, -1) == 0
    assert acl.rt.synchronize_stream_with_timeout(program.stream, -2) == 100000
    assert acl.rt.synchronize_device() == 0


def test_rule_09_handles_are_checked_when_queueing(program: Program) -> None:
    """What is wrong with the arguments is told at once."""
    acl = program.start()
    loaded = program.load()
    assert acl.mdl.execute_async(99, loaded.inputs, loaded.outputs, program.stream) == 145003
    assert acl.mdl.execute_async(loaded.number, 0, loaded.outputs, program.stream) == 100000


def test_rule_09_copies_need_aligned_addresses(program: Program) -> None:
    """Asynchronous copies are for addresses that are multiples of 64."""
    acl = program.start()
    a, _ = acl.rt.malloc(128, 0)
    b, _ = acl.rt.malloc(128, 0)
    assert acl.rt.memcpy_async(a + 8, 64, b, 8, 3, program.stream) == 107008
    assert acl.rt.memcpy_async(a, 64, b + 64, 64, 3, program.stream) == 0
    assert acl.rt.synchronize_stream(program.stream) == 0
    assert acl.rt.free(a) == acl.rt.free(b) == 0


def test_rule_09_stream_0_is_the_default_stream(program: Program) -> None:
    """0 stands for a stream of the context that nobody made."""
    acl = program.start()
    loaded = program.load()
    default, code = acl.rt.ctx_get_current_default_stream()
    assert code == 0
    assert default != 0
    assert acl.mdl.execute_async(loaded.number, loaded.inputs, loaded.outputs, 0) == 0
    assert acl.rt.synchronize_stream(0) == 0
    assert acl.rt.synchronize_stream(default) == 0


def test_rule_09_events_mark_places(program: Program) -> None:
    """An event is reached when the work before it is done."""
    acl = program.start(profiles=SLOW)
    loaded = program.load()
    (begin, _), (end, _) = acl.rt.create_event(), acl.rt.create_event()
    assert acl.rt.query_event(end) == (0, 0)
    assert acl.rt.record_event(begin, program.stream) == 0
    assert loaded.execute_async() == 0
    assert acl.rt.record_event(end, program.stream) == 0
    assert acl.rt.query_event(end) == (1, 0)
    assert acl.rt.synchronize_event_with_timeout(end, 1) == 507047
    assert acl.rt.synchronize_event(end) == 0
    elapsed_ms, code = acl.rt.event_elapsed_time(begin, end)
    assert code == 0
    assert elapsed_ms >= 190
    assert acl.rt.destroy_event(begin) == acl.rt.destroy_event(end) == 0


def test_rule_09_a_stream_waits_for_another_s_event(program: Program) -> None:
    """Work behind stream_wait_event begins after the event."""
    acl = program.start(profiles=SLOW)
    loaded = program.load()
    other, _ = acl.rt.create_stream()
    event, _ = acl.rt.create_event()
    copy, _ = acl.rt.malloc(64, 0)
    loaded.put(np.ones((1, 4), np.float32))
    assert loaded.execute_async() == 0
    assert acl.rt.record_event(event, program.stream) == 0
    assert acl.rt.stream_wait_event(other, event) == 0
    assert acl.rt.memcpy_async(copy, 64, loaded.address(loaded.outputs), 16, 3, other) == 0
    assert acl.rt.synchronize_stream(other) == 0
    assert np.frombuffer(acl.util.ptr_to_bytes(copy, 16), np.float32).tolist() == [3, 3, 3, 3]
    assert acl.rt.synchronize_stream(program.stream) == 0
    assert acl.rt.destroy_event(event) == acl.rt.free(copy) == 0
    assert acl.rt.destroy_stream(other) == 0


def test_rule_09_freed_memory_gives_wrong_data(program: Program) -> None:
    """Without strictness a buffer freed too early costs the result, not the process."""
    acl = program.start(strict=False, profiles=SLOW)
    slow, loaded = program.load(), program.load(name="second.om")
    assert slow.execute_async() == 0
    assert loaded.execute_async() == 0
    assert acl.rt.free(loaded.address(loaded.inputs)) == 0
    assert acl.rt.synchronize_stream(program.stream) == 507011
    assert any("was freed" in text for text in program.board.findings)


def test_rule_09_outputs_of_queued_runs_need_memory(program: Program) -> None:
    """Only a synchronous run allocates an output that came as (0, 0)."""
    acl = program.start()
    loaded = program.load()
    buffer = acl.mdl.get_dataset_buffer(loaded.outputs, 0)
    address = acl.get_data_buffer_addr(buffer)
    assert acl.update_data_buffer(buffer, 0, 0) == 0
    assert loaded.execute_async() == 100000
    assert acl.rt.free(address) == 0
    assert loaded.execute() == 0
    assert acl.get_data_buffer_size_v2(buffer) == 16
    assert acl.get_data_buffer_addr(buffer) != 0


def test_rule_09_profiled_runs_of_two_streams_share_the_npu(program: Program) -> None:
    """There is one NPU: two runs of 100 ms take 200 ms in whatever streams they are."""
    acl = program.start(profiles=[{"model": "*", "fixed_ms": 100}])
    first, second = program.load(), program.load(name="second.om")
    other, _ = acl.rt.create_stream()
    (begin, _), (end, _) = acl.rt.create_event(), acl.rt.create_event()
    acl.rt.record_event(begin, program.stream)
    assert first.execute_async() == 0
    assert acl.mdl.execute_async(second.number, second.inputs, second.outputs, other) == 0
    assert acl.rt.synchronize_device() == 0
    acl.rt.record_event(end, other)
    assert acl.rt.synchronize_device() == 0
    assert acl.rt.event_elapsed_time(begin, end)[0] >= 195
    assert acl.rt.destroy_event(begin) == acl.rt.destroy_event(end) == 0
    assert acl.rt.destroy_stream(other) == 0


def test_rule_09_a_thread_can_synchronise_another_s_stream(program: Program) -> None:
    """Any thread in the context can wait for the work."""
    acl = program.start(profiles=SLOW)
    loaded = program.load()
    codes: list[Any] = []

    def wait() -> None:
        codes.append(acl.rt.set_context(program.context))
        codes.append(acl.rt.synchronize_stream(program.stream))

    assert loaded.execute_async() == 0
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert codes == [0, 0]


def test_rule_09_synchronous_runs_may_not_overtake(program: Program) -> None:
    """A synchronous run of a model that is queued is a finding."""
    acl = program.start(profiles=SLOW)
    loaded = program.load(doubling_om())
    assert loaded.execute_async() == 0
    with pytest.raises(misuse(), match="running in a stream"):
        loaded.execute()
    assert acl.rt.synchronize_stream(program.stream) == 0
