"""The pixel unit's configuration file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omfile.aipp_text import PIXEL_BYTES, AippConfig, read_aipp_text
from omfile.errors import InvalidAipp

REAL = """
# A camera's NV12 to RGB, full range.
aipp_op {
    related_input_rank: 0
    aipp_mode: static
    input_format: YUV420SP_U8
    src_image_size_w: 640
    src_image_size_h: 480
    csc_switch: true
    rbuv_swap_switch: false
    matrix_r0c0: 256   matrix_r0c1: 0    matrix_r0c2: 359
    matrix_r1c0: 256   matrix_r1c1: -88  matrix_r1c2: -183
    matrix_r2c0: 256   matrix_r2c1: 454  matrix_r2c2: 0
    input_bias_0: 0 input_bias_1: 128 input_bias_2: 128
    mean_chn_0: 124
    var_reci_chn_0: 0.0039216
}
"""


def test_a_file_as_people_write_it_is_read() -> None:
    """Comments, several keys in a line, negative numbers and fractions are understood."""
    (config,) = read_aipp_text(REAL)

    assert config.input_format == "YUV420SP_U8"
    assert (config.src_image_size_w, config.src_image_size_h) == (640, 480)
    assert config.csc_switch
    assert not config.rbuv_swap_switch
    assert config.matrix == (256, 0, 359, 256, -88, -183, 256, 454, 0)
    assert config.input_bias == (0, 128, 128)
    assert config.mean == (124, 0, 0, 0)
    assert config.var_reci == (0.0039216, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("pixel_format", "dims"),
    [
        ("YUV420SP_U8", (2, 720, 640, 1)),
        ("RGB888_U8", (2, 480, 640, 3)),
        ("XRGB8888_U8", (2, 480, 640, 4)),
        ("YUV400_U8", (2, 480, 640, 1)),
    ],
)
def test_the_buffer_has_the_shape_of_the_pixel_format(
    pixel_format: str, dims: tuple[int, ...]
) -> None:
    """Each format has its own rows and bytes; without a source size it is the model's."""
    assert AippConfig(input_format=pixel_format).buffer_dims(2, 480, 640) == dims
    numerator, denominator = PIXEL_BYTES[pixel_format]
    assert dims[1] * dims[3] * denominator == 480 * numerator


@given(
    st.builds(
        AippConfig,
        input_format=st.sampled_from(sorted(PIXEL_BYTES)),
        related_input_rank=st.integers(0, 9),
        src_image_size_w=st.integers(1, 2048).map(lambda n: 2 * n),
        src_image_size_h=st.integers(1, 2048).map(lambda n: 2 * n),
        padding=st.booleans(),
        left_padding_size=st.integers(0, 32),
        padding_value=st.floats(0, 255),
        rbuv_swap_switch=st.booleans(),
        csc_switch=st.booleans(),
        matrix=st.tuples(*[st.integers(-32768, 32767)] * 9).filter(any),
        mean=st.tuples(*[st.integers(0, 255)] * 4),
        min=st.tuples(*[st.floats(0, 255)] * 4),
        var_reci=st.tuples(*[st.floats(1e-6, 1.0)] * 4),
    )
)
def test_what_is_written_reads_back(config: AippConfig) -> None:
    """The text of a configuration gives the same configuration, alone or among others."""
    assert read_aipp_text(config.to_text()) == (config,)
    assert read_aipp_text(config.to_text() * 2) == (config, config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no aipp_op"),
        ("resize: true", 'has "resize" outside'),
        ("aipp_op", "without braces"),
        ("aipp_op { input_format: RGB888_U8", "ends inside"),
        ("aipp_op { input_format }", 'no value after "input_format"'),
        ("aipp_op { input_format: RGB24 }", "input_format must be one of"),
        ("aipp_op { aipp_mode: static }", "input_format must be one of"),
        ("aipp_op { aipp_mode: dynamic }", "max_src_image_size must be"),
        ("aipp_op { aipp_mode: node }", "aipp_mode must be"),
        ("aipp_op { input_format: RGB888_U8 resize: true }", 'the key "resize"'),
        ("aipp_op { crop: maybe }", "crop must be true or false"),
        ("aipp_op { mean_chn_0: 1.5 }", "give a whole number"),
        ("aipp_op { var_reci_chn_0: x }", "give a number"),
        ("aipp_op { crop: true crop: true }", 'gives "crop" twice'),
        ("aipp_op { input_format: RGB888_U8 mean_chn_0: 256 }", "mean_chn_"),
        ("aipp_op { input_format: RGB888_U8 csc_switch: true }", "given with csc_switch"),
        ("aipp_op { input_format: RGB888_U8 left_padding_size: 33 }", "left_padding_size must be"),
        ("aipp_op { input_format: RGB888_U8 crop: true }", "set with crop or padding"),
        ("aipp_op { input_format: YUV420SP_U8 src_image_size_w: 639 }", "even for YUV420SP_U8"),
        ("aipp_op { input_format: RGB888_U8 src_image_size_w: 5000 }", "0 or 2..4096"),
        ("#" * 70_000, "shorten it"),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(text: str, said: str) -> None:
    """The sentence names what is wrong in the words of the file."""
    with pytest.raises(InvalidAipp, match=said):
        read_aipp_text(text)


@given(st.text(alphabet="aipp_op {}:#\n mean_chn_0truefalse-.9", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but InvalidAipp comes out."""
    try:
        configs = read_aipp_text(text)
    except InvalidAipp:
        return
    assert configs
