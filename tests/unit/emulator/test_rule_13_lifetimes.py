"""Rule 13: addresses of numpy arrays and bytes live as long as these do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import Board, misuse


def test_rule_13_the_address_of_a_temporary_is_a_finding(acl: Any) -> None:
    """bytes_to_ptr(array.tobytes()) leaves a dangling pointer."""
    array = np.zeros(8, np.uint8)
    with pytest.raises(misuse(), match="dangling"):
        acl.util.bytes_to_ptr(array.tobytes())


def test_rule_13_the_address_of_a_temporary_array_is_a_finding(acl: Any) -> None:
    """It is the same with an array that nothing else refers to."""
    with pytest.raises(misuse(), match="dangling"):
        acl.util.numpy_to_ptr(np.zeros(8, np.uint8))


def test_rule_13_named_objects_are_fine(acl: Any) -> None:
    """A name, an attribute, a list or a view of a named array keeps the memory."""
    data = bytes(bytearray(range(8)))
    array = np.arange(8, dtype=np.uint8)
    kept = [bytes(bytearray(range(9)))]
    assert acl.util.ptr_to_bytes(acl.util.bytes_to_ptr(data), 8) == data
    assert acl.util.numpy_to_ptr(array) == array.ctypes.data
    assert acl.util.numpy_to_ptr(array[2:]) == array.ctypes.data + 2
    assert acl.util.bytes_to_ptr(kept[0]) != 0


def test_rule_13_lenient_temporaries_are_only_written_down(board: Board) -> None:
    """Without strictness the address is given, as on hardware."""
    acl = board.use(strict=False)
    array = np.zeros(8, np.uint8)
    address = acl.util.bytes_to_ptr(array.tobytes())
    assert address != 0
    assert len(board.findings) == 1


def test_rule_13_an_array_that_is_not_contiguous_is_a_finding(acl: Any) -> None:
    """Its memory is not its content."""
    array = np.zeros((4, 4), np.uint8)
    turned = array[:, ::2]
    with pytest.raises(misuse(), match="not contiguous"):
        acl.util.numpy_to_ptr(turned)
    address, whole = acl.util.numpy_contiguous_to_ptr(turned)
    assert address == whole.ctypes.data
    assert whole.flags.c_contiguous


def test_rule_13_the_old_calls_warn(acl: Any) -> None:
    """Calls that are to go say so."""
    array = np.zeros(4, np.float32)
    with pytest.warns(Warning, match="numpy_to_ptr will be deprecated"):
        address = acl.util.numpy_to_ptr(array)
    with pytest.warns(Warning, match="ptr_to_numpy will be deprecated"):
        view = acl.util.ptr_to_numpy(address, (4,), 11)
    assert np.shares_memory(view, array)
