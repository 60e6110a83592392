"""Memory and disk under a backlog: no service may grow with the number of waiting pictures."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.held_runtime import HOLD_VARIABLE
from bench.load import Load, ready_client, run_load, wait_for
from bench.models import THUMBNAIL
from bench.pictures import describe, draw_pictures
from bench.processes import SERVICES, folder_mb
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack
from gw.server import REDIS
from pipeline.jobs.job import JobState

NAME = "memory"
#: A service that kept so much as a bare record of each waiting job (1 kB) would grow by 7.5 MB
#: between the quarter and the whole of the backlog.
_BAR_MB = 4.0
_CALM_S = 1.0
_DRAIN_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """One look, with *waiting* jobs queued and *ended* ones recorded."""

    when: str
    waiting: int
    ended: int
    pss_mb: dict[str, float]
    redis_used_mb: float
    pictures_mb: float
    append_only_mb: float


def measure(scale: Scale) -> Report:
    """Let a backlog grow in front of a slow model, look at a quarter, half and all, drain it."""
    pictures = draw_pictures()
    with tempfile.TemporaryDirectory(prefix="gw-bench-") as folder:
        hold = Path(folder) / "hold"
        settings = {"GW_RUNTIME": "bench.held_runtime:HeldRuntime", HOLD_VARIABLE: str(hold)}
        with running_stack(Path(folder), **settings) as stack:
            samples = _samples(stack, hold, pictures, scale)
    return Report(
        name=NAME,
        figures=_figures(samples),
        tables=(_pss_table(samples), _store_table(samples)),
        notes=(
            "PSS: resident memory, pages that processes share counted in parts. 'empty' is after a"
            " warm-up at saturation, so that buffers and threads that are made once are there.",
            "The dispatcher lives and goes on claiming and decoding; only the model is slow.",
            f"Pictures: {describe(pictures)}.",
            _record_note(samples),
        ),
    )


def _samples(
    stack: RunningStack, hold: Path, pictures: tuple[bytes, ...], scale: Scale
) -> list[_Sample]:
    warm_up = Load(
        model=THUMBNAIL, pictures=pictures, count=2 * scale.warm_up_jobs, window=scale.window
    )
    run_load(stack, warm_up)
    samples = [_look(stack, "empty")]
    with _held(hold):
        submitted = 0
        for part, when in ((0.25, "quarter"), (0.5, "half"), (1.0, "whole")):
            _fill(stack, pictures, int(scale.backlog_jobs * part) - submitted)
            submitted = int(scale.backlog_jobs * part)
            samples.append(_look(stack, when))
    wait_for(lambda: stack.receiver.count.value >= scale.backlog_jobs, timeout_s=_DRAIN_TIMEOUT_S)
    stack.receiver.take()
    samples.append(_look(stack, "drained"))
    return samples


@contextmanager
def _held(hold: Path) -> Iterator[None]:
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


def _fill(stack: RunningStack, pictures: tuple[bytes, ...], count: int) -> None:
    """Submit *count* jobs without waiting for any of them."""
    load = Load(model=THUMBNAIL, pictures=pictures, count=count, window=count + 1_000_000)
    with ready_client(stack, load) as submit:
        submit()


def _look(stack: RunningStack, when: str) -> _Sample:
    time.sleep(_CALM_S)
    counts = stack.counts()
    return _Sample(
        when=when,
        waiting=counts[JobState.QUEUED],
        ended=sum(count for state, count in counts.items() if state.is_terminal),
        pss_mb=stack.services.pss_mb(),
        redis_used_mb=stack.redis_used_mb(),
        pictures_mb=folder_mb([str(stack.pictures)]),
        append_only_mb=folder_mb([str(stack.folder.redis)]),
    )


def _figures(samples: list[_Sample]) -> tuple[Figure, ...]:
    empty, quarter, _, whole, _ = samples
    reference = f"{quarter.waiting} to {whole.waiting} waiting"
    return tuple(
        Figure(
            name=f"growth of {service}",
            value=whole.pss_mb[service] - quarter.pss_mb[service],
            unit="MB",
            reference=f"{reference}; empty {empty.pss_mb[service]:.0f} MB",
            # Redis holds the jobs' records: it may grow.
            bar=None if service == REDIS else _BAR_MB,
        )
        for service in SERVICES
    )


def _pss_table(samples: list[_Sample]) -> Table:
    heads = tuple(f"{each.when} ({each.waiting} waiting)" for each in samples)
    rows = [(service, *(f"{each.pss_mb[service]:.1f}" for each in samples)) for service in SERVICES]
    rows.append(("all", *(f"{sum(each.pss_mb.values()):.1f}" for each in samples)))
    return Table(title="PSS, MB", columns=("service", *heads), rows=tuple(rows))


def _store_table(samples: list[_Sample]) -> Table:
    heads = tuple(f"{each.when} ({each.waiting} waiting)" for each in samples)
    rows = (
        ("Redis, used memory", *(f"{each.redis_used_mb:.1f}" for each in samples)),
        ("disk: append-only file", *(f"{each.append_only_mb:.1f}" for each in samples)),
        ("disk: waiting pictures", *(f"{each.pictures_mb:.1f}" for each in samples)),
    )
    return Table(title="Store and disk, MB", columns=("what", *heads), rows=rows)


def _record_note(samples: list[_Sample]) -> str:
    empty, _, _, whole, drained = samples
    waiting_kb = (whole.redis_used_mb - empty.redis_used_mb) * 1e3 / max(1, whole.waiting)
    ended = drained.ended - empty.ended
    ended_kb = (drained.redis_used_mb - empty.redis_used_mb) * 1e3 / max(1, ended)
    return (
        f"Redis holds {waiting_kb:.2f} kB per waiting job, and {ended_kb:.2f} kB per ended one with"
        " its result, delivery and attempt, for as long as records are kept."
    )
