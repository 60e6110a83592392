"""Rule 12: which shape each call gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from omfile.aipp_text import AippConfig
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Program

GEARS: dict[str, Any] = {"out": (4, 4), "dynamic_batch": (1, 2, 4)}


def test_rule_12_dims_and_sizes_of_a_model_with_batch_gears(program: Program) -> None:
    """Inputs show -1, outputs and sizes are those of the largest gear."""
    acl = program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    assert acl.mdl.get_input_dims(loaded.desc, 0)[0]["dims"] == [-1, 4]
    assert acl.mdl.get_output_dims(loaded.desc, 0)[0]["dims"] == [4, 4]
    assert acl.mdl.get_input_size_by_index(loaded.desc, 0) == 64
    assert acl.mdl.get_dynamic_batch(loaded.desc) == ({"batchCount": 3, "batch": [1, 2, 4]}, 0)


def test_rule_12_current_dims_follow_the_gear(program: Program) -> None:
    """get_cur_output_dims gives the gear's shape once a gear was set."""
    acl = program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    assert acl.mdl.get_cur_output_dims(loaded.desc, 0)[0]["dims"] == [4, 4]
    assert loaded.choose_batch(2) == 0
    assert acl.mdl.get_cur_output_dims(loaded.desc, 0)[0]["dims"] == [2, 4]
    assert acl.mdl.get_output_dims(loaded.desc, 0)[0]["dims"] == [4, 4]


def test_rule_12_current_dims_of_a_static_model_are_the_plain_ones(program: Program) -> None:
    """Without gears nothing changes."""
    acl = program.start()
    loaded = program.load()
    assert loaded.execute() == 0
    assert acl.mdl.get_cur_output_dims(loaded.desc, 0)[0]["dims"] == [1, 4]


def test_rule_12_picture_size_gears(program: Program) -> None:
    """Height and width are chosen together, and the output follows after the run."""
    acl = program.start()
    sizes = ((2, 3), (4, 6))
    om = doubling_om((1, 1, -1, -1), out=(1, 1, 4, 6), dynamic_hw=sizes)
    loaded = program.load(om)
    assert acl.mdl.get_dynamic_hw(loaded.desc, -1) == ({"hwCount": 2, "hw": [[2, 3], [4, 6]]}, 0)
    chosen = (loaded.number, loaded.inputs, 1)
    assert acl.mdl.set_dynamic_hw_size(*chosen, 3, 3) == 145013
    assert acl.mdl.set_dynamic_hw_size(*chosen, 2, 3) == 0
    loaded.put(np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3))
    assert loaded.execute() == 0
    assert acl.mdl.get_cur_output_dims(loaded.desc, 0)[0]["dims"] == [1, 1, 2, 3]
    expected = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3) * 2 + 1
    np.testing.assert_array_equal(loaded.get((1, 1, 2, 3)), expected)


def test_rule_12_free_dims_gears(program: Program) -> None:
    """All inputs' dims are given one after another; fixed ones must stay."""
    acl = program.start()
    loaded = program.load(doubling_om((-1, 3, -1), out=(4, 3, 2), dynamic_dims=((4, 2), (2, 1))))
    count, code = acl.mdl.get_input_dynamic_gear_count(loaded.desc, -1)
    assert (count, code) == (2, 0)
    rows, code = acl.mdl.get_input_dynamic_dims(loaded.desc, -1, count)
    assert code == 0
    assert [row["dims"] for row in rows] == [[4, 3, 2], [2, 3, 1]]
    assert acl.mdl.get_input_dynamic_dims(loaded.desc, -1, 5000) == (None, 100000)
    chosen = (loaded.number, loaded.inputs, 1)

    def choose(*dims: int) -> int:
        wanted = {"name": "", "dimCount": len(dims), "dims": list(dims)}
        return int(acl.mdl.set_input_dynamic_dims(*chosen, wanted))

    assert choose(2, 4, 1) == 145012
    assert choose(2, 3) == 145012
    assert choose(3, 3, 1) == 145013
    assert choose(2, 3, 1) == 0
    loaded.put(np.ones((2, 3, 1), np.float32))
    assert loaded.execute() == 0
    assert acl.mdl.get_cur_output_dims(loaded.desc, 0)[0]["dims"] == [2, 3, 1]
    assert (loaded.get((2, 3, 1)) == 3).all()


def test_rule_12_a_built_in_conversion_shows_two_shapes(program: Program) -> None:
    """The model's view is NHWC bytes, the buffer's that of the picture."""
    acl = program.start()
    config = AippConfig(input_format="YUV420SP_U8", src_image_size_w=8, src_image_size_h=4)
    loaded = program.load(doubling_om((1, 3, 4, 8), aipp=(config,)))
    assert acl.mdl.get_input_dims(loaded.desc, 0)[0]["dims"] == [1, 4, 8, 3]
    assert acl.mdl.get_input_dims_v2(loaded.desc, 0)[0]["dims"] == [1, 6, 8, 1]
    assert acl.mdl.get_input_size_by_index(loaded.desc, 0) == 48
    assert acl.mdl.get_input_data_type(loaded.desc, 0) == 4
    assert acl.mdl.get_input_format(loaded.desc, 0) == 1
    assert acl.mdl.get_aipp_type(loaded.number, 0)[0] == 1


def test_rule_12_long_names_are_replaced(program: Program) -> None:
    """A name of more than 127 characters is replaced; the real one can be asked for."""
    acl = program.start()
    loaded = program.load()
    model = program.board.machine.ledger.peek("model", loaded.number, object)
    tensor = model.om.outputs[0]
    object.__setattr__(tensor, "name", "n" * 128)
    name = acl.mdl.get_output_name_by_index(loaded.desc, 0)
    assert name == f"acl_modelId_{loaded.number}_output_0"
    assert acl.mdl.get_tensor_real_name(loaded.desc, name) == "n" * 128
