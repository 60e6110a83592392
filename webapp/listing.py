"""Listing jobs: what is asked for, and one page of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.ids import is_id
from pipeline.jobs.index import JobIndex, Span
from pipeline.jobs.job import Job, JobState
from webapp.queries import Query
from webapp.refusals import InvalidField

PAGE_DEFAULT = 50
PAGE_MAX = 200

#: So many records are looked at for one page at most: a rare match must not hold the server up. A
#: page may therefore be short; the next one goes on where it ended.
LOOKED_AT_MAX = 1000
_LOOKED_AT_ONCE = 100

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
    found: list[Job] = []
    span, looked_at = wanted.span, 0
    while looked_at < LOOKED_AT_MAX:
        ids = await index.ids(tenant, span, limit=_LOOKED_AT_ONCE)
        jobs = await index.summaries(ids, with_result=bool(wanted.label)) if ids else []
        for position, job in enumerate(jobs, start=1):
            if job is not None and sees(job) and wanted.matches(job):
                found.append(job)
            if len(found) == wanted.limit:
                is_last = position == len(ids) < _LOOKED_AT_ONCE
                return Page(jobs=found, cursor="" if is_last else _cursor(ids[position - 1]))
        if len(ids) < _LOOKED_AT_ONCE:
            return Page(jobs=found, cursor="")
        looked_at += len(ids)
        span = Span(
            before_id=ids[-1], from_unix_ms=span.from_unix_ms, until_unix_ms=span.until_unix_ms
        )
    return Page(jobs=found, cursor=_cursor(span.before_id))


def _cursor(job_id: str) -> str:
    return job_id.removeprefix("job_")
