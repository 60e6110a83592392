"""What ATC's command line tells."""

from __future__ import annotations

import pytest

from omfile.command_line import gears, option
from omfile.facts import Gears


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("atc --out=m --soc_version=Ascend310B4 --log=error", "Ascend310B4"),
        ("atc --soc_version Ascend310B4", "Ascend310B4"),
        ('atc --soc_version="Ascend310B4"', "Ascend310B4"),
        ("atc --soc_version='Ascend310B4'", "Ascend310B4"),
        ("atc --other_soc_version=1", ""),
        ("atc", ""),
    ],
)
def test_an_option_is_found_however_it_is_written(line: str, value: str) -> None:
    """With an equals sign or a blank, quoted or not."""
    assert option(line, "soc_version") == value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('--dynamic_batch_size="1,2, 8"', Gears(dynamic_batch=(1, 2, 8))),
        ("--dynamic_image_size=416,416;832,640", Gears(dynamic_hw=((416, 416), (832, 640)))),
        ('--dynamic_dims="1;2;4"', Gears(dynamic_dims=((1,), (2,), (4,)))),
        ("--dynamic_batch_size=1,two", Gears()),
        ("--dynamic_batch_size=" + "9" * 400, Gears()),
        ("--dynamic_dims=1,,2", Gears()),
        ("", Gears()),
    ],
)
def test_gears_are_read_or_left_out(line: str, expected: Gears) -> None:
    """A value that is not numbers gives no gears rather than wrong ones."""
    assert gears(f"atc --framework=5 {line}") == expected
