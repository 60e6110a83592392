"""CPU per job: what all services and Redis take for a job, decode, model and reduction excluded."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.bare_loop import BareLoop, BareResult, max_batch_size, run_bare_loop
from bench.load import Load, LoadResult, run_load
from bench.models import THUMBNAIL
from bench.pictures import describe, draw_pictures
from bench.processes import SERVICES
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack

NAME = "cpu_per_job"
_BAR_MS = 2.0


def measure(scale: Scale) -> Report:
    """Measure at saturation and one job at a time, with a model that costs next to nothing."""
    pictures = draw_pictures()
    with (
        tempfile.TemporaryDirectory(prefix="gw-bench-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        _load(stack, pictures, scale.warm_up_jobs, scale.window)
        many = _load(stack, pictures, scale.saturated_jobs, scale.window)
        one = _load(stack, pictures, scale.trickle_jobs, 1)
        # After the platform, so that the machine is as warm.
        full = max_batch_size(stack.models, THUMBNAIL)
        bare_many = _bare(stack, pictures, scale.bare_jobs, full)
        bare_one = _bare(stack, pictures, scale.bare_jobs, 1)
    return Report(
        name=NAME,
        figures=(
            _figure("at saturation", many, bare_many),
            _figure("one job at a time", one, bare_one),
        ),
        tables=(_table((many, bare_many), (one, bare_one)),),
        notes=(
            "CPU time of user and system of each process over the whole load, heartbeats and"
            " polling included, from before the first request to after the last write.",
            "'bare loop' is decode + infer + reduce of the same pictures in one process, per"
            " picture, in full batches for saturation and in batches of one otherwise. In the"
            " platform that work is done by the dispatcher and the device process.",
            f"Saturation: {scale.window} jobs in flight, {many.per_s:.0f} jobs/s;"
            f" pictures: {describe(pictures)}.",
        ),
    )


def _load(stack: RunningStack, pictures: tuple[bytes, ...], count: int, window: int) -> LoadResult:
    return run_load(stack, Load(model=THUMBNAIL, pictures=pictures, count=count, window=window))


def _bare(
    stack: RunningStack, pictures: tuple[bytes, ...], count: int, batch_size: int
) -> BareResult:
    return run_bare_loop(
        BareLoop(
            models=stack.models,
            model=THUMBNAIL,
            pictures=pictures,
            count=count,
            batch_size=batch_size,
        )
    )


def _figure(when: str, load: LoadResult, bare: BareResult) -> Figure:
    total_ms = sum(load.cpu_s.values()) * 1e3 / load.count
    return Figure(
        name=f"CPU added per job, {when}",
        value=total_ms - bare.cpu_ms,
        unit="ms",
        reference=f"bare loop {bare.cpu_ms:.2f} ms, of {total_ms:.2f} ms in all",
        bar=_BAR_MS,
    )


def _table(*cases: tuple[LoadResult, BareResult]) -> Table:
    rows = [
        (service, *(f"{load.cpu_s[service] * 1e3 / load.count:.3f}" for load, _ in cases))
        for service in SERVICES
    ]
    rows += [
        ("bare loop", *(f"-{bare.cpu_ms:.3f}" for _, bare in cases)),
        (
            "(client and receiver)",
            *(
                f"{(load.submitted.cpu_s + load.receiver_cpu_s) * 1e3 / load.count:.3f}"
                for load, _ in cases
            ),
        ),
    ]
    columns = ("CPU ms per job", "at saturation", "one at a time")
    return Table(title="By service", columns=columns, rows=tuple(rows))
