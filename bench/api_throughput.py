"""The API under many clients that try again: no job is lost or doubled, and how many a second."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.api_clients import ApiAnswers, ApiLoad, answers_of, ready_clients, submit_all
from bench.bare_api import running_bare_api
from bench.load import wait_for
from bench.models import THUMBNAIL
from bench.pictures import describe, draw_pictures
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack
from gw.job_store import embedded_redis
from gw.stack import WEBAPP
from pipeline.connection import connect
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace

NAME = "api_throughput"

CLIENTS = 64
_LOOK_S = 0.05
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One load of the typed client. *accepted* is how many jobs the platform knows of it."""

    name: str
    answers: ApiAnswers
    accepted: int
    succeeded: int
    known: int

    @property
    def lost(self) -> int:
        """Jobs that a client was promised, and that did not end well."""
        return len(self.answers.job_ids) - self.known

    @property
    def doubled(self) -> int:
        """Jobs that no client was told of, or two were told of as one."""
        return self.accepted - len(set(self.answers.job_ids))


def measure(scale: Scale) -> Report:
    """Run both loads, with the webapp killed in the middle of the second; then the rates."""
    pictures = draw_pictures()
    settings = {"GW_RUNTIME": "bench.held_runtime:NoWorkRuntime"}
    with (
        tempfile.TemporaryDirectory(prefix="gw-bench-") as folder,
        running_stack(Path(folder), **settings) as stack,
    ):
        rounds = [
            _round(stack, scale.api_jobs, pictures, is_killed=is_killed)
            for is_killed in (False, True)
        ]
        rates = [_rates(stack, scale.api_posts, pictures) for _ in range(scale.rounds)]
    return _report(rounds, rates, pictures)


def _round(
    stack: RunningStack, count: int, pictures: tuple[bytes, ...], *, is_killed: bool
) -> _Round:
    before = stack.counts()
    load = _load(stack, count, pictures, is_typed=True)
    with ready_clients(load) as (pipe, begin):
        begin()
        if is_killed:
            wait_for(lambda: _total(stack.counts()) - _total(before) >= count // 2)
            stack.services.by_name[WEBAPP][0].kill()
        answers = answers_of(pipe)
    wait_for(lambda: _live(stack.counts()) == 0, timeout_s=_PATIENCE_S)
    after = stack.counts()
    return _Round(
        name="webapp killed in the middle" if is_killed else "undisturbed",
        answers=answers,
        accepted=_total(after) - _total(before),
        succeeded=after[JobState.SUCCEEDED] - before[JobState.SUCCEEDED],
        known=asyncio.run(_succeeded(stack, answers.job_ids)),
    )


def _rates(stack: RunningStack, count: int, pictures: tuple[bytes, ...]) -> tuple[float, float]:
    """Give the requests per second of the bare endpoint and of the API, one after the other."""
    with running_bare_api() as port:
        bare = submit_all(_load(stack, count, pictures, is_typed=False, port=port))
    api = submit_all(_load(stack, count, pictures, is_typed=False))
    wait_for(lambda: _live(stack.counts()) == 0, timeout_s=_PATIENCE_S)
    return count / bare.wall_s, count / api.wall_s


def _load(
    stack: RunningStack,
    count: int,
    pictures: tuple[bytes, ...],
    *,
    is_typed: bool,
    port: int = 0,
) -> ApiLoad:
    return ApiLoad(
        port=port or stack.port,
        key=stack.key,
        model=THUMBNAIL,
        pictures=pictures,
        count=count,
        clients=CLIENTS,
        is_typed=is_typed,
    )


def _total(counts: Mapping[JobState, int]) -> int:
    return sum(counts.values())


def _live(counts: Mapping[JobState, int]) -> int:
    time.sleep(_LOOK_S)
    return sum(count for state, count in counts.items() if not state.is_terminal)


async def _succeeded(stack: RunningStack, job_ids: tuple[str, ...]) -> int:
    """Count the jobs of these ids that have succeeded, each once."""
    async with connect(embedded_redis(stack.folder)) as redis:
        store = JobStore(redis, Keyspace())
        ids = sorted(set(job_ids))
        found = 0
        for first in range(0, len(ids), 500):
            jobs = await store.get_many(ids[first : first + 500])
            found += sum(job is not None and job.state is JobState.SUCCEEDED for job in jobs)
        return found


def _report(
    rounds: list[_Round], rates: list[tuple[float, float]], pictures: tuple[bytes, ...]
) -> Report:
    figures = []
    for each in rounds:
        reference = f"{len(each.answers.job_ids)} jobs by {CLIENTS} clients, {each.name}"
        for word, value in (("lost", each.lost), ("doubled", each.doubled)):
            figures.append(
                Figure(
                    name=f"jobs {word}, {each.name}",
                    value=value,
                    unit="jobs",
                    reference=reference,
                    bar=0.0,
                )
            )
    bare, api = median(each[0] for each in rates), median(each[1] for each in rates)
    figures.append(
        Figure(
            name="POST /v1/jobs / bare FastAPI endpoint",
            value=median(gw / plain for plain, gw in rates),
            unit="",
            reference=f"bare {bare:.0f}/s, API {api:.0f}/s",
        )
    )
    rows = tuple(
        (
            each.name,
            str(len(each.answers.job_ids)),
            str(each.accepted),
            str(each.succeeded),
            f"{len(each.answers.job_ids) / each.answers.wall_s:.0f}",
            f"{each.answers.slowest_ms:.0f} ms",
        )
        for each in rounds
    )
    return Report(
        name=NAME,
        figures=tuple(figures),
        tables=(
            Table(
                title="The typed client, with its retries on",
                columns=("round", "answered", "accepted", "succeeded", "/s", "slowest"),
                rows=rows,
            ),
        ),
        notes=(
            "A runtime that does no work stands behind the API; dispatcher, postprocess and the"
            " clients run on the same cores.",
            "The bare endpoint reads the same body and answers; the API checks, stores and promises"
            " it, on the disk, before it answers, and its jobs are worked on meanwhile.",
            f"Pictures: {describe(pictures)}.",
        ),
    )
