"""Rule 16: on the device itself there is one memory, behind PCIe there are two."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.emulator.board import Board, misuse
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Program, memory_at


@pytest.mark.parametrize("mode", [0, 1])
def test_rule_16_the_mode_is_known_before_init(board: Board, mode: int) -> None:
    """get_run_mode needs no init."""
    assert board.use(run_mode=mode).rt.get_run_mode() == (mode, 0)


@pytest.mark.parametrize("mode", [0, 1])
def test_rule_16_a_model_runs_in_both_modes(program: Program, mode: int) -> None:
    """With the right copy kinds the results are the same."""
    program.start(run_mode=mode)
    loaded = program.load()
    loaded.put(np.array([[1, 2, 3, 4]], np.float32))
    assert loaded.execute() == 0
    assert loaded.get((1, 4)).tolist() == [[3, 5, 7, 9]]


@pytest.mark.parametrize(
    ("kind", "fits"), [(0, None), (1, "hd"), (2, "dh"), (3, "dd"), (4, "any"), (5, "hd")]
)
def test_rule_16_copy_kinds_must_fit_the_memories(
    board: Board, kind: int, fits: str | None
) -> None:
    """In host mode a copy in another direction than it says is 107000."""
    acl = board.open(run_mode=1)
    device, _ = acl.rt.malloc(64, 0)
    other, _ = acl.rt.malloc(64, 0)
    host, _ = acl.rt.malloc_host(64)
    copies = {"hd": (device, host), "dh": (host, device), "dd": (device, other)}
    for direction, (target, source) in copies.items():
        expected = 0 if fits in {direction, "any"} else 107000
        assert acl.rt.memcpy(target, 64, source, 64, kind) == expected
    assert acl.rt.free(device) == acl.rt.free(other) == acl.rt.free_host(host) == 0


def test_rule_16_host_to_host_copies_cannot_be_queued(program: Program) -> None:
    """In host mode that is 207000."""
    acl = program.start(run_mode=1)
    a, _ = acl.rt.malloc_host(64)
    b, _ = acl.rt.malloc_host(64)
    assert acl.rt.memcpy_async(a, 64, b, 64, 0, program.stream) == 207000
    assert acl.rt.free_host(a) == acl.rt.free_host(b) == 0


def test_rule_16_device_memory_cannot_be_touched_from_the_host(board: Board) -> None:
    """Numpy and bytes on a device address are findings in host mode."""
    acl = board.open(run_mode=1)
    address, _ = acl.rt.malloc(64, 0)
    with pytest.raises(misuse(), match="is device memory"):
        acl.util.ptr_to_numpy(address, (64,), 2)
    with pytest.raises(misuse(), match="is device memory"):
        acl.util.ptr_to_bytes(address, 64)
    assert acl.rt.free(address) == 0


def test_rule_16_lenient_access_to_device_memory_still_fails(board: Board) -> None:
    """Without strictness it is a MemoryError, where hardware ends the process."""
    acl = board.open(run_mode=1, strict=False)
    address, _ = acl.rt.malloc(64, 0)
    with pytest.raises(MemoryError):
        acl.util.ptr_to_bytes(address, 64)


@pytest.mark.parametrize("mode", [0, 1])
def test_rule_16_a_model_takes_device_memory_only(program: Program, mode: int) -> None:
    """The address of an array is no input for a model, in either mode."""
    acl = program.start(run_mode=mode)
    loaded = program.load()
    array = np.zeros((1, 4), np.float32)
    buffer = acl.mdl.get_dataset_buffer(loaded.inputs, 0)
    assert acl.update_data_buffer(buffer, array.ctypes.data, 16) == 0
    with pytest.raises(misuse(), match="host memory"):
        loaded.execute()


def test_rule_16_host_memory_is_the_device_s_on_the_device(program: Program) -> None:
    """In device mode malloc_host gives memory that a model takes, and that counts."""
    acl = program.start(run_mode=0)
    loaded = program.load()
    before = acl.rt.get_mem_info(0)[0]
    host, _ = acl.rt.malloc_host(16)
    assert acl.rt.get_mem_info(0)[0] < before
    buffer = acl.mdl.get_dataset_buffer(loaded.inputs, 0)
    own = acl.get_data_buffer_addr(buffer)
    assert acl.update_data_buffer(buffer, host, 16) == 0
    assert loaded.execute() == 0
    assert acl.update_data_buffer(buffer, own, 16) == 0
    assert memory_at(host, 16)
    assert acl.rt.free_host(host) == 0


def test_rule_16_other_directions_are_accepted_on_the_device(
    program: Program, capfd: pytest.CaptureFixture[str]
) -> None:
    """In device mode host-to-device and back work, with a word about it."""
    acl = program.start(run_mode=0)
    address, _ = acl.rt.malloc(64, 0)
    array = np.full(64, 7, np.uint8)
    assert acl.rt.memcpy(address, 64, array.ctypes.data, 64, 1) == 0
    assert memory_at(address, 64) == b"\x07" * 64
    assert "device to device" in capfd.readouterr().err
    assert acl.rt.free(address) == 0


@pytest.mark.parametrize("mode", [0, 1])
def test_rule_16_a_model_is_loaded_from_the_mode_s_memory(program: Program, mode: int) -> None:
    """load_from_mem takes device memory on the device, host memory behind PCIe."""
    acl = program.start(run_mode=mode)
    om = doubling_om()
    pointer = acl.util.bytes_to_ptr(om)
    address, _ = acl.rt.malloc(len(om), 0)
    assert acl.rt.memcpy(address, len(om), pointer, len(om), program.kind_in) == 0
    right, wrong = (address, pointer) if mode == 0 else (pointer, address)
    number, code = acl.mdl.load_from_mem(right, len(om))
    assert code == 0
    assert acl.mdl.unload(number) == 0
    with pytest.raises(misuse(), match="must lie in"):
        acl.mdl.load_from_mem(wrong, len(om))
    assert acl.rt.free(address) == 0
