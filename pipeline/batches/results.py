"""What became of a batch's items, as lines: while it runs from the records, then from a file.

One line of JSON per item, in the order of the items; the CSV is made of these lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from pipeline.batches.batch import Batch, Item
from pipeline.batches.store import BatchStore
from pipeline.documents import compact_json
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore

#: So many items are read in one round trip.
PAGE_ITEMS: Final = 200

CSV_COLUMNS: Final = ("index", "name", "job", "state", "error_code", "error", "result")

#: The state of an item that is no picture, and of one whose job nobody remembers.
REFUSED: Final = "refused"
FORGOTTEN: Final = "forgotten"

# What a spreadsheet would take for a formula (OWASP, CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def item_document(index: int, item: Item, job_id: str, job: Job | None) -> dict[str, Any]:
    """Give the document of one item without its result; null where there is nothing."""
    if item.error_code:
        refusal = {"code": item.error_code, "detail": item.error}
        return _document(index, item, job=None, state=REFUSED, error=refusal)
    if job is None:
        return _document(index, item, job=job_id, state=FORGOTTEN, error=None)
    error = {"code": job.reason_code, "detail": job.reason} if job.reason_code else None
    return _document(index, item, job=job_id, state=job.state, error=error)


def result_line(index: int, item: Item, job_id: str, job: Job | None) -> str:
    """Give one item's line, its stored result spliced in as it is."""
    text = compact_json(item_document(index, item, job_id, job))
    has_result = job is not None and job.state is JobState.SUCCEEDED and job.result
    return f'{text[:-1]},"result":{job.result if job and has_result else "null"}}}'


def csv_row(line: Mapping[str, Any]) -> list[str]:
    """Give a line's cells; what a spreadsheet would run as a formula is made text."""
    error = line.get("error") or {}
    result = line.get("result")
    cells = [
        str(line["index"]),
        line["name"],
        line.get("job") or "",
        line["state"],
        error.get("code", ""),
        error.get("detail", ""),
        "" if result is None else compact_json(result),
    ]
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Give rows as RFC 4180 has them."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def is_final(line: Mapping[str, Any]) -> bool:
    """Whether what a line says cannot change any more."""
    state = line["state"]
    return state == REFUSED or (state != FORGOTTEN and JobState(state).is_terminal)


async def result_lines(
    batch: Batch, *, batches: BatchStore, jobs: JobStore, earlier: Path
) -> AsyncIterator[list[str]]:
    """Give the lines of all items so far, page by page.

    *earlier* is the file of lines that were collected before: a job's record may have ended its
    retention meanwhile, and then its line there stands.
    """
    file = _open(earlier)
    try:
        for first in range(0, batch.counts.items, PAGE_ITEMS):
            items = await batches.items(batch.batch_id, first=first, limit=PAGE_ITEMS)
            ids = [batch.job_id(first + offset) for offset in range(len(items))]
            records = await jobs.get_many(ids)
            lines = []
            for offset, (item, job_id, job) in enumerate(zip(items, ids, records, strict=True)):
                known = file.readline().rstrip("\n") if file else ""
                is_forgotten = job is None and not item.error_code
                fresh = result_line(first + offset, item, job_id, job)
                lines.append(known if is_forgotten and known else fresh)
            yield lines
    finally:
        if file:
            file.close()


def _open(path: Path) -> IO[str] | None:
    try:
        return path.open("r", encoding="utf-8", newline="\n")
    except FileNotFoundError:
        return None


def _document(
    index: int, item: Item, *, job: str | None, state: str, error: Mapping[str, str] | None
) -> dict[str, Any]:
    return {"index": index, "name": item.name, "job": job, "state": state, "error": error}
