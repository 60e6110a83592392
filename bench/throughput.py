"""Throughput: end to end, HTTP in and webhook out, against the bare loop on the same cores."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.bare_loop import BareLoop, BareResult, max_batch_size, run_bare_loop
from bench.load import Load, LoadResult, run_load
from bench.models import DETECTOR, TEXT
from bench.pictures import describe, draw_pictures
from bench.processes import cores
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack

NAME = "throughput"
_BAR = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """The reference and the platform, one right after the other."""

    bare: BareResult
    load: LoadResult

    @property
    def ratio(self) -> float:
        """The platform's rate over the bare loop's."""
        return self.load.per_s / self.bare.per_s

    @property
    def left_ratio(self) -> float:
        """The same, each rate per core that was left for the work."""
        return (self.load.per_s / self.load_cores) / (self.bare.per_s / self.bare_cores)

    @property
    def load_cores(self) -> float:
        """The cores that client, receiver and strangers left to the platform."""
        load = self.load
        taken_s = load.submitted.cpu_s + load.receiver_cpu_s + load.others_cpu_s
        return cores() - taken_s / load.span_s

    @property
    def bare_cores(self) -> float:
        """The cores that strangers left to the bare loop."""
        return cores() - self.bare.others_cpu_s / self.bare.wall_s


def measure(scale: Scale) -> Report:
    """Measure both models in one stack, reference and platform in turns."""
    pictures = draw_pictures()
    with (
        tempfile.TemporaryDirectory(prefix="gw-bench-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        text = _rounds(stack, scale, model=TEXT, count=scale.text_jobs, pictures=pictures)
        detector = _rounds(
            stack, scale, model=DETECTOR, count=scale.detector_jobs, pictures=pictures
        )
    figures: list[Figure] = []
    for model, rounds in ((TEXT, text), (DETECTOR, detector)):
        figures += _figures(model, rounds)
    return Report(
        name=NAME,
        figures=tuple(figures),
        tables=(_table({TEXT: text, DETECTOR: detector}),),
        notes=(
            f"The bare loop is one process with two threads on {cores()} cores, each thread decode"
            " + infer + reduce, with the runtime's thread setting of the stack. It runs in batches"
            " of 1 and of the card's largest size; the faster one is the reference.",
            "'raw' divides the two rates. 'left' divides each by the cores that were left for the"
            " work: client and receiver are not the platform but run on its cores, and whatever"
            " else runs on the machine takes from both. Idle time counts against the platform.",
            f"Pictures: {describe(pictures)}, sent as raw bodies over kept connections; the"
            " medians of the rounds are given.",
        ),
    )


def _rounds(
    stack: RunningStack, scale: Scale, *, model: str, count: int, pictures: tuple[bytes, ...]
) -> list[_Round]:
    batch_sizes = {1, max_batch_size(stack.models, model)}
    window = min(scale.window, max(16, count))
    warm_up = Load(model=model, pictures=pictures, count=min(window, count), window=window)
    run_load(stack, warm_up)
    rounds = []
    for _ in range(scale.rounds):
        bare = max(
            (
                run_bare_loop(
                    BareLoop(
                        models=stack.models,
                        model=model,
                        pictures=pictures,
                        count=count,
                        batch_size=batch_size,
                    )
                )
                for batch_size in sorted(batch_sizes)
            ),
            key=lambda result: result.per_s,
        )
        load = Load(model=model, pictures=pictures, count=count, window=window)
        rounds.append(_Round(bare=bare, load=run_load(stack, load)))
    return rounds


def _figures(model: str, rounds: list[_Round]) -> list[Figure]:
    per_s = median(each.bare.per_s for each in rounds)
    cpu_ms = median(each.bare.cpu_ms for each in rounds)
    reference = f"bare loop {per_s:.1f}/s, {cpu_ms:.1f} ms CPU each"
    return [
        Figure(
            name=f"{model}: end to end / bare loop, {kind}",
            value=value,
            unit="",
            reference=reference,
            bar=_BAR,
            at_most=False,
        )
        for kind, value in (
            ("raw", median(each.ratio for each in rounds)),
            ("left", median(each.left_ratio for each in rounds)),
        )
    ]


def _table(by_model: dict[str, list[_Round]]) -> Table:
    rows = [
        (
            model,
            f"{each.bare.per_s:.1f} (batch {each.bare.batch_size})",
            f"{each.load.per_s:.1f}",
            f"{each.ratio:.3f}",
            f"{each.left_ratio:.3f}",
            f"{each.load.submitted.cpu_s / each.load.span_s:.2f}",
            f"{each.load.receiver_cpu_s / each.load.span_s:.2f}",
            f"{each.load.others_cpu_s / each.load.span_s:.2f}",
            f"{each.bare.others_cpu_s / each.bare.wall_s:.2f}",
        )
        for model, rounds in by_model.items()
        for each in rounds
    ]
    columns = (
        "model",
        "bare /s",
        "platform /s",
        "raw",
        "left",
        "client cores",
        "receiver cores",
        "strangers' cores",
        "strangers' cores, bare",
    )
    return Table(title="Each round", columns=columns, rows=tuple(rows))
