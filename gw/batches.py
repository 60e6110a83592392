"""Sends batches to the API and reads how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from gw.asking import Document, Refused, ask, away, path_to, problem_of, send
from pipeline.batches.batch import BatchState
from pipeline.errors import CallerError, Unavailable

#: A large archive takes its time over a slow network.
_UPLOAD_PATIENCE_S: Final = 3600.0
_POLL_S: Final = 0.5
_PIECE_BYTES: Final = 1024 * 1024

_ARCHIVES: Final = {".zip": "application/zip"}
_VIDEOS: Final = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}

TERMINAL: Final = frozenset(state.value for state in BatchState if state.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBody:
    """What is sent: a file as it is, or a JSON document."""

    content_type: str
    path: Path | None = None
    document: Document | None = None


def body_of(path: Path, fields: Mapping[str, str]) -> BatchBody:
    """Tell by a file's name what it is; a text file is a list of URLs, one a line.

    Raises CallerError for any other.
    """
    suffix = path.suffix.lower()
    if suffix in _ARCHIVES or suffix in _VIDEOS:
        return BatchBody(content_type=(_ARCHIVES | _VIDEOS)[suffix], path=path)
    if suffix == ".txt":
        lines = path.read_text("utf-8").splitlines()
        urls = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return BatchBody(content_type="application/json", document={"urls": urls, **fields})
    raise CallerError(
        f"{path} is no .zip archive, no video, and no .txt file with a URL in each line"
    )


def submit_batch(client: httpx.Client, path: Path, fields: Mapping[str, str]) -> Document:
    """Submit a file as a batch; give the batch. Raises CallerError or Unavailable."""
    body = body_of(path, fields)
    headers = {"Content-Type": body.content_type}
    if body.path is None:
        return ask(client, "POST", "/v1/batches", body=body.document)
    headers["Content-Length"] = str(body.path.stat().st_size)
    answer = send(
        client,
        "POST",
        "/v1/batches",
        params=dict(fields),
        content=_pieces(body.path),
        headers=headers,
        timeout=_UPLOAD_PATIENCE_S,
    )
    document: Document = answer.json()
    return document


def read_batch(client: httpx.Client, batch_id: str) -> Document:
    """Give a batch."""
    return ask(client, "GET", path_to("batches", batch_id))


def list_batches(client: httpx.Client, *, limit: int) -> list[Document]:
    """List the newest batches."""
    return list(ask(client, "GET", "/v1/batches", {"limit": str(limit)})["batches"])


def cancel_batch(client: httpx.Client, batch_id: str) -> Document:
    """Withdraw a batch."""
    return ask(client, "DELETE", path_to("batches", batch_id))


def save_results(
    client: httpx.Client, batch_id: str, form: str, write: Callable[[bytes], object]
) -> None:
    """Hand the results to *write*, piece by piece."""
    path = f"{path_to('batches', batch_id)}/results"
    try:
        with client.stream("GET", path, params={"format": form}) as answer:
            if not answer.is_success:
                answer.read()
                raise Refused(problem_of(answer))
            for piece in answer.iter_bytes():
                write(piece)
    except httpx.TransportError as error:
        raise away(client, error) from error


def follow_batch(
    client: httpx.Client,
    batch: Document,
    *,
    wait_s: float,
    progress: Callable[[Document], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Document:
    """Read *batch* until it has ended or *wait_s* is over, telling *progress* of every look."""
    deadline_s = time.monotonic() + wait_s
    while batch["state"] not in TERMINAL and time.monotonic() < deadline_s:
        sleep(_POLL_S)
        try:
            batch = read_batch(client, str(batch["id"]))
        except Unavailable:
            continue
        progress(batch)
    return batch


def summary_of(batch: Document) -> str:
    """Say in a few words how far a batch is.

    >>> summary_of({"items": {"total": 3, "expanded": 2, "refused": 1}, "jobs": {"succeeded": 1}})
    '2 of 3 items, 1 refused, 1 succeeded'
    """
    items, jobs = batch["items"], batch["jobs"]
    words = [f"{items['expanded']} of {items['total'] or '?'} items"]
    if items["refused"]:
        words.append(f"{items['refused']} refused")
    for state in ("live", "succeeded", "failed", "canceled", "expired"):
        if jobs.get(state):
            words.append(f"{jobs[state]} {state}")
    return ", ".join(words)


def _pieces(path: Path) -> Any:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
