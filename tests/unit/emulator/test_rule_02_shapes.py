"""Rule 2: what a call gives has the binding's shape, when it works and when it fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.emulator.programs import Program


def test_rule_02_adding_a_buffer_gives_dataset_and_code(program: Program) -> None:
    """The call gives a pair, which is often mistaken for the code."""
    acl = program.start()
    dataset = acl.mdl.create_dataset()
    buffer = acl.create_data_buffer(0, 0)
    assert acl.mdl.add_dataset_buffer(dataset, buffer) == (dataset, 0)
    desc = acl.create_tensor_desc(0, [1, 4], 2)
    assert acl.mdl.set_dataset_tensor_desc(dataset, desc, 0) == (dataset, 0)
    assert acl.mdl.get_dataset_tensor_desc(dataset, 0) == desc
    assert acl.mdl.destroy_dataset(dataset) == 0
    assert acl.destroy_data_buffer(buffer) == 0


def test_rule_02_single_getters_give_the_bare_value(program: Program) -> None:
    """Sizes, counts, names and types come without a code."""
    acl = program.start()
    loaded = program.load()
    assert acl.mdl.get_num_inputs(loaded.desc) == 1
    assert acl.mdl.get_input_size_by_index(loaded.desc, 0) == 16
    assert acl.mdl.get_input_name_by_index(loaded.desc, 0) == "x"
    assert acl.mdl.get_input_data_type(loaded.desc, 0) == 0
    assert acl.mdl.get_output_name_by_index(loaded.desc, 0) == "Add:0:y"


def test_rule_02_dims_are_a_dictionary_and_a_code(program: Program) -> None:
    """Dims come with name, count and list."""
    acl = program.start()
    loaded = program.load()
    expected = ({"name": "x", "dimCount": 2, "dims": [1, 4]}, 0)
    assert acl.mdl.get_input_dims(loaded.desc, 0) == expected
    assert acl.mdl.get_dynamic_batch(loaded.desc) == ({"batchCount": 0, "batch": []}, 0)


def test_rule_02_failing_getters_give_empty_values(program: Program) -> None:
    """A bad index gives 0, an empty dictionary or an empty name."""
    acl = program.start()
    loaded = program.load()
    assert acl.mdl.get_input_size_by_index(loaded.desc, 7) == 0
    assert acl.mdl.get_output_dims(loaded.desc, 7) == ({}, 100000)
    assert acl.mdl.get_input_name_by_index(loaded.desc, 7) == ""
    assert acl.mdl.get_input_index_by_name(loaded.desc, "nobody")[1] != 0
    assert acl.mdl.get_num_inputs(0) == 0


def test_rule_02_failures_give_zero_handles(board: Any) -> None:
    """A handle that could not be made is 0, never None."""
    acl = board.use()
    assert acl.rt.malloc(64, 0) == (0, 100001)
    assert acl.rt.create_stream() == (0, 100001)
    assert acl.rt.create_context(0) == (0, 100001)
    assert acl.mdl.load_from_file("nowhere.om") == (0, 145001)
    assert acl.mdl.get_aipp_type(1, 0) == (0, 0, 145001)


def test_rule_02_top_level_calls_have_their_shapes(opened: Any) -> None:
    """Versions, counts and texts come as the tables say."""
    assert len(opened.get_version()) == 4
    assert opened.rt.get_device_count() == (1, 0)
    assert opened.rt.get_device() == (0, 0)
    assert opened.get_recent_err_msg() is None
    assert opened.get_cann_attribute_list() == ([], 0, 0)
    assert opened.get_cann_version("nothing of the kind")[1] == 100003
    rates, code = opened.rt.get_device_utilization_rate(0)
    assert code == 0
    assert rates["memory_utilization"] == -1
    assert opened.destroy_tensor_desc(opened.create_tensor_desc(0, [1], 2)) is None
    assert opened.app_log(3, "a line") is None


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(-1, 0), (13, 0), (30, 1), (29, 1), (4, 1), (1, 2), (27, 2), (0, 4), (33, 4), (17, 16)],
)
def test_rule_02_data_type_sizes(acl: Any, dtype: int, size: int) -> None:
    """Sizes of elements are those of the runtime."""
    assert acl.data_type_size(dtype) == size
    assert acl.data_type_size(9) == 8
