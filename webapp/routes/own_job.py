"""The job that a path names, for whoever may see it."""

from __future__ import annotations

from fastapi import Request

from pipeline.access.keys import Scope
from pipeline.errors import NotFound
from pipeline.ids import is_id
from pipeline.jobs.job import Job
from webapp.access import Caller
from webapp.parts import Parts
from webapp.routes.calling import caller_of_repeatable


async def own_job(parts: Parts, request: Request, scope: Scope = Scope.READ_OWN) -> Job:
    """Give the job that the path names; raises NotFound unless the caller sees it."""
    caller = await caller_of_repeatable(parts, request, scope)
    return await visible_job(parts, caller, request.path_params["job_id"], scope)


async def visible_job(parts: Parts, caller: Caller, job_id: str, scope: Scope) -> Job:
    """Give a job for what *scope* allows; raises NotFound unless the caller sees it."""
    job = await parts.store.get(job_id) if is_id(job_id, "job") else None
    is_own = job is not None and (job.tenant, job.key_id) == (caller.tenant, caller.key_id)
    # Whoever may submit may withdraw what it submitted, even where it may not read.
    if job is None or not (caller.sees(job) or (scope is Scope.SUBMIT and is_own)):
        raise NotFound("There is no job of this id.")
    return job
