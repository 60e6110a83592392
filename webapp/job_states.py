"""Following one job from the state in which it was seen to its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from pipeline.jobs.job import Job
from webapp.parts import Parts

#: Between two looks at a job that is followed; its end is told at once.
_LOOK_S = 1.0


async def states_of(parts: Parts, job: Job) -> AsyncGenerator[Job, None]:
    """Give each state that is seen, *job*'s first; what it passes through meanwhile is not."""
    told: Job | None = None
    with parts.ends.watch([job.job_id]) as waiter:
        while not parts.stopping.is_set():
            if told is None or (job.state, job.attempt) != (told.state, told.attempt):
                yield job
                told = job
            if job.state.is_terminal:
                return
            await waiter.wait(_LOOK_S)
            (seen,) = await parts.jobs.index.summaries([job.job_id])
            if seen is None:
                return
            job = seen
