"""Unloaded latency: from the submission to the webhook, without decoding and the model's time."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from bench.bare_loop import BareLoop, run_bare_loop
from bench.load import Load, LoadResult, run_load
from bench.models import DETECTOR, THUMBNAIL
from bench.pictures import draw_pictures
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack

NAME = "latency"
_BAR_P50_MS = 8.0
_BAR_P99_MS = 20.0
#: Between two jobs: what the first leaves to be written is through by then.
_PAUSE_S = 0.015
_STAGES = ("queued", "decode", "waited", "device", "reduce", "postprocess")


def measure(scale: Scale) -> Report:
    """Measure jobs one after the other, with a model that costs nothing and with a detector."""
    pictures = draw_pictures()
    with (
        tempfile.TemporaryDirectory(prefix="gw-bench-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        loads = {
            model: _sequential(stack, model, pictures, scale) for model in (THUMBNAIL, DETECTOR)
        }
        bare_ms = {model: _bare_ms(stack, model, pictures, scale) for model in loads}
        sync_ms = _sync_ms(stack.folder.root)
    figures = []
    for model, load in loads.items():
        ours_ms = median(_stage_ms(load, "decode")) + median(_stage_ms(load, "device"))
        reference = f"decode + model {ours_ms:.1f} ms (bare loop {bare_ms[model]:.1f})"
        added_ms = _added_ms(load)
        figures += [
            Figure(
                name=f"{model}: {name}",
                value=value_ms,
                unit="ms",
                reference=reference,
                bar=bar_ms,
            )
            for name, value_ms, bar_ms in (
                ("added, p50", median(added_ms), _BAR_P50_MS),
                ("added, p99", _percentile(added_ms, 99), _BAR_P99_MS),
            )
        ]
    return Report(
        name=NAME,
        figures=tuple(figures),
        tables=(_table(loads),),
        notes=(
            f"{scale.latency_jobs} jobs of each model, each submitted {_PAUSE_S * 1e3:g} ms after"
            " the webhook of the one before. From the first byte of the request to the last byte of"
            " the webhook, minus decode and device as the result tells them.",
            f"A durable append of 500 bytes takes {sync_ms:.2f} ms (median) on this disk; seven of"
            " them, or their like, lie on a job's way.",
        ),
    )


def _sequential(
    stack: RunningStack, model: str, pictures: tuple[bytes, ...], scale: Scale
) -> LoadResult:
    warm_up = Load(model=model, pictures=pictures, count=scale.warm_up_jobs // 4, window=1)
    run_load(stack, warm_up)
    load = Load(
        model=model, pictures=pictures, count=scale.latency_jobs, window=1, pause_s=_PAUSE_S
    )
    return run_load(stack, load)


def _bare_ms(stack: RunningStack, model: str, pictures: tuple[bytes, ...], scale: Scale) -> float:
    """Give the bare loop's decode and model time of one picture, for comparison."""
    result = run_bare_loop(
        BareLoop(
            models=stack.models,
            model=model,
            pictures=pictures,
            count=scale.bare_jobs // 4,
            batch_size=1,
        ),
        threads=1,
    )
    return result.decode_ms + result.infer_ms


def _stage_ms(load: LoadResult, stage: str) -> list[float]:
    return [data["result"]["timings_ms"][stage] for _, data in load.events.values()]


def _whole_ms(load: LoadResult) -> list[float]:
    started_ns = load.started_ns
    return [(at_ns - started_ns[job_id]) / 1e6 for job_id, (at_ns, _) in load.events.items()]


def _added_ms(load: LoadResult) -> list[float]:
    stages = zip(_whole_ms(load), _stage_ms(load, "decode"), _stage_ms(load, "device"), strict=True)
    return [whole_ms - decode_ms - device_ms for whole_ms, decode_ms, device_ms in stages]


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _sync_ms(folder: Path) -> float:
    """Measure the disk: the median of appending 500 bytes and making them durable."""
    times_ms = []
    with (folder / "sync-probe").open("wb", buffering=0) as file:
        for _ in range(100):
            started_s = time.perf_counter()
            file.write(bytes(500))
            os.fsync(file.fileno())
            times_ms.append((time.perf_counter() - started_s) * 1e3)
    return median(times_ms)


def _table(loads: dict[str, LoadResult]) -> Table:
    columns = ["stage, ms"]
    rows: list[list[str]] = [["whole"], *([stage] for stage in _STAGES)]
    for model, load in loads.items():
        columns += [f"{model} p50", f"{model} p99"]
        stages = [_whole_ms(load), *(_stage_ms(load, stage) for stage in _STAGES)]
        for row, values in zip(rows, stages, strict=True):
            row += [f"{median(values):.2f}", f"{_percentile(values, 99):.2f}"]
    return Table(title="Stages", columns=tuple(columns), rows=tuple(map(tuple, rows)))
