"""The emulated board's ``npu-smi info``: a table as real boards print it, or a DCMI error.

Health, temperature and error come from the configuration (``health``, ``temperature_c``,
``dcmi_error``), read anew each time; what runs on the board at the moment is not known to this
process.
"""

from __future__ import annotations

import os
import sys

from acl._configuration import Configuration, read_configuration

_VERSION = "23.0.rc3"
_FIRMWARE = "7.1.0.3.220"
_LEFT, _MIDDLE, _RIGHT = 31, 17, 54
_ERROR_EXIT = 1


def _frame(joint: str, line: str) -> str:
    return joint + joint.join(line * width for width in (_LEFT, _MIDDLE, _RIGHT)) + joint


def _row(left: str, middle: str, right: str) -> str:
    return f"| {left:<{_LEFT - 1}}| {middle:<{_MIDDLE - 1}}| {right:<{_RIGHT - 1}}|"


def _heat(board: Configuration) -> str:
    return f"{board.temperature_c:.0f}"


def table(board: Configuration) -> str:
    """Give the table of ``npu-smi info``."""
    whole = _LEFT + _MIDDLE + _RIGHT + 2
    name = board.soc.removeprefix("Ascend")
    pages = f"0     / {board.huge_pages}"
    power = "0.0" if board.health == "Alarm" else "9.2"
    lines = [
        "+" + "-" * whole + "+",
        f"| {f'npu-smi {_VERSION}':<37}{f'Version: {_VERSION}':<{whole - 38}}|",
        _frame("+", "-"),
        _row("NPU     Name", "Health", "Power(W)     Temp(C)           Hugepages-Usage(page)"),
        _row("Chip    Device", "Bus-Id", "AICore(%)    Memory-Usage(MB)"),
        _frame("+", "="),
        _row(f"0       {name}", board.health, f"{power:<13}{_heat(board):<18}{pages}"),
        _row("0       0", "NA", f"{'0':<13}{board.system_mb} / {board.memory_mb}"),
        _frame("+", "="),
    ]
    return "\n".join(lines)


def _pairs(board: Configuration, topic: str, *, of_chip: bool) -> list[tuple[str, str]] | None:
    """Give the list of *topic*; with *of_chip* the one chip's own, else the whole NPU's."""
    rate = str(round(100 * board.system_mb / board.memory_mb))
    error_code = "NA" if board.health == "OK" else "80E3A203"
    topics: dict[str, list[tuple[str, str]]] = {
        "health": [
            ("Health Status", board.health),
            ("Error Code", error_code),
            ("Error Information", "NA"),
        ],
        "common": [
            ("Memory Usage Rate(%)", rate),
            ("Aicore Usage Rate(%)", "0"),
            ("Temperature(C)", _heat(board)),
            ("Rated Power Dissipation(W)", "NA"),
        ],
        "memory": [
            ("Total Capacity(MB)", str(board.memory_mb)),
            ("Capacity(MB)", str(board.memory_mb)),
            ("Clock Speed(MHz)", "2133"),
        ],
        "board": [
            ("NPU ID", "0"),
            ("Software Version", _VERSION),
            ("Firmware Version", _FIRMWARE),
            ("Chip Count", "1"),
        ],
        "cpu-num-cfg": [
            ("AI CPU number", "1"),
            ("Control CPU number", "3"),
            ("Data CPU number", "0"),
        ],
    }
    if topic == "health" and not of_chip:
        head = [("NPU ID", "0"), ("Chip Count", "1"), ("Chip ID", "0")]
        return [*head, ("Health", board.health)]
    # The rates of "usages" are not to be had on a board: see the end of answer.
    return topics.get(topic)


def answer(board: Configuration, arguments: list[str]) -> tuple[str, int]:
    """Give what is printed, and the exit status."""
    if board.dcmi_error:
        return f"dcmi module initialize failed. ret is {board.dcmi_error}", _ERROR_EXIT
    if arguments == ["info"]:
        return table(board), 0
    if arguments[:2] == ["info", "-t"] and len(arguments) > 2:
        pairs = _pairs(board, arguments[2], of_chip="-c" in arguments)
        if pairs is not None:
            return "\n".join(f"\t{key:<31}: {value}" for key, value in pairs), 0
    return "This device does not support querying " + " ".join(arguments), _ERROR_EXIT


def main() -> int:
    """Print what the arguments ask for."""
    text, status = answer(read_configuration(os.environ), sys.argv[1:])
    sys.stdout.write(text + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
