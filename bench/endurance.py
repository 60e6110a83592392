"""A day's worth of calls: a million runs with loads and unloads between them, on the emulated NPU.

The NPU itself takes no time here, so a day passes in minutes. What is measured is what is left: no
handle, by the emulator's own account, and no memory. ``python -m bench.endurance`` runs a million,
``--quick`` 50,000, ``--runs`` as many as asked for; it ends by itself after ``--limit-s``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.emulated import ROOT, environ, write_model
from bench.report import Figure, Report, Table
from bench.scale import Scale

NAME = "endurance"

_DAY_RUNS = 1_000_000
_QUICK_RUNS = 50_000
_GROWN_MAX_MB = 8.0


def measure(scale: Scale) -> Report:
    """Run as often as *scale* says."""
    return report(run(scale.endurance_runs, limit_s=scale.endurance_limit_s))


def run(runs: int, *, limit_s: float) -> dict[str, Any]:
    """Run in a process of its own; give what that told. Raises CalledProcessError for findings."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = write_model(place)
        command = [sys.executable, "-m", "bench.endurance_program"]
        answer = subprocess.run(  # noqa: S603  # our own program
            [*command, str(model), str(runs), str(limit_s)],
            # Played, not computed: a run of this model takes no time on the device.
            env=environ(place, '[[profiles]]\nmodel = "*"\n'),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=limit_s + 120,
        )
    told: dict[str, Any] = json.loads(answer.stdout)
    return told | {"asked": runs}


def report(told: dict[str, Any]) -> Report:
    """Judge what was left."""
    grown_mb = told["grown_bytes"] / 1e6
    figures = (
        Figure(
            name="handles left after the last unload",
            value=float(len(told["left"])),
            unit="",
            reference="the emulator's account",
            bar=0.0,
        ),
        Figure(
            name="memory grown since a tenth of the runs",
            value=grown_mb,
            unit="MB",
            reference="the same process",
            bar=_GROWN_MAX_MB,
        ),
        Figure(
            name="runs", value=float(told["runs"]), unit="", reference=f"{told['asked']} asked for"
        ),
    )
    rows = (
        ("runs", str(told["runs"])),
        ("loads and unloads", str(told["loads"])),
        ("seconds", f"{told['took_s']:.0f}"),
        ("us per run", f"{1e6 * told['took_s'] / max(1, told['runs']):.0f}"),
        ("resident at first, MB", f"{told['resident_bytes'][0] / 1e6:.1f}"),
        ("resident at last, MB", f"{told['resident_bytes'][-1] / 1e6:.1f}"),
        ("live handles, least and most", f"{min(told['live'])} and {max(told['live'])}"),
    )
    return Report(
        name=NAME,
        figures=figures,
        tables=(Table(title="One process", columns=("what", "value"), rows=rows),),
        notes=("The process exits with an error if the emulator has any finding: it had none.",),
    )


def main(arguments: Sequence[str]) -> None:
    """Run what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.endurance")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_RUNS} runs")
    parser.add_argument("--runs", type=int, default=_DAY_RUNS, help=f"[{_DAY_RUNS}]")
    parser.add_argument("--limit-s", type=float, default=900.0, help="end after this long [900]")
    options = parser.parse_args(arguments)
    told = run(_QUICK_RUNS if options.quick else options.runs, limit_s=options.limit_s)
    sys.stdout.writelines(f"{line}\n" for line in report(told).lines())


if __name__ == "__main__":
    main(sys.argv[1:])
