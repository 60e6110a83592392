"""What is read out of an OM."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from omfile.errors import MalformedOm, TruncatedOm, UnreadableOm
from omfile.facts import AippMode, DataType, Format, Gears, PartitionKind
from omfile.reader import read_om, read_om_file
from tests.unit.omfile.by_hand import header_bytes, wide
from tests.unit.omfile.recipes import GRAPH, VARIETY, make_om


@pytest.mark.parametrize("kind", sorted(VARIETY))
def test_every_kind_of_file_gives_its_graph_back(kind: str) -> None:
    """Whatever the layout, the parts are found where they are."""
    om = read_om(VARIETY[kind])

    assert om.partition(PartitionKind.WEIGHTS) == GRAPH
    assert om.name == "tiny"
    assert om.soc_version == "Ascend310B4"
    assert om.is_emulated
    assert om.visible_inputs[0].name == "images"
    assert [output.name for output in om.outputs] == ["scores"]


@pytest.mark.parametrize("kind", sorted(VARIETY))
def test_a_file_on_disk_reads_as_the_same_bytes_in_memory(kind: str, tmp_path: Path) -> None:
    """Where the bytes come from changes nothing of what they say."""
    path = tmp_path / "model.om"
    path.write_bytes(VARIETY[kind])

    assert read_om_file(path) == read_om(VARIETY[kind])
    assert read_om(memoryview(VARIETY[kind])) == read_om(VARIETY[kind])


def test_a_static_model_says_what_it_takes_and_gives() -> None:
    """Names, dims, types, layouts and sizes are those that the API would give."""
    om = read_om(make_om(work_bytes=123_456, weight_bytes=789))

    (pictures,) = om.inputs
    assert (pictures.dims, pictures.dims_v2) == ((1, 3, 8, 6), (1, 3, 8, 6))
    assert (pictures.dtype, pictures.dtype_name) == (DataType.FLOAT, "float")
    assert (pictures.format, pictures.format_name) == (Format.NCHW, "NCHW")
    assert pictures.size_bytes == 3 * 8 * 6 * 4
    assert om.outputs[0].size_bytes == 40
    assert (om.work_bytes, om.weight_bytes) == (123_456, 789)
    assert (om.host_env_os, om.host_env_cpu) == ("linux", "aarch64")
    assert om.gears == Gears()
    assert not om.gears
    assert om.aipp.mode is AippMode.NONE
    assert not om.is_dynamic_shape
    assert om.size_bytes == len(make_om(work_bytes=123_456, weight_bytes=789))
    assert "--soc_version=Ascend310B4" in om.atc_cmdline


def test_batch_gears_come_with_their_hidden_input() -> None:
    """A model for several batch sizes has a free axis, the largest sizes, and one more input."""
    om = read_om(VARIETY["batch gears"])

    assert om.gears.dynamic_batch == (1, 2, 8)
    assert om.inputs[0].dims == (-1, 3, 8, 6)
    assert om.inputs[0].size_bytes == 8 * 3 * 8 * 6 * 4
    assert [hidden.name for hidden in om.hidden_inputs] == ["ascend_mbatch_shape_data"]
    assert om.hidden_inputs[0].size_bytes == 4
    assert not om.is_dynamic_shape


def test_size_gears_and_dims_gears_are_told_apart() -> None:
    """Picture sizes come as pairs, free dimensions as they are."""
    assert read_om(VARIETY["size gears"]).gears == Gears(dynamic_hw=((8, 6), (16, 12)))
    assert read_om(VARIETY["dims gears"]).gears == Gears(dynamic_dims=((1, 6), (2, 12)))


def test_a_static_pixel_unit_shows_the_real_buffer() -> None:
    """Behind the unit the input is bytes in NHWC, and the settings can be read back."""
    om = read_om(VARIETY["static aipp"])

    assert om.aipp.mode is AippMode.STATIC
    assert om.aipp.evidence == "node of type Aipp"
    assert om.aipp.configs[0].var_reci == (0.25, 0.5, 1.0, 1.0)
    assert om.inputs[0].dims == om.inputs[0].dims_v2 == (1, 8, 6, 3)
    assert om.inputs[0].dtype == DataType.UINT8
    assert om.inputs[0].size_bytes == 8 * 6 * 3


def test_a_dynamic_pixel_unit_is_known_by_its_hidden_input() -> None:
    """The unit's own input has 64 bytes and 96 for each picture."""
    om = read_om(VARIETY["dynamic aipp"])

    assert om.aipp.mode is AippMode.DYNAMIC
    assert [each.name for each in om.hidden_inputs] == ["ascend_dynamic_aipp_data"]
    assert om.hidden_inputs[0].size_bytes == 64 + 96


def test_the_command_line_tells_of_a_pixel_unit_that_left_no_node() -> None:
    """An older file shows it only in the command it was made with."""
    om = read_om(make_om(atc_cmdline="atc --model=m.onnx --insert_op_conf=aipp.cfg"))

    assert (om.aipp.mode, om.aipp.configs) == (AippMode.STATIC, ())
    assert "command line" in om.aipp.evidence


def test_without_the_list_of_inputs_the_graph_tells() -> None:
    """An older file's inputs, outputs and gears come from its graph and its command line."""
    om = read_om(VARIETY["graph alone"])

    assert om.find(PartitionKind.MODEL_INOUT_INFO) is None
    assert [tensor.name for tensor in om.inputs] == ["images", "ascend_mbatch_shape_data"]
    assert om.inputs[0].dims == (-1, 3, 8, 6)
    assert (om.inputs[0].dtype, om.inputs[0].format) == (DataType.FLOAT, Format.NCHW)
    assert om.inputs[0].size_bytes == 4 * 3 * 8 * 6 * 4
    assert om.outputs[0].dims == (1, 10)
    assert om.gears.dynamic_batch == (1, 4)


@pytest.mark.parametrize("kind", ["several models", "shape range"])
def test_a_model_of_free_shapes_is_known_by_its_header(kind: str) -> None:
    """Several models in a file, or the header's mark, make a model of dynamic shape."""
    assert read_om(VARIETY[kind]).is_dynamic_shape


def test_ranges_come_in_pairs() -> None:
    """A shape range is a least and a most for each axis."""
    om = read_om(VARIETY["shape range"])

    assert om.inputs[0].ranges == ((1, 8), (3, 3), (8, 8), (6, 6))
    assert om.inputs[0].size_bytes == 0


def test_further_models_keep_their_own_parts() -> None:
    """The parts of every model in the file are listed with the model they belong to."""
    om = read_om(VARIETY["several models"])

    assert [each.model_index for each in om.partitions] == [0, 0, 0, 1, 2]
    assert b"tiny_2" in om.partition(PartitionKind.MODEL_DEF, model_index=2)
    assert om.header.model_num == 3


def test_a_later_model_does_not_speak_for_the_first() -> None:
    """What the first model does not say is unknown, though a model behind it says it."""
    inner = read_om(make_om()).partition(PartitionKind.MODEL_DEF)
    payload = wide((8, b"")) + wide((0, inner))

    om = read_om(header_bytes(model_length=len(payload), model_num=2) + payload)

    assert (om.name, om.soc_version) == ("byhand", "")


def test_a_file_that_describes_nothing_is_malformed() -> None:
    """Without a graph and a list of inputs there is nothing to run."""
    payload = wide((1, b"weights"))

    with pytest.raises(MalformedOm, match="neither its inputs nor its graph"):
        read_om(header_bytes(model_length=len(payload)) + payload)


def test_a_part_that_is_not_there_is_refused() -> None:
    """Asking for kernels of a file without any says so."""
    with pytest.raises(MalformedOm, match="no part TBE_KERNELS"):
        read_om(make_om()).partition(PartitionKind.TBE_KERNELS)


def test_what_was_read_from_disk_crosses_to_a_process(tmp_path: Path) -> None:
    """A copy made by pickling reads parts like the original."""
    path = tmp_path / "model.om"
    path.write_bytes(make_om())

    copy = pickle.loads(pickle.dumps(read_om_file(path)))

    assert copy.partition(PartitionKind.WEIGHTS) == GRAPH


def test_a_file_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    """A wrong path is told from a wrong file."""
    with pytest.raises(UnreadableOm, match="cannot be read"):
        read_om_file(tmp_path / "absent.om")
    with pytest.raises(UnreadableOm, match="not a regular file"):
        read_om_file(tmp_path)


def test_a_file_cut_after_it_was_read_is_truncated(tmp_path: Path) -> None:
    """A part that has gone since is missed when it is asked for."""
    path = tmp_path / "model.om"
    path.write_bytes(make_om())
    om = read_om_file(path)
    path.write_bytes(make_om()[:-10])

    with pytest.raises(TruncatedOm, match="copy it again"):
        om.partition(PartitionKind.WEIGHTS)
