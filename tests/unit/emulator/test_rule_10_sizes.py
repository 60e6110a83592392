"""Rule 10: sizes of buffers, and what is left in the unused part of an output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import misuse, part
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Loaded, Program

GEARS: dict[str, Any] = {"out": (4, 4), "dynamic_batch": (1, 2, 4)}


def _resize(program: Program, loaded: Loaded, size: int, side: str = "inputs") -> None:
    acl = program.acl
    buffer = acl.mdl.get_dataset_buffer(getattr(loaded, side), 0)
    assert acl.rt.free(acl.get_data_buffer_addr(buffer)) == 0
    address, _ = acl.rt.malloc(size, 0)
    assert acl.update_data_buffer(buffer, address, size) == 0


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize(("size", "code"), [(335, 145000), (336, 0), (400, 0), (4000, 0)])
def test_rule_10_a_static_model_tolerates_64_bytes(
    program: Program, side: str, size: int, code: int
) -> None:
    """The model needs 400 bytes: up to 64 may be missing, and any number too many."""
    program.start()
    loaded = program.load(doubling_om((1, 100)))
    _resize(program, loaded, size, side)
    assert loaded.execute() == code


def test_rule_10_gears_are_not_checked_below_the_largest(program: Program) -> None:
    """A buffer for two items runs a gear of two, and no larger one."""
    program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    _resize(program, loaded, 32)
    assert loaded.choose_batch(2) == 0
    assert loaded.execute() == 0
    assert loaded.choose_batch(4) == 0
    with pytest.raises(misuse(), match="32 bytes where 64 are used"):
        loaded.execute()


def test_rule_10_the_rest_of_an_output_is_poisoned(program: Program) -> None:
    """What a smaller gear did not write cannot be taken for results."""
    program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    loaded.put(np.zeros((4, 4), np.float32))
    assert loaded.choose_batch(4) == 0
    assert loaded.execute() == 0
    assert (loaded.get((4, 4)) == 1).all()
    assert loaded.choose_batch(1) == 0
    assert loaded.execute() == 0
    raw = loaded.get((64,), np.uint8)
    assert raw[:16].tobytes() == np.ones(4, np.float32).tobytes()
    assert (raw[16:] == part("memory").POISON).all()


def test_rule_10_empty_buffers_are_refused(program: Program) -> None:
    """An input without memory is 100000."""
    acl = program.start()
    loaded = program.load()
    buffer = acl.mdl.get_dataset_buffer(loaded.inputs, 0)
    address = acl.get_data_buffer_addr(buffer)
    assert acl.update_data_buffer(buffer, 0, 16) == 0
    assert loaded.execute() == 100000
    assert acl.update_data_buffer(buffer, address, 16) == 0


def test_rule_10_the_old_size_getter_cuts_to_32_bits(program: Program) -> None:
    """get_data_buffer_size loses the upper half, the second version does not."""
    acl = program.start()
    size = (5 << 32) + 7
    buffer = acl.create_data_buffer(64, size)
    assert acl.get_data_buffer_size(buffer) == 7
    assert acl.get_data_buffer_size_v2(buffer) == size
    assert acl.destroy_data_buffer(buffer) == 0
