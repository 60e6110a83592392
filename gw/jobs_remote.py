"""Jobs as the API tells of them: listing, reading, canceling."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from gw.submit import problem_of, summary_of
from pipeline.errors import CallerError, Unavailable

Document = dict[str, Any]

COLUMNS: Final = ("job", "state", "model", "version", "priority", "accepted", "reference", "")

_PAGE_MAX = 200


class Refused(CallerError):
    """The API has refused a request; the message is its own."""

    code = "refused"


def ask(
    client: httpx.Client,
    method: str,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    body: Document | None = None,
) -> Document:
    """Ask the API for a document; raises Refused with its reason, or Unavailable."""
    try:
        answer = client.request(method, path, params=query, json=body)
    except httpx.TransportError as error:
        raise Unavailable(f"the API at {client.base_url} does not answer: {error}") from error
    if not answer.is_success:
        raise Refused(problem_of(answer))
    document: Document = answer.json() if answer.content else {}
    return document


def list_jobs(
    client: httpx.Client, filters: Mapping[str, str], *, limit: int
) -> Iterator[Document]:
    """Give at most *limit* jobs, newest first, page by page."""
    cursor: str | None = ""
    left = limit
    while left > 0 and cursor is not None:
        query = dict(filters) | {"limit": str(min(left, _PAGE_MAX))}
        page = ask(client, "GET", "/v1/jobs", query | ({"cursor": cursor} if cursor else {}))
        yield from page["jobs"]
        left -= len(page["jobs"])
        cursor = page["next"]


def path_of(job_id: str) -> str:
    """Give the path of a job, whatever was typed for its id."""
    return f"/v1/jobs/{quote(job_id, safe='')}"


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
