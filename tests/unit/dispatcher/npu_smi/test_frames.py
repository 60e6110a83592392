"""The frame of ``npu-smi info``, in every form that was seen."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.npu_smi.errors import NpuSmiError, NpuSmiRefused, NpuSmiUnreadable
from dispatcher.npu_smi.facts import BoardFacts, ChipFacts, NpuHealth, NpuProcess
from dispatcher.npu_smi.frames import read_board
from tests.unit.dispatcher.npu_smi import samples


def test_a_boards_frame_gives_every_fact() -> None:
    """Versions, chip, health, power, temperature, use, memory and huge pages are read."""
    assert read_board(samples.BOARD_310B1) == BoardFacts(
        tool_version="23.0.rc3",
        driver_version="23.0.rc3",
        chips=(
            ChipFacts(
                npu_id=0,
                chip_id=0,
                soc="310B1",
                health=NpuHealth.OK,
                power_w=9.2,
                temperature_c=53,
                ai_core_percent=0,
                memory_used_mb=3841,
                memory_total_mb=11577,
                hugepages_used=15,
                hugepages_total=15,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("frame", "soc", "health", "power_w", "memory"),
    [
        (samples.BOARD_ALARM, "310B4", NpuHealth.ALARM, 0.0, (14541, 15610)),
        (samples.BOARD_LATER, "310B", NpuHealth.WARNING, None, (3841, 11577)),
        (samples.BOARD_NARROW, "310B4", NpuHealth.OK, 8.1, (1500, 7545)),
    ],
)
def test_quirks_of_frames_are_read(
    frame: str,
    soc: str,
    health: NpuHealth,
    power_w: float | None,
    memory: tuple[float, float],
) -> None:
    """Glued slashes, power that is not told, other widths and versions make no difference."""
    (chip,) = read_board(frame).chips

    assert (chip.soc, chip.health, chip.power_w) == (soc, health, power_w)
    assert (chip.memory_used_mb, chip.memory_total_mb) == memory


def test_a_frame_of_another_chip_is_read_by_its_headings() -> None:
    """A column more does not shift the others, and the process table is none of chips."""
    board = read_board(samples.BOARD_CARD)

    assert [(chip.npu_id, chip.health) for chip in board.chips] == [
        (0, NpuHealth.OK),
        (1, NpuHealth.CRITICAL),
    ]
    assert [chip.bus_id for chip in board.chips] == ["0000:C1:00.0", "0000:01:00.0"]
    assert (board.chips[0].memory_used_mb, board.chips[0].hugepages_total) == (0, 0)
    assert (board.chips[1].temperature_c, board.chips[1].memory_used_mb) == (None, None)
    assert board.processes == (NpuProcess(npu_id=0, pid=4711, name="python3", memory_mb=132),)


@pytest.mark.parametrize("word", ["OK", "Warning", "Alarm", "Critical", "UNKNOWN"])
def test_every_health_word_is_known(word: str) -> None:
    """The five words of the tool are read, whatever their case."""
    frame = samples.BOARD_310B1.replace("| OK      ", f"| {word:<8}")

    assert read_board(frame).chips[0].health == NpuHealth(word)
    assert read_board(frame.replace(word, word.lower())).chips[0].health == NpuHealth(word)


def test_a_health_that_nobody_knows_is_not_told() -> None:
    """A word of a later tool is no reason to take a device for sick."""
    assert read_board(samples.BOARD_310B1.replace("OK", "Ok?")).chips[0].health is None


@pytest.mark.parametrize("code", [-8005, -8020])
def test_a_code_in_place_of_the_table_is_a_refusal(code: int) -> None:
    """The line that replaces the table gives its code, and what it means in words."""
    with pytest.raises(NpuSmiRefused, match=r"initialize failed.*: \w+") as refused:
        read_board(f"dcmi module initialize failed. ret is {code}\n")

    assert refused.value.number == code


@pytest.mark.parametrize("text", ["", "\n", "hello", "| a | b |", "|\n||\n", "x" * 70_000])
def test_what_is_no_frame_is_unreadable(text: str) -> None:
    """Anything else is told as unreadable, never taken for a board."""
    with pytest.raises(NpuSmiUnreadable):
        read_board(text)


@pytest.mark.parametrize("frame", samples.FRAMES)
def test_a_frame_that_was_cut_off_never_gives_other_facts(frame: str) -> None:
    """However many lines arrive: the chips are the whole frame's first ones, or it is an error."""
    whole = read_board(frame).chips
    lines = frame.splitlines()
    for count in range(len(lines)):
        with contextlib.suppress(NpuSmiError):
            chips = read_board("\n".join(lines[:count])).chips
            assert chips == whole[: len(chips)]


@given(st.data())
def test_no_frame_raises_anything_untyped(data: st.DataObject) -> None:
    """A frame with anything put, lost or swapped in it is read, or refused by a typed error."""
    frame = data.draw(st.sampled_from(samples.FRAMES))
    start = data.draw(st.integers(0, len(frame)))
    stop = data.draw(st.integers(start, min(len(frame), start + 40)))
    words = st.sampled_from(["|", "/", "NA", "N/A", "-", "\n", "| 0 |", "nan", "1e999", "٣", " "])
    put = data.draw(st.one_of(words, st.text(max_size=30)))

    with contextlib.suppress(NpuSmiError):
        for chip in read_board(frame[:start] + put + frame[stop:]).chips:
            assert chip.npu_id >= 0


@given(st.text(alphabet=st.characters(), max_size=400))
def test_no_text_raises_anything_untyped(text: str) -> None:
    """Any text at all is refused by a typed error, or is a frame."""
    with contextlib.suppress(NpuSmiError):
        read_board(text)
