"""Listing jobs: what is asked for, and one page of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.ids import is_id
from pipeline.jobs.index import JobIndex, Span
from pipeline.jobs.job import Job, JobState
from webapp.paging import LOOKED_AT_ONCE, PAGE_DEFAULT, PAGE_MAX, read_matching
from webapp.queries import Query
from webapp.refusals import InvalidField

PARAMETERS = (
    "state",
    "model",
    "reference",
    "label",
    "accepted_from",
    "accepted_until",
    "limit",
    "cursor",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are asked for; empty for any. *before_id* is where the last page ended."""

    states: frozenset[JobState] = frozenset()
    model: str = ""
    reference: str = ""
    label: str = ""
    span: Span = Span()
    limit: int = PAGE_DEFAULT

    @classmethod
    def parse(cls, query: bytes) -> Wanted:
        """Read a query string; raises InvalidField."""
        parameters = Query.parse(query, known=PARAMETERS)
        cursor = parameters.text("cursor")
        if cursor and not is_id(f"job_{cursor}", "job"):
            raise InvalidField("This is no cursor that a list gave.", field="cursor")
        return cls(
            states=parameters.words("state", JobState),
            model=parameters.text("model"),
            reference=parameters.text("reference"),
            label=parameters.text("label"),
            span=Span(
                before_id=f"job_{cursor}" if cursor else "",
                from_unix_ms=parameters.unix_ms("accepted_from"),
                until_unix_ms=parameters.unix_ms("accepted_until"),
            ),
            limit=parameters.number("limit", default=PAGE_DEFAULT, low=1, high=PAGE_MAX),
        )

    def matches(self, job: Job) -> bool:
        """Whether *job* is one of them; its result is looked at when a label is asked for."""
        return (
            (not self.states or job.state in self.states)
            and self.model in ("", job.model)
            and self.reference in ("", job.reference)
            and (not self.label or has_label(job.result, self.label))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some jobs, newest first, and the cursor of the next page, "" when this is the last."""

    jobs: Sequence[Job]
    cursor: str


def has_label(result: str, label: str) -> bool:
    """Whether a stored result found *label*; a result of another shape found nothing."""
    if json.dumps(label, ensure_ascii=False) not in result and label.isascii():
        return False
    try:
        return label in json.loads(result)["counts"]["by_label"]
    except (ValueError, LookupError, TypeError):
        return False


async def read_page(
    index: JobIndex, tenant: str, wanted: Wanted, *, sees: Callable[[Job], bool]
) -> Page:
    """Give the next page of a tenant's jobs, of those that the caller *sees*."""
    span = wanted.span

    async def ids_before(job_id: str) -> Sequence[str]:
        return await index.ids(tenant, replace(span, before_id=job_id), limit=LOOKED_AT_ONCE)

    async def summaries(ids: Sequence[str]) -> Sequence[Job | None]:
        return await index.summaries(ids, with_result=bool(wanted.label))

    jobs, last = await read_matching(
        ids_before,
        summaries,
        lambda job: sees(job) and wanted.matches(job),
        before=span.before_id,
        limit=wanted.limit,
    )
    return Page(jobs=jobs, cursor=_cursor(last))


def _cursor(job_id: str) -> str:
    return job_id.removeprefix("job_")
