"""Synthetic OMs read back as they were asked for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from omfile.facts import DTYPE_BITS, Format, PartitionKind, TensorInfo
from omfile.reader import read_om
from omfile.synthetic import Recipe, pack
from tests.unit.omfile.recipes import make_recipe

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
DIMS = st.lists(st.integers(1, 2000), max_size=6).map(tuple)
TENSORS = st.lists(
    st.builds(
        TensorInfo,
        name=WORDS,
        dims=DIMS,
        dtype=st.sampled_from(sorted(DTYPE_BITS)),
        format=st.sampled_from(sorted(Format)),
    ),
    min_size=1,
    max_size=5,
).map(tuple)
RECIPES = st.builds(
    Recipe,
    name=WORDS,
    inputs=TENSORS,
    outputs=TENSORS,
    soc_version=WORDS,
    work_bytes=st.integers(0, 1 << 40),
    weight_bytes=st.integers(1, 1 << 40),
    atc_version=WORDS,
    opp_version=WORDS,
    atc_cmdline=WORDS,
    old_layout=st.booleans(),
    is_unknown_model=st.booleans(),
    table_pad=st.integers(0, (1 << 32) - 1),
    submodels=st.integers(0, 3),
)


@given(RECIPES, st.binary(max_size=200))
@settings(max_examples=150)
def test_what_is_packed_reads_back(recipe: Recipe, graph: bytes) -> None:
    """Names, shapes, types, sizes and versions survive, in either layout."""
    om = read_om(pack(graph, recipe))

    assert om.name == recipe.name
    for read, asked in zip(om.inputs + om.outputs, recipe.inputs + recipe.outputs, strict=True):
        assert (read.name, read.dims, read.dtype, read.format) == (
            asked.name,
            asked.dims,
            asked.dtype,
            asked.format,
        )
    assert om.soc_version == recipe.soc_version
    assert (om.work_bytes, om.weight_bytes) == (recipe.work_bytes, recipe.weight_bytes)
    assert (om.atc_version, om.opp_version) == (recipe.atc_version, recipe.opp_version)
    assert om.atc_cmdline == recipe.atc_cmdline
    assert om.header.has_wide_table is not recipe.old_layout
    assert om.partition(PartitionKind.WEIGHTS) == graph


def test_the_command_line_is_the_one_that_would_build_it() -> None:
    """Without one of its own, a recipe gives the command in ATC's words."""
    recipe = make_recipe(inputs=(TensorInfo(name="x", dims=(-1, 3, 8, 8)),), dynamic_batch=(1, 2))

    assert read_om(pack(b"", recipe)).atc_cmdline == (
        'atc --model=tiny.onnx --framework=5 --output=tiny --input_shape="x:-1,3,8,8" '
        '--soc_version=Ascend310B4 --dynamic_batch_size="1,2"'
    )


def test_a_long_name_is_cut_in_the_header_alone() -> None:
    """The header has room for 31 bytes; the graph keeps the whole name."""
    om = read_om(pack(b"", make_recipe(name="n" * 80)))

    assert om.header.name == "n" * 31
    assert om.name == "n" * 80
