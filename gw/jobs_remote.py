"""Jobs as the API tells of them: listing, reading, canceling."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import httpx

from gw.asking import Document, ask, ask_pages, path_to
from gw.submit import summary_of

COLUMNS: Final = ("job", "state", "model", "version", "priority", "accepted", "reference", "")


def list_jobs(
    client: httpx.Client, filters: Mapping[str, str], *, limit: int
) -> Iterator[Document]:
    """Give at most *limit* jobs, newest first, page by page."""
    return ask_pages(client, "/v1/jobs", "jobs", filters, limit=limit)


def path_of(job_id: str) -> str:
    """Give the path of a job, whatever was typed for its id."""
    return path_to("jobs", job_id)


def show_job(client: httpx.Client, job_id: str) -> Document:
    """Give a job with its deliveries, and its result where it has one."""
    path = path_of(job_id)
    job = ask(client, "GET", path)
    has_result = job["state"] == "succeeded"
    return job | {
        "deliveries": ask(client, "GET", f"{path}/deliveries")["deliveries"],
        "result": ask(client, "GET", f"{path}/result") if has_result else None,
    }


def row_of(job: Document) -> tuple[str, ...]:
    """Give the row of a job in a table."""
    accepted = datetime.fromisoformat(job["accepted_at"]).astimezone()
    return (
        job["id"],
        job["state"],
        job["model"],
        job["version"],
        job["priority"],
        f"{accepted:%Y-%m-%d %H:%M:%S}",
        job["reference"] or "-",
        (job["reason"] or {}).get("detail", ""),
    )


def _input_line(job: Document) -> tuple[str, str]:
    picture, tensor = job["picture"], job.get("tensor")
    if picture is None:
        return "tensor", f"{tensor['datatype']} {tensor['shape']}" if tensor else "-"
    return "picture", f"{picture['format']}, {picture['width']} x {picture['height']}"


def lines_of(job: Document) -> list[tuple[str, str]]:
    """Give what is known about one job, as names and texts."""
    lines = [
        ("job", job["id"]),
        ("state", job["state"]),
        ("model", f"{job['model']} {job['version']}"),
        ("priority", job["priority"]),
        ("reference", job["reference"] or "-"),
        _input_line(job),
        ("accepted", job["accepted_at"]),
        ("started", job["started_at"] or "-"),
        ("finished", job["finished_at"] or "-"),
        ("deadline", job["deadline"] or "-"),
        ("reason", (job["reason"] or {}).get("detail") or "-"),
        ("found", summary_of(job["result"]) or "-"),
    ]
    if job["metadata"]:
        lines.append(("metadata", json.dumps(job["metadata"], ensure_ascii=False)))
    for each in job["deliveries"]:
        to = each["subscriber"]["endpoint"] or each["subscriber"]["url"] or "-"
        lines.append(("told", f"{to}: {each['state']}, {len(each['attempts'])} attempts"))
    return lines
