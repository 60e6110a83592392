"""Batches: an archive, a video or a list of URLs as one submission."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gw.client.bodies import FileBody, Progress, Source, json_text, watched
from gw.client.documents import Batch, BatchItem
from gw.client.errors import StillRunning, UnexpectedAnswer, problem_of
from gw.client.jobs import JobOptions
from gw.client.reading import read
from gw.client.retrying import Retrying, answered, sent
from gw.client.wire import (
    Answer,
    Call,
    Flow,
    Give,
    JsonBody,
    Open,
    Pause,
    Read,
    Request,
    given,
    path_of,
)

#: What a file is by its name.
TYPE_OF_SUFFIX: Final[Mapping[str, str]] = {
    ".zip": "application/zip",
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

_PAGE_MAX: Final = 200
_ITEM_PAGE_MAX: Final = 1000
_POLL_FIRST_S: Final = 0.25
_POLL_LAST_S: Final = 2.0
#: The answer comes when the whole source is on the disk.
_UPLOAD_SILENCE_S: Final = 600.0
_LINE_MAX_BYTES: Final = 64 * 1024 * 1024


class BatchOptions(JobOptions, total=False):
    """What may be said of every job of a batch, and of how a video is sampled."""

    every_frames: int
    every_s: float


def submission(
    source: Source,
    fields: Mapping[str, Any],
    *,
    content_type: str | None,
    progress: Progress | None,
) -> Request:
    """Ask for a batch of an archive or a video; *content_type* None goes by the file's name.

    Raises ValueError for a name that says nothing, and OSError for a path that cannot be read.
    """
    body = FileBody(source)
    body.content_type = content_type or _type_of(body.name)
    headers, query = {}, {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            headers[f"Gw-{name.capitalize()}"] = json_text(value)
        elif isinstance(value, datetime):
            query[name] = value.isoformat()
        elif isinstance(value, bool):
            query[name] = "true" if value else "false"
        elif value is not None:
            query[name] = str(value)
    return _submission(watched(body, progress), query, headers)


def url_submission(urls: Sequence[str], fields: Mapping[str, Any]) -> Request:
    """Ask for a batch of pictures that the server fetches."""
    document = {"urls": list(urls), **fields}
    if isinstance(deadline := fields.get("deadline"), datetime):
        document["deadline"] = deadline.isoformat()
    return _submission(JsonBody(document), {}, {})


def _submission(body: Any, query: Mapping[str, str], headers: Mapping[str, str]) -> Request:
    # Not safe to send twice: a batch has no idempotency key.
    return Request(
        method="POST",
        path=path_of("batches"),
        query=query,
        headers=headers,
        body=body,
        is_safe=False,
        read_s=_UPLOAD_SILENCE_S,
    )


def _type_of(name: str) -> str:
    kind = TYPE_OF_SUFFIX.get(Path(name).suffix.lower())
    if kind is None:
        raise ValueError(f"{name or 'the source'} is no .zip archive and no video by its name")
    return kind


def submit(request: Request) -> Call[Batch]:
    """Submit a batch."""
    return Call(request, _batch_of)


def batch(batch_id: str) -> Call[Batch]:
    """Read a batch with its first item errors."""
    return Call(Request(method="GET", path=path_of("batches", batch_id)), _batch_of)


def cancel(batch_id: str) -> Call[Batch]:
    """Withdraw a batch."""
    return Call(Request(method="DELETE", path=path_of("batches", batch_id)), _batch_of)


def _batch_of(answer: Answer) -> Batch:
    return read(Batch, answer.document())


def listed(limit: int | None, retrying: Retrying) -> Flow[None]:
    """Give batches, newest first, page by page; *limit* None gives all."""
    cursor, left = "", limit
    while left is None or left > 0:
        page = _PAGE_MAX if left is None else min(left, _PAGE_MAX)
        request = Request(
            method="GET", path=path_of("batches"), query=given(limit=page, cursor=cursor)
        )
        document = (yield from sent(request, retrying)).document()
        for each in document["batches"]:
            yield Give(read(Batch, each))
        left = None if left is None else left - len(document["batches"])
        cursor = document["next"]
        if cursor is None:
            return


def items(batch_id: str, retrying: Retrying) -> Flow[None]:
    """Give the items of a batch as far as it is expanded, in their order."""
    first: int | None = 0
    while first is not None:
        query = given(limit=_ITEM_PAGE_MAX, from_=first)
        request = Request(method="GET", path=path_of("batches", batch_id, "items"), query=query)
        document = (yield from sent(request, retrying)).document()
        for each in document["items"]:
            yield Give(read(BatchItem, each))
        first = document["next"]


def results(batch_id: str, retrying: Retrying) -> Flow[None]:
    """Give the items of a batch with their results, as far as they are there."""
    rest = b""
    yield from _open_results(batch_id, "jsonl", retrying)
    while (piece := (yield Read())) is not None:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LINE_MAX_BYTES:
            raise UnexpectedAnswer("a line of the results does not end")
        for line in lines:
            yield Give(_item_of(line))
    if rest.strip():
        yield Give(_item_of(rest))


def _item_of(line: bytes) -> BatchItem:
    try:
        return read(BatchItem, json.loads(line))
    except ValueError as exc:
        raise UnexpectedAnswer("a line of the results is no JSON") from exc


def raw_results(batch_id: str, form: str, retrying: Retrying) -> Flow[None]:
    """Give the results as they are written, piece by piece: ``jsonl`` or ``csv``."""
    yield from _open_results(batch_id, form, retrying)
    while (piece := (yield Read())) is not None:
        yield Give(piece)


def _open_results(batch_id: str, form: str, retrying: Retrying) -> Flow[None]:
    # What can pass is waited out by a small request; once pieces have come nothing is sent again.
    yield from answered(batch(batch_id), retrying)
    path = path_of("batches", batch_id, "results")
    answer: Answer = yield Open(Request(method="GET", path=path, query=given(format=form)))
    if not answer.is_success:
        raise problem_of(answer)


def wait(batch_id: str, timeout_s: float, retrying: Retrying) -> Flow[Batch]:
    """Give a batch each time that it is looked at, until it has ended; raises StillRunning."""
    until_s = retrying.monotonic_s() + timeout_s
    pause_s = _POLL_FIRST_S
    while True:
        seen = yield from answered(batch(batch_id), retrying)
        yield Give(seen)
        if seen.has_ended:
            return seen
        left_s = until_s - retrying.monotonic_s()
        if left_s <= 0:
            raise StillRunning(f"the batch {seen.id} is still {seen.state}", seen)
        yield Pause(min(pause_s, left_s))
        pause_s = min(_POLL_LAST_S, pause_s * 1.2)
