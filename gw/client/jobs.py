"""Jobs: what is asked for, and how a job is followed to its end."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal, TypedDict

from gw.client.bodies import FileBody, FormBody, Progress, Source, json_text, watched
from gw.client.documents import Delivery, Job, Result
from gw.client.errors import Conflict, NoResult, StillRunning, TransportFailed, problem_of
from gw.client.reading import read
from gw.client.retrying import Retrying, answered, removed, sent
from gw.client.streams import StreamReader
from gw.client.wire import (
    STREAM_TYPE,
    Answer,
    Body,
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

#: No server waits longer with an answer.
PREFER_MAX_S: Final = 60
#: A stream shows life every fifteen seconds, unless its server is set otherwise.
_STREAM_SILENCE_S: Final = 60.0
_STREAM_TRIES: Final = 3
#: Reading the job would be refused as well.
_STREAM_REFUSED: Final = frozenset({401, 403, 404})
_POLL_FIRST_S: Final = 0.05
_POLL_LAST_S: Final = 2.0
#: What may go into a header; more goes into a form.
_HEADER_MAX_BYTES: Final = 4096
_PAGE_MAX: Final = 200


class Webhook(TypedDict, total=False):
    """Where a job's end is told: ``url`` and ``secret``, or a registered ``endpoint``."""

    url: str
    secret: str
    endpoint: str


class JobOptions(TypedDict, total=False):
    """What may be said of a job besides its model and picture."""

    version: str
    priority: Literal["high", "normal", "low"]
    deadline_s: float
    deadline: datetime
    webhook: Webhook
    reference: str
    metadata: Mapping[str, Any]
    preview: bool


class Filters(TypedDict, total=False):
    """Which jobs a list is to have; *state* may be several, separated by commas."""

    state: str
    model: str
    reference: str
    label: str
    accepted_from: datetime
    accepted_until: datetime


def new_key() -> str:
    """Give a new idempotency key."""
    return str(uuid.uuid4())


def submission(
    sources: Sequence[Source],
    fields: Mapping[str, Any],
    *,
    key: str,
    progress: Progress | None,
) -> Request:
    """Ask for one job for each of *sources*: raw where one picture goes alone, else as a form.

    *fields* are the model and the options. Raises OSError for a path that cannot be read.
    """
    texts = _texts(fields)
    files = [FileBody(source) for source in sources]
    headers: dict[str, str] = {}
    inlined = {name: texts[name] for name in ("webhook", "metadata") if name in texts}
    body: Body
    if len(files) == 1 and sum(map(len, inlined.values())) <= _HEADER_MAX_BYTES:
        body = files[0]
        headers = {f"Gw-{name.capitalize()}": text for name, text in inlined.items()}
        texts = {name: text for name, text in texts.items() if name not in inlined}
    else:
        body = FormBody(texts, files, name="picture")
        texts = {}
    return _submission(watched(body, progress), texts, headers, key)


def url_submission(url: str, fields: Mapping[str, Any], *, key: str) -> Request:
    """Ask for a job for a picture that the server fetches."""
    document = {**fields, "picture_url": url}
    if isinstance(deadline := fields.get("deadline"), datetime):
        document["deadline"] = deadline.isoformat()
    return _submission(JsonBody(document), {}, {}, key)


def _submission(
    body: Body, query: Mapping[str, str], headers: Mapping[str, str], key: str
) -> Request:
    keyed = {"Idempotency-Key": f'"{key}"', **headers}
    return Request(method="POST", path=path_of("jobs"), query=query, headers=keyed, body=body)


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for name, value in fields.items():
        if value is None:
            continue
        if isinstance(value, bool):
            texts[name] = "true" if value else "false"
        elif isinstance(value, datetime):
            texts[name] = value.isoformat()
        elif isinstance(value, Mapping):
            texts[name] = json_text(value)
        else:
            texts[name] = str(value)
    return texts


def submit(request: Request, wait_s: float, retrying: Retrying) -> Flow[list[Job]]:
    """Submit; with *wait_s* give the jobs when they have ended, or as they are by then."""
    until_s = retrying.monotonic_s() + wait_s
    if wait_s >= 1:
        asked_s = int(min(wait_s, PREFER_MAX_S))
        prefer = {**request.headers, "Prefer": f"wait={asked_s}"}
        request = replace(request, headers=prefer, read_s=asked_s + 30.0)
    answer = yield from sent(request, retrying)
    jobs = _jobs_of(answer)
    if wait_s:
        for index, job in enumerate(jobs):
            left_s = max(0.0, until_s - retrying.monotonic_s())
            try:
                jobs[index] = yield from wait(job, left_s, retrying)
            except StillRunning as exc:
                jobs[index] = exc.last
    return jobs


def _jobs_of(answer: Answer) -> list[Job]:
    document = answer.document()
    return [read(Job, each) for each in document.get("jobs", [document])]


def job(job_id: str) -> Call[Job]:
    """Read a job."""
    request = Request(method="GET", path=path_of("jobs", job_id))
    return Call(request, lambda answer: read(Job, answer.document()))


def result(job_id: str) -> Call[Result]:
    """Read a job's result."""
    request = Request(method="GET", path=path_of("jobs", job_id, "result"))
    return Call(request, lambda answer: read(Result, answer.document()))


def cancel(job_id: str, retrying: Retrying) -> Flow[Job]:
    """Cancel a job; a repeated request that finds it canceled has done what it was to do."""
    request = Request(method="DELETE", path=path_of("jobs", job_id))
    answer = yield from sent(
        request,
        retrying,
        is_done=lambda error: isinstance(error, Conflict) and error.state == "canceled",
    )
    if answer.body:
        return read(Job, answer.document())
    return (yield from answered(job(job_id), retrying))


def remove(job_id: str, retrying: Retrying) -> Flow[None]:
    """Remove the record of a job that has ended."""
    return removed(Request(method="DELETE", path=path_of("jobs", job_id, "record")), retrying)


def kept(job_id: str, what: Literal["picture", "preview"]) -> Call[bytes]:
    """Read a job's picture or preview."""
    request = Request(method="GET", path=path_of("jobs", job_id, what))
    return Call(request, lambda answer: answer.body)


def deliveries(job_id: str) -> Call[list[Delivery]]:
    """Read how a job's end was told."""
    request = Request(method="GET", path=path_of("jobs", job_id, "deliveries"))
    return Call(
        request,
        lambda answer: [read(Delivery, each) for each in answer.document()["deliveries"]],
    )


def listed(filters: Mapping[str, Any], limit: int | None, retrying: Retrying) -> Flow[None]:
    """Give jobs, newest first, page by page; *limit* None gives all."""
    cursor, left = "", limit
    while left is None or left > 0:
        page = _PAGE_MAX if left is None else min(left, _PAGE_MAX)
        query = _texts(filters) | given(limit=page, cursor=cursor)
        request = Request(method="GET", path=path_of("jobs"), query=query)
        document = (yield from sent(request, retrying)).document()
        for each in document["jobs"]:
            yield Give(read(Job, each))
        left = None if left is None else left - len(document["jobs"])
        cursor = document["next"]
        if cursor is None:
            return


def followed(job_id: str, timeout_s: float, retrying: Retrying) -> Flow[Job]:
    """Follow the job of an id; see :func:`wait`."""
    seen = yield from answered(job(job_id), retrying)
    yield Give(seen)
    return (yield from wait(seen, timeout_s, retrying))


def wait(seen: Job, timeout_s: float, retrying: Retrying) -> Flow[Job]:
    """Give a job in each state that is seen, and at last with its result; raises StillRunning.

    By its stream, and by reading it now and then where that does not come through.
    """
    until_s = retrying.monotonic_s() + timeout_s
    streams_left, pause_s = _STREAM_TRIES, _POLL_FIRST_S
    while not seen.has_ended:
        began_s = retrying.monotonic_s()
        left_s = until_s - began_s
        if left_s <= 0:
            raise StillRunning(f"the job {seen.id} is still {seen.state}", seen)
        before = seen
        if streams_left:
            seen = yield from _stream(seen, left_s, retrying)
            # One that has told something, or lasted, was no failure: it is opened again.
            if seen.state == before.state and retrying.monotonic_s() - began_s < 1.0:
                streams_left -= 1
            continue
        yield Pause(min(pause_s, left_s))
        pause_s = min(_POLL_LAST_S, pause_s * 1.5)
        seen = yield from answered(job(seen.id), retrying)
        if seen.state != before.state:
            yield Give(seen)
    if seen.has_succeeded and seen.result is None:
        try:
            found = yield from answered(result(seen.id), retrying)
        except NoResult:
            return seen
        seen = replace(seen, result=found)
    return seen


def _stream(seen: Job, left_s: float, retrying: Retrying) -> Flow[Job]:
    """Follow a job's stream for *left_s* at most, or to its end; give the job as seen last."""
    silence_s = min(left_s, _STREAM_SILENCE_S)
    until_s = retrying.monotonic_s() + left_s
    request = Request(
        method="GET",
        path=path_of("jobs", seen.id, "events"),
        headers={"Accept": STREAM_TYPE},
        read_s=silence_s,
    )
    reader = StreamReader()
    try:
        answer: Answer = yield Open(request)
        if answer.status in _STREAM_REFUSED:
            raise problem_of(answer)
        if not answer.is_success or answer.media_type != STREAM_TYPE:
            return seen
        while (piece := (yield Read())) is not None:
            for event in reader.feed(piece):
                before, seen = seen, read(Job, event.data["data"])
                if seen.state != before.state:
                    yield Give(seen)
            # Opened anew with less patience, where the next silence might last too long.
            if seen.has_ended or until_s - retrying.monotonic_s() < silence_s:
                break
    except TransportFailed:
        pass
    return seen
