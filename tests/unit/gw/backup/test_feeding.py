"""What a replica sends is taken apart as it comes."""

from __future__ import annotations

import pytest

from gw.backup.feeding import parse_command

PSYNC = b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"


def test_commands_are_taken_off_one_by_one() -> None:
    """Any number may come in one piece."""
    parsed = parse_command(PSYNC + PSYNC[:7])

    assert parsed == ([b"PSYNC", b"?", b"-1"], PSYNC[:7])


@pytest.mark.parametrize("length", range(len(PSYNC)))
def test_a_command_that_is_not_all_there_is_waited_for(length: int) -> None:
    """Wherever it was cut."""
    assert parse_command(PSYNC[:length]) is None


@pytest.mark.parametrize(
    "bad", [b"PING\r\n", b"*0\r\n", b"*99\r\n", b"*1\r\n$5000\r\n", b"*1\r\n:1\r\n", b"*x\r\n"]
)
def test_what_is_no_command_is_refused(bad: bytes) -> None:
    """A stranger is not listened to for long."""
    with pytest.raises(ValueError, match=r"command|invalid literal"):
        parse_command(bad)
