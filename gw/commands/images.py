"""``gw images``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gw.images import list_images, use_version
from gw.options import json_option
from gw.table import render_table


@click.group("images", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """List the installed versions of the images, and switch between them.

    On the host of a stack in containers: it asks the Docker engine. In a container there is none.
    """
    if context.invoked_subcommand is not None:
        return
    images = list_images()
    if as_json:
        click.echo(json.dumps([asdict(image) for image in images], indent=2, ensure_ascii=False))
        return
    rows = [
        (
            image.name,
            "yes" if image.is_running else "",
            image.revision[:12],
            image.created,
            image.base,
            f"{image.size_bytes / 1e6:.0f}",
        )
        for image in images
    ]
    click.echo(render_table(("image", "running", "commit", "made", "on top of", "MB"), rows))


@command.command("use")
@click.argument("version")
@click.option(
    "--prefix",
    type=click.Path(path_type=Path),
    default=Path("/gwapp"),
    show_default=True,
    help="Where gw was installed from its bundle.",
)
def use(*, version: str, prefix: Path) -> None:
    """Run the installed VERSION in place of the one that runs, and wait until it is ready.

    If it does not become ready the version before comes back by itself; all data stay.
    """
    sys.exit(use_version(version, prefix.absolute()))
