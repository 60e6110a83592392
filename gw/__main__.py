"""The entry point ``gw``: finds the subcommand's module and turns errors into sentences."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from pipeline.errors import GwError

#: Subcommand -> its one-line help. Kept here so that ``gw --help`` imports no subcommand at all.
SUBCOMMANDS: Final[dict[str, str]] = {
    "demo": "Send real pictures through every service and verify the webhooks.",
    "up": "Start the whole platform on this machine.",
    "down": "Stop what `gw up` started.",
    "status": "Show every service and its health.",
    "devices": "Show what the models run on: status, health, heat, memory, load, versions.",
    "doctor": "Check this machine or container before the first start.",
    "submit": "Send pictures to a model and show the results.",
    "jobs": "List jobs, show one, cancel one.",
    "batches": "Submit many pictures at once: an archive, a video, a list of URLs.",
    "models": "Fetch, list, check and test models, and load them on a running platform.",
    "keys": "Make, list, rotate and revoke API keys.",
    "tenants": "Show and set each tenant's share, limits and retention.",
    "images": "List the installed versions of the images, and switch between them.",
    "audit": "Show who did what to keys, tenants, models and endpoints.",
    "backup": "Write everything that the running platform holds into one file.",
    "restore": "Put back what `gw backup` wrote.",
    "deliveries": "List what was sent to whom, show the attempts, send one again.",
    "webhooks": "Add, list, test and remove webhook endpoints, and verify what one received.",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only when that subcommand runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the subcommands in the order people meet them."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import ``gw.commands.<name>`` and hand out its ``command``."""
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(f"gw.commands.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - our own modules' shape
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the subcommands from the table above, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gw", prog_name="gw")
def cli() -> None:
    """Run gw, the model dispatch platform: a picture in, a signed webhook out."""


def main() -> None:
    """Run the command line; an expected error becomes one sentence on stderr and exit code 1."""
    try:
        cli(prog_name="gw")
    except GwError as error:
        click.echo(f"gw: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        # A folder that belongs to somebody else, a full disk: the name tells more than a traceback.
        if error.filename is None:
            raise
        click.echo(f"gw: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
