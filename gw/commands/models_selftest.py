"""``gw models selftest``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from dispatcher.models.looking import SELF_TEST_FOLDER
from dispatcher.models.repository import scan
from dispatcher.models.self_test import DEFAULT_TOLERANCE
from gw import self_test
from gw.options import models_option
from gw.settings import CommandSettings, environ_with
from pipeline.errors import NotFound
from pipeline.settings import load


@click.command("selftest")
@click.argument("name")
@click.option("--version", type=int, help="One of its versions; the highest by default.")
@click.option(
    "--write", is_flag=True, help="Write down what the present model answers, then run it."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=DEFAULT_TOLERANCE,
    show_default=True,
    help="With --write: by how much numbers may differ later.",
)
@models_option
def selftest(
    *, name: str, version: int | None, write: bool, tolerance: float, models_dir: Path | None
) -> None:
    """Run the self-test of model NAME; with --write, make it from the pictures in its folder.

    The pictures lie in NAME/selftest, or in NAME/VERSION/selftest for one version alone. A version
    must pass its self-test before a dispatcher offers it. GW_RUNTIME says what runs it.
    """
    models = load(CommandSettings, environ_with(os.environ, models_dir=models_dir)).models_dir
    models = models.expanduser().resolve()
    found = scan(models).find(name, version)
    if found is None:
        raise NotFound(f"{models} has no usable version of {name}; see gw models check")
    runtime = os.environ.get("GW_RUNTIME") or found.card.runtime.value
    if write:
        own = models / name / str(found.version) / SELF_TEST_FOLDER
        folder = own if own.is_dir() else models / name / SELF_TEST_FOLDER
        file = self_test.write(folder, found, runtime=runtime, tolerance=tolerance)
        click.echo(f"{file}: written from version {found.version}")
    outcomes = self_test.run(models / name, found, runtime=runtime)
    for outcome in outcomes:
        click.echo(f"{name}/{found.version}: {outcome.name}: {outcome.difference or 'passed'}")
    if any(outcome.difference for outcome in outcomes):
        sys.exit(1)
