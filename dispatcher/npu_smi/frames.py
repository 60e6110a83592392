"""Reads the frame of ``npu-smi info``.

A frame is read by its own headings, not by widths: each chip has two rows, whose cells hold one
value for each word of the heading above, and two with a slash between for a heading that says
"Usage". So frames of any width, with columns of other chips, and with glued slashes read alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from dispatcher.npu_smi.errors import NpuSmiUnreadable
from dispatcher.npu_smi.facts import BoardFacts, ChipFacts, NpuProcess
from dispatcher.npu_smi.words import health, lines_of, number, refusal, whole

_CHIPS_MAX = 64
_PROCESSES_MAX = 1024

#: The beginning of a heading -> what its column is.
_POWER, _TEMPERATURE, _HUGEPAGES = "power", "temp", "hugepages-usage"
_AI_CORE, _MEMORY = "aicore", "memory-usage"

Values = dict[str, tuple[float | None, float | None]]


@dataclass(slots=True)
class _Frame:
    """What was read so far. *headings* are the column words of a chip's two rows."""

    tool_version: str = ""
    driver_version: str = ""
    headings: list[list[str]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    process_rows: list[list[str]] = field(default_factory=list)
    in_processes: bool = False


def read_board(text: str) -> BoardFacts:
    """Read what ``npu-smi info`` printed; raises NpuSmiRefused or NpuSmiUnreadable."""
    lines = lines_of(text)
    frame = _Frame()
    for line in lines:
        if line.startswith("|") and line.endswith("|") and len(line) > 1:
            _add_row(frame, [cell.strip() for cell in line[1:-1].split("|")])
    if not frame.rows:
        refused = refusal(lines)
        raise refused or NpuSmiUnreadable("npu-smi printed no table of chips")
    return BoardFacts(
        tool_version=frame.tool_version,
        driver_version=frame.driver_version,
        chips=tuple(_chips(frame)),
        processes=tuple(_processes(frame.process_rows)),
    )


def _add_row(frame: _Frame, cells: list[str]) -> None:
    words = cells[0].split()
    if len(cells) == 1:
        _read_banner(frame, words)
    elif _is_heading(words):
        frame.in_processes = cells[1].lower().startswith("process")
        if not frame.in_processes:
            frame.headings.append([word.lower() for word in cells[-1].split()])
    elif frame.in_processes:
        frame.process_rows.append(cells)
    else:
        frame.rows.append(cells)


def _is_heading(words: Sequence[str]) -> bool:
    return bool(words) and words[0] in {"NPU", "Chip"}


def _read_banner(frame: _Frame, words: Sequence[str]) -> None:
    """Read ``npu-smi 23.0.rc3  Version: 23.0.rc3``."""
    for word, after in pairwise(words):
        if word == "npu-smi":
            frame.tool_version = after
        elif word == "Version:":
            frame.driver_version = after


def _chips(frame: _Frame) -> Iterator[ChipFacts]:
    if len(frame.headings) != 2 or len(frame.rows) % 2 or len(frame.rows) > 2 * _CHIPS_MAX:
        raise NpuSmiUnreadable("npu-smi's table does not have two headings and two rows for a chip")
    for first, second in zip(frame.rows[::2], frame.rows[1::2], strict=True):
        if len(first) < 3 or len(second) < 3:
            raise NpuSmiUnreadable("a row of npu-smi's table lacks a column")
        npu_id, name = _id_and_rest(first[0])
        chip_id, _ = _id_and_rest(second[0])
        values = _values(frame.headings[0], first[-1]) | _values(frame.headings[1], second[-1])
        memory_used_mb, memory_total_mb = _of(values, _MEMORY)
        hugepages_used, hugepages_total = _of(values, _HUGEPAGES)
        yield ChipFacts(
            npu_id=npu_id,
            chip_id=chip_id,
            soc=name.removeprefix("Ascend"),
            health=health(first[1]),
            bus_id="" if second[1] == "NA" else second[1],
            power_w=_of(values, _POWER)[0],
            temperature_c=_of(values, _TEMPERATURE)[0],
            ai_core_percent=_of(values, _AI_CORE)[0],
            memory_used_mb=memory_used_mb,
            memory_total_mb=memory_total_mb,
            hugepages_used=hugepages_used,
            hugepages_total=hugepages_total,
        )


def _id_and_rest(cell: str) -> tuple[int, str]:
    first, _, rest = cell.partition(" ")
    found = whole(first)
    if found is None:
        raise NpuSmiUnreadable(f"npu-smi's table has {first[:20]!r} where a number should be")
    return found, rest.strip()


def _values(headings: Sequence[str], cell: str) -> Values:
    """Give the values of *cell* by heading: one, or a used and a total one."""
    # A slash may be glued to a number; the one in N/A is none.
    words = cell.replace("N/A", "NA").replace("/", " / ").split()
    values: Values = {}
    place = 0
    for heading in headings:
        taken = words[place : place + (3 if "usage" in heading else 1)]
        place += len(taken)
        if "usage" not in heading:
            values[heading] = (number(taken[0]) if taken else None, None)
        elif len(taken) == 3 and taken[1] == "/":
            values[heading] = number(taken[0]), number(taken[2])
        elif taken and taken[0] == "NA":
            # Not told at all: without a slash.
            place += 1 - len(taken)
        elif taken:
            raise NpuSmiUnreadable(f"npu-smi's table has {cell[:60]!r} under {heading}")
    if place != len(words):
        raise NpuSmiUnreadable(f"npu-smi's table has {cell[:60]!r} under {' '.join(headings)}")
    return values


def _of(values: Values, column: str) -> tuple[float | None, float | None]:
    """Give the values of the column whose heading begins with *column*."""
    found = (pair for heading, pair in values.items() if heading.startswith(column))
    return next(found, (None, None))


def _processes(rows: Sequence[Sequence[str]]) -> Iterator[NpuProcess]:
    """Read ``| 0  0 | 4711 | python3 | 132 |``; rows of another shape are passed over."""
    for cells in rows[:_PROCESSES_MAX]:
        npu_id = whole((cells[0].split() or [""])[0])
        pid = whole(cells[1])
        if npu_id is not None and pid is not None and len(cells) >= 3:
            memory_mb = number(cells[3]) if len(cells) > 3 else None
            yield NpuProcess(npu_id=npu_id, pid=pid, name=cells[2], memory_mb=memory_mb)
