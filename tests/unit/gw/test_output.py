"""Lines of output: cut, kept, shown."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gw.output import LineCutter, LogFiles, Tee, Terminal, last_lines, wants_colour


def _cut(chunks: list[bytes], *, max_line_bytes: int = 1000) -> list[bytes]:
    cutter = LineCutter(max_line_bytes=max_line_bytes)
    lines = [line for chunk in chunks for line in cutter.feed(chunk)]
    return [*lines, *cutter.finish()]


def test_gives_a_line_when_it_is_complete() -> None:
    """A line comes out with its end, not before."""
    cutter = LineCutter()

    assert list(cutter.feed(b"one\ntw")) == [b"one"]
    assert list(cutter.feed(b"o\r\n")) == [b"two"]
    assert list(cutter.finish()) == []


def test_keeps_the_last_line_without_an_end() -> None:
    """What a process said last is not lost for want of a newline."""
    assert _cut([b"dying wor", b"ds"]) == [b"dying words"]


def test_cuts_a_line_that_never_ends() -> None:
    """A line without end comes out in pieces of bounded size."""
    assert _cut([b"x" * 25], max_line_bytes=10) == [b"x" * 10, b"x" * 10, b"x" * 5]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10), st.integers(1, 50))
def test_loses_nothing_however_the_bytes_arrive(
    data: bytes, cuts: list[int], max_line_bytes: int
) -> None:
    """For any bytes in any chunks, all but line ends comes out, in order, in bounded pieces."""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[start:end] for start, end in itertools.pairwise(edges)]

    lines = _cut(chunks, max_line_bytes=max_line_bytes)

    ends = str.maketrans("", "", "\r\n")
    joined = b"".join(lines).decode("latin-1").translate(ends)
    assert joined == data.decode("latin-1").translate(ends)
    assert all(len(line) <= max_line_bytes for line in lines)


def test_turns_a_log_over_before_it_grows_too_large(tmp_path: Path) -> None:
    """A log never exceeds its bound, older ones are kept beside it, and the oldest go."""
    files = LogFiles(lambda service: tmp_path / f"{service}.log", max_bytes=100, keep=2)

    for number in range(40):
        files.write("webapp", f"line {number:02d}".encode())
    files.close()

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["webapp.log", "webapp.log.1", "webapp.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    assert (tmp_path / "webapp.log").read_text().splitlines()[-1] == "line 39"
    older = (tmp_path / "webapp.log.1").read_text().splitlines()[-1]
    newer = (tmp_path / "webapp.log").read_text().splitlines()[0]
    assert int(newer.split()[1]) == int(older.split()[1]) + 1


def test_goes_on_after_the_place_of_its_log(tmp_path: Path) -> None:
    """A second run appends to what the first one left, within the same bound."""
    for run in range(2):
        files = LogFiles(lambda service: tmp_path / service, max_bytes=1000)
        files.write("webapp", f"run {run}".encode())
        files.close()

    assert (tmp_path / "webapp").read_text() == "run 0\nrun 1\n"


def test_survives_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """Where the file system refuses, lines are lost and nothing else; later lines are tried."""
    folder = tmp_path / "later"
    files = LogFiles(lambda service: folder / service)

    files.write("webapp", b"lost")
    folder.mkdir()
    files.write("webapp", b"kept")
    files.close()

    assert (folder / "webapp").read_text() == "kept\n"


def test_logs_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """A log file has mode 0600."""
    files = LogFiles(lambda service: tmp_path / service)
    files.write("webapp", b"line")
    files.close()

    assert (tmp_path / "webapp").stat().st_mode & 0o777 == 0o600


def test_shows_lines_with_their_service_in_front() -> None:
    """Names are set to one width, and each service has a colour of its own where colours are."""
    plain = _shown(colour=False)
    coloured = _shown(colour=True)

    assert plain == b"redis   | ready\nwebapp  | up\nredis   | bye\n"
    first, second, third = coloured.splitlines()
    assert first.startswith(b"\x1b[")
    assert first.endswith(b"\x1b[0m ready")
    assert first[:5] == third[:5] != second[:5]


def _shown(*, colour: bool) -> bytes:
    read_end, write_end = os.pipe()
    terminal = Terminal(write_end, width=7, colour=colour)
    for service, line in (("redis", b"ready"), ("webapp", b"up"), ("redis", b"bye")):
        terminal.write(service, line)
    terminal.close()
    os.close(write_end)
    with os.fdopen(read_end, "rb") as shown:
        return shown.read()


def test_a_stalled_terminal_loses_lines_and_tells_how_many() -> None:
    """Nobody reading makes no writer wait; when the reader is back it learns what it missed."""
    read_end, write_end = os.pipe()
    terminal = Terminal(write_end, width=1, colour=False, max_waiting_lines=10)
    line = b"x" * 20_000

    for _ in range(100):
        terminal.write("a", line)
    seen = b""
    while seen.count(line) < 10:
        seen += os.read(read_end, 100_000)
    terminal.write("a", b"back")
    terminal.close()
    os.close(write_end)
    with os.fdopen(read_end, "rb") as rest:
        seen += rest.read()

    assert b" lines not shown\n" in seen
    shown = seen.count(line)
    missed = int(seen.split(b"... ")[1].split()[0])
    assert shown + missed == 100
    assert seen.endswith(b"a | back\n")


def test_a_closed_terminal_is_silence() -> None:
    """When the reading end is gone, showing goes on without an error."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    terminal = Terminal(write_end, width=1, colour=False)

    terminal.write("a", b"into the void")
    terminal.write("a", b"again")
    terminal.close()

    os.close(write_end)


def test_tee_hands_on_to_all(tmp_path: Path) -> None:
    """Every sink behind a tee gets every line."""
    left = LogFiles(lambda service: tmp_path / f"left-{service}")
    right = LogFiles(lambda service: tmp_path / f"right-{service}")

    Tee(left, right).write("a", b"line")
    left.close()
    right.close()

    assert (tmp_path / "left-a").read_text() == (tmp_path / "right-a").read_text() == "line\n"


def test_reads_the_last_lines_of_a_log(tmp_path: Path) -> None:
    """The end of a log is what is shown of it; a missing log shows nothing."""
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n" for number in range(1000)))

    assert last_lines(log, 3) == ["997", "998", "999"]
    assert last_lines(tmp_path / "none", 3) == []


def test_no_colour_where_nobody_wants_it() -> None:
    """A pipe is never coloured, and NO_COLOR switches colour off on a terminal."""
    read_end, write_end = os.pipe()
    leader, follower = os.openpty()
    try:
        assert not wants_colour(write_end, {"TERM": "xterm"})
        assert wants_colour(follower, {"TERM": "xterm"})
        assert not wants_colour(follower, {"TERM": "xterm", "NO_COLOR": "1"})
        assert not wants_colour(follower, {"TERM": "dumb"})
    finally:
        for descriptor in (read_end, write_end, leader, follower):
            os.close(descriptor)
