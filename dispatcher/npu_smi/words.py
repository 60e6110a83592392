"""The small parts of npu-smi's forms: numbers, health words, refusals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dispatcher.npu_smi.errors import NpuSmiRefused, NpuSmiUnreadable
from dispatcher.npu_smi.facts import NpuHealth

#: The tool prints a few kB at most.
LONGEST_TEXT = 65_536

_NOT_TOLD = frozenset({"NA", "N/A", "-", "--", ""})
_HEALTH = {health.value.upper(): health for health in NpuHealth}
#: What a refusal is known by, where there is no code. In lower case.
_REFUSALS = ("does not support", "failed", "no permission", "not permitted", "error")
_LONGEST_REFUSAL = 160


def lines_of(text: str) -> list[str]:
    """Cut *text* into lines without their margins; raises NpuSmiUnreadable if it is too long."""
    if len(text) > LONGEST_TEXT:
        raise NpuSmiUnreadable(f"npu-smi printed more than {LONGEST_TEXT} characters")
    return [line.strip() for line in text.splitlines()]


def number(text: str) -> float | None:
    """Read a number; None for what is not told, or is no number of this world."""
    if text in _NOT_TOLD or not text.isascii() or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole(text: str) -> int | None:
    """Read a whole number that is not negative, such as an id; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def health(text: str) -> NpuHealth | None:
    """Read a health word; None for one that is not told or not known."""
    return _HEALTH.get(text.upper())


def refusal(lines: Sequence[str]) -> NpuSmiRefused | None:
    """Give the refusal among *lines*, if there is one: a code of DCMI's, or words that refuse."""
    for line in lines:
        code = _dcmi_code(line)
        if code or any(word in line.lower() for word in _REFUSALS):
            return NpuSmiRefused(line[:_LONGEST_REFUSAL], number=code)
    return None


def _dcmi_code(line: str) -> int:
    """Give the code in *line*, 0 for none: -8000 to -8999, however it is set off."""
    for word in line.replace("=", " ").replace(":", " ").replace(",", " ").split():
        digits = word.strip(".()[]").removeprefix("-")
        if word.lstrip("([").startswith("-") and len(digits) == 4 and digits.startswith("8"):
            value = whole(digits)
            if value is not None:
                return -value
    return 0
