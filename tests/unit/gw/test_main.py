"""The command line's table of subcommands."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from gw.__main__ import SUBCOMMANDS, LazyGroup, cli


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_table_says_what_the_commands_say(name: str) -> None:
    """Each subcommand exists, and the table's help line is the command's own first line."""
    assert isinstance(cli, LazyGroup)
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.name == name
    first_line = (command.help or "").splitlines()[0]
    assert first_line.rstrip(".").startswith(SUBCOMMANDS[name].rstrip("."))


def test_an_unknown_subcommand_is_none() -> None:
    """A name that is not in the table is not imported."""
    assert isinstance(cli, LazyGroup)

    assert cli.get_command(click.Context(cli), "os") is None


def test_help_imports_nothing_heavy() -> None:
    """Asking for help loads neither a client library nor a subcommand, so it answers at once."""
    program = (
        "import sys; sys.argv = ['gw', '--help']\n"
        "import gw.__main__ as entry\n"
        "try: entry.main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('redis', 'httpx', 'numpy', 'asyncio') if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('gw.commands')])\n"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert shown[-2:] == ["[]", "[]"]
    assert any(line.strip().startswith("up ") for line in shown)
