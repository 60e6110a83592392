"""The operator's table of return codes is the one that the code has."""

from __future__ import annotations

import re
from pathlib import Path

from dispatcher.acl_device.codes import CODES

NPU = Path(__file__).parents[2] / "docs" / "npu.md"


def test_the_table_of_codes_is_the_codes() -> None:
    """Every code is listed once, in order, with its meaning, cause and fix."""
    rows = re.findall(
        r"^\| (\d+) \| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$", NPU.read_text("utf-8"), re.MULTILINE
    )

    codes = sorted(CODES.values(), key=lambda code: code.number)
    assert rows == [
        (str(code.number), code.name, str(code.meaning), code.cause, code.fix) for code in codes
    ]
