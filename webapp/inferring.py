"""Inference within one request: jobs like any other, waited for, and their raw outputs.

Each item of a request's batch is a job. So the scheduler batches it with whatever else waits for
the model, a tenant's turns and limits count what the device will do, and an item that the model
cannot bear fails alone. All are accepted in one step, or none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from starlette.types import Receive

from pipeline.errors import GwError, Overloaded, Unavailable
from pipeline.jobs.job import Job, JobState, PictureFacts, Priority
from pipeline.models.entry import ModelEntry
from webapp.accepting import check_pictures
from webapp.access import Caller
from webapp.admission import choose_version
from webapp.body import Holding
from webapp.open_inference.answer import ItemAnswer, outputs_of
from webapp.open_inference.fitting import Items
from webapp.parts import Parts
from webapp.refusals import OutputsGone
from webapp.submission import REFERENCE_MAX_CHARACTERS, Submission
from webapp.waiting import ended_unless_gone

log = logging.getLogger(__name__)

#: The format of what is no picture.
TENSOR_FORMAT = "tensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What is to be inferred. *version* is "" for the newest; *timeout_s* 0 for the longest."""

    model: str
    version: str
    items: Items = field(repr=False)
    request_id: str = ""
    priority: Priority = Priority.NORMAL
    timeout_s: float = 0.0


class Inferring:
    """Runs inferences."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def model(self, name: str, version: str) -> tuple[ModelEntry, str]:
        """Give a model and the version that runs; raises as POST /v1/jobs does."""
        models = await self._parts.monitor.models(wanted=name)
        runs = choose_version(models, model=name, version=version)
        return models[name], runs

    async def run(
        self, inference: Inference, caller: Caller, receive: Receive, holding: Holding
    ) -> list[Job]:
        """Have the items inferred; give their jobs, ended, withdrawn where the time was over.

        Or where the caller went away. Raises what accepting raises. *holding* is released, and
        the items are emptied, once everything is accepted.
        """
        parts = self._parts
        wait_s = self._wait_s(inference.timeout_s)
        jobs = await self._plan(inference, caller, wait_s)
        with parts.ends.watch([job.job_id for job in jobs]) as waiter:
            await parts.accepting.accept(jobs, inference.items.data)
            inference.items.data.clear()
            holding.release()
            try:
                ended = await ended_unless_gone(receive, waiter, wait_s)
                if not ended and waiter.missing:
                    # One that waits no longer than its deadline is told so by its record.
                    ended = await self._settled(jobs)
            except asyncio.CancelledError:
                await asyncio.shield(self._withdraw(jobs))
                raise
        if not ended:
            await self._withdraw(jobs)
        records = await parts.store.get_many([job.job_id for job in jobs])
        return [record for record in records if record is not None]

    async def answers(self, jobs: Sequence[Job], holding: Holding) -> list[ItemAnswer]:
        """Give the outputs of succeeded jobs; raises OutputsGone, or Overloaded past the budget."""
        answers = []
        for job in jobs:
            outputs = outputs_of(job.result)
            holding.add(2 * sum(output.size_bytes for output in outputs))
            data = await asyncio.to_thread(self._parts.jobs.kept.outputs, job.job_id)
            if data is None:
                raise OutputsGone
            answers.append(ItemAnswer(outputs=outputs, data=data))
        return answers

    async def drop_outputs(self, jobs: Sequence[Job]) -> None:
        """Remove outputs that were given to whoever asked for them."""
        for job in jobs:
            try:
                await asyncio.to_thread(self._parts.jobs.kept.remove_outputs, job.job_id)
            except OSError as exc:
                log.warning(
                    "outputs.undeleted", extra={"job_id": job.job_id, "reason": str(exc.strerror)}
                )

    def _wait_s(self, timeout_s: float) -> float:
        longest_s = self._parts.settings.wait_max_s
        if not longest_s:
            raise Unavailable("waiting for results is switched off here")
        if not self._parts.ends.has_room:
            raise Overloaded("Too many requests wait for their results.", retry_after_s=1)
        return min(timeout_s or longest_s, longest_s)

    async def _plan(self, inference: Inference, caller: Caller, wait_s: float) -> list[Job]:
        parts, items = self._parts, inference.items
        submission = Submission(
            model=inference.model,
            version=inference.version,
            priority=inference.priority,
            deadline_unix_ms=parts.clock.unix_ms() + max(1, round(wait_s * 1000)),
            webhook=None,
            preview=False,
            reference=_reference(inference.request_id),
            metadata={},
        )
        if items.tensor is None:
            max_pixels = parts.settings.uploads.picture_max_pixels
            facts = check_pictures(items.data, max_pixels=max_pixels)
        else:
            facts = [
                PictureFacts(format=TENSOR_FORMAT, width_px=0, height_px=0, size_bytes=len(each))
                for each in items.data
            ]
        jobs = await parts.accepting.plan(submission, facts, caller=caller)
        if items.tensor is None:
            return [replace(job, raw_outputs=True) for job in jobs]
        return [
            replace(job, raw_outputs=True, tensor=items.tensor, keep_picture_s=0) for job in jobs
        ]

    async def _settled(self, jobs: Sequence[Job]) -> bool:
        records = await self._parts.store.get_many([job.job_id for job in jobs])
        return all(record is not None and record.state.is_terminal for record in records)

    async def _withdraw(self, jobs: Sequence[Job]) -> None:
        """Cancel what has not ended: nobody waits for it any more."""
        for job in jobs:
            # It may have ended meanwhile, and Redis may be away: its deadline ends it then.
            with suppress(GwError):
                await self._parts.jobs.withdrawing.cancel(job)


def is_whole(jobs: Sequence[Job]) -> bool:
    """Whether every item has its outputs."""
    return all(job.state is JobState.SUCCEEDED for job in jobs)


def _reference(request_id: str) -> str:
    is_fit = request_id.isprintable() and len(request_id) <= REFERENCE_MAX_CHARACTERS
    return request_id if is_fit else ""
