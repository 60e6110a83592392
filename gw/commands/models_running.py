"""``gw models load``, ``unload`` and ``reload``: the models of a running platform."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gw.job_store import in_job_store
from gw.models_remote import command
from gw.options import data_option
from pipeline.models.command_outcome import COMMAND_TTL_S, CommandOutcome
from pipeline.models.commands import CommandKind

_HELP = {
    CommandKind.LOAD: "Accept jobs for MODEL, and put it on the device now.",
    CommandKind.UNLOAD: (
        "Accept no jobs for MODEL until it is loaded again; it leaves the device once the accepted"
        " ones are through."
    ),
    CommandKind.RELOAD: (
        "Read MODEL's files anew, try again what failed before, and put it on the device."
    ),
}


def _make(kind: CommandKind) -> click.Command:
    @click.command(kind.value, help=f"{_HELP[kind]} Exits with 1 if a dispatcher says no.")
    @click.argument("model")
    @click.option("--version", default="", help="One of its versions; by default the model's.")
    @click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(min=0, max=COMMAND_TTL_S),
        default=120.0,
        show_default=True,
        help="Seconds to wait for the answers.",
    )
    @data_option
    def run(*, model: str, version: str, wait_s: float, data_dir: Path | None) -> None:
        outcome = in_job_store(
            data_dir,
            lambda redis, keys: command(
                redis, keys, kind=kind, model=model, version=version, wait_s=wait_s
            ),
        )
        for line in _lines(outcome):
            click.echo(line)
        if outcome.state != "done":
            sys.exit(1)

    return run


def _lines(outcome: CommandOutcome) -> list[str]:
    lines = [
        f"{answer.instance}: {'done' if answer.done else answer.reason}"
        for answer in outcome.answers
    ]
    lines += [f"{name}: has not answered yet" for name in outcome.silent]
    return lines or ["no dispatcher is running; the first to start within ten minutes does it"]


SUBCOMMANDS = tuple(_make(kind) for kind in CommandKind)
