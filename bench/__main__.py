"""``python -m bench``: run the measurements, print their tables, write ``bench-out/bench.json``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import (
    api_throughput,
    batch_kill,
    chaos,
    cpu_per_job,
    device_busy,
    endurance,
    faults,
    inference,
    latency,
    memory,
    notifier,
    overload,
    power_cuts,
    scheduling,
    throughput,
)
from bench.processes import cores
from bench.report import Report, figures_table
from bench.scale import FULL, QUICK, Scale

MEASUREMENTS: Mapping[str, Callable[[Scale], Report]] = {
    module.NAME: module.measure
    for module in (
        throughput,
        cpu_per_job,
        latency,
        inference,
        memory,
        overload,
        api_throughput,
        device_busy,
        power_cuts,
        faults,
        endurance,
        notifier,
        scheduling,
        chaos,
        batch_kill,
    )
}

#: Too long for a run of everything: only with --only.
_WHEN_ASKED = frozenset({chaos.NAME, batch_kill.NAME})


def main(arguments: Sequence[str]) -> None:
    """Measure what was asked for."""
    options = _parser().parse_args(arguments)
    # Killed by name or by a timeout, too, the stack under measurement must not be left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    scale = QUICK if options.quick else FULL
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    machine = _machine()
    reports: list[Report] = []
    usual = [each for each in MEASUREMENTS if each not in _WHEN_ASKED]
    for name in options.only or usual:
        started_s = time.monotonic()
        report = MEASUREMENTS[name](scale)
        reports.append(report)
        _say(*report.lines(), f"({name}: {time.monotonic() - started_s:.0f} s)\n")
        # After each one, so that a late failure does not take the others along.
        _write(out / "bench.json", reports, machine, quick=options.quick)
    _say("== all figures", figures_table(tuple(f for report in reports for f in report.figures)))
    if options.quick:
        _say("\n--quick only shows that it runs: these numbers are no measurement.")
    _say(f"\nwritten to {out / 'bench.json'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measured ratios against references of the same run."
    )
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument(
        "--only", action="append", choices=list(MEASUREMENTS), help="may be repeated"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="[bench-out]")
    return parser


def _machine() -> dict[str, Any]:
    """Say where it was measured, and how busy the machine was before."""
    return {
        "cores": cores(),
        "processor": _processor(),
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "at_unix_s": int(time.time()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _write(
    path: Path, reports: Sequence[Report], machine: Mapping[str, Any], *, quick: bool
) -> None:
    document = {
        "machine": machine,
        "quick": quick,
        "measurements": [report.to_json() for report in reports],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
