"""Rule 11: inputs that ATC added must be filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import misuse
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Program

GEARS: dict[str, Any] = {"out": (4, 4), "dynamic_batch": (1, 2, 4)}


def test_rule_11_a_model_with_gears_lists_its_hidden_input(program: Program) -> None:
    """The gear goes into an input of its own, behind the visible ones."""
    acl = program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    assert acl.mdl.get_num_inputs(loaded.desc) == 2
    assert acl.mdl.get_input_name_by_index(loaded.desc, 1) == "ascend_mbatch_shape_data"


def test_rule_11_execute_without_a_gear_is_a_finding(program: Program) -> None:
    """A run whose gear was never set is refused in strict mode."""
    program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    with pytest.raises(misuse(), match="ascend_mbatch_shape_data"):
        loaded.execute()


def test_rule_11_lenient_execute_without_a_gear_runs_the_largest(program: Program) -> None:
    """Without strictness the largest gear runs, as ATC's documents say."""
    program.start(strict=False)
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    loaded.put(np.ones((4, 4), np.float32))
    assert loaded.execute() == 0
    np.testing.assert_array_equal(loaded.get((4, 4)), np.full((4, 4), 3, np.float32))


def test_rule_11_the_gear_decides_how_much_is_computed(program: Program) -> None:
    """Two items of four give two results."""
    program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    loaded.put(np.arange(8, dtype=np.float32).reshape(2, 4))
    assert loaded.choose_batch(2) == 0
    assert loaded.execute() == 0
    expected = np.arange(8, dtype=np.float32).reshape(2, 4) * 2 + 1
    np.testing.assert_array_equal(loaded.get((2, 4)), expected)


def test_rule_11_new_memory_behind_the_hidden_input_must_be_filled_again(
    program: Program,
) -> None:
    """A gear that was written elsewhere does not count."""
    acl = program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    assert loaded.choose_batch(2) == 0
    other, _ = acl.rt.malloc(4, 0)
    buffer = acl.mdl.get_dataset_buffer(loaded.inputs, 1)
    assert acl.update_data_buffer(buffer, other, 4) == 0
    with pytest.raises(misuse(), match="was not filled"):
        loaded.execute()
