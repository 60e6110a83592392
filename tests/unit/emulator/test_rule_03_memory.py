"""Rule 3: memory is real, aligned, poisoned and guarded."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import Board, misuse, part
from tests.unit.emulator.programs import Program, memory_at


@pytest.mark.parametrize("size", [1, 31, 64, 1000, 3 << 20])
def test_rule_03_addresses_are_aligned_and_usable(opened: Any, size: int) -> None:
    """Memory lies on 64 bytes and can be written and read as C memory."""
    address, code = opened.rt.malloc(size, 0)
    assert code == 0
    assert address % 64 == 0
    ctypes.memset(address, 7, size)
    assert opened.util.ptr_to_bytes(address, size) == b"\x07" * size
    assert opened.rt.free(address) == 0


def test_rule_03_new_memory_is_poisoned(opened: Any) -> None:
    """Hardware does not clear memory, so nobody may rely on zeros."""
    address, _ = opened.rt.malloc(256, 0)
    assert memory_at(address, 256) == bytes([part("memory").POISON]) * 256
    assert opened.rt.free(address) == 0


def test_rule_03_numpy_sees_the_same_bytes(opened: Any) -> None:
    """ptr_to_numpy gives a view that owns nothing."""
    address, _ = opened.rt.malloc(16, 0)
    view = opened.util.ptr_to_numpy(address, (2, 2), 11)
    view[:] = [[1, 2], [3, 4]]
    assert np.frombuffer(memory_at(address, 16), np.float32).tolist() == [1, 2, 3, 4]
    assert opened.rt.free(address) == 0


@pytest.mark.parametrize(("offset", "where"), [(100, "past the end"), (-1, "before the start")])
def test_rule_03_writing_outside_is_found_when_freeing(
    opened: Any, board: Board, offset: int, where: str
) -> None:
    """One byte outside of a block is a finding that names the place."""
    address, _ = opened.rt.malloc(100, 0)
    ctypes.memset(address + offset, 1, 1)
    with pytest.raises(misuse(), match=where):
        opened.rt.free(address)
    assert opened.rt.free(address) == 0


def test_rule_03_writing_outside_is_found_when_executing(program: Program) -> None:
    """A run looks at the guards of its buffers."""
    program.start()
    loaded = program.load()
    ctypes.memset(loaded.address(loaded.inputs) + 16, 1, 1)
    with pytest.raises(misuse(), match="past the end"):
        loaded.execute()


def test_rule_03_copies_write_into_bytes(opened: Any) -> None:
    """The usual way to read an output: copy into a bytes object's memory."""
    address, _ = opened.rt.malloc(8, 0)
    ctypes.memmove(address, b"12345678", 8)
    target = bytes(bytearray(8))
    pointer = opened.util.bytes_to_ptr(target)
    assert opened.rt.memcpy(pointer, 8, address, 8, 3) == 0
    assert target == b"12345678"
    assert opened.rt.free(address) == 0


def test_rule_03_copies_beyond_a_block_are_findings(opened: Any) -> None:
    """A copy that a call's own sizes allow, but the memory does not, is refused."""
    address, _ = opened.rt.malloc(64, 0)
    source = np.zeros(128, np.uint8)
    with pytest.raises(misuse(), match="64 bytes past the end"):
        opened.rt.memcpy(address, 128, source.ctypes.data, 128, 3)
    assert opened.rt.free(address) == 0


def test_rule_03_addresses_that_are_no_memory_are_findings(opened: Any) -> None:
    """An address nobody gave out is refused instead of crashing the process."""
    address, _ = opened.rt.malloc(64, 0)
    with pytest.raises(misuse(), match="no memory"):
        opened.rt.memcpy(address, 64, 64, 64, 3)
    assert opened.rt.free(address) == 0


def test_rule_03_memset_fills(opened: Any) -> None:
    """Memset writes the value, and nothing for a count of 0."""
    address, _ = opened.rt.malloc(8, 0)
    assert opened.rt.memset(address, 8, 0, 8) == 0
    assert opened.rt.memset(address, 8, 9, 0) == 0
    assert memory_at(address, 8) == bytes(8)
    assert opened.rt.memset(0, 8, 0, 8) == 100000
    assert opened.rt.memset(address, 8, 0, 9) == 107000
    assert opened.rt.free(address) == 0
