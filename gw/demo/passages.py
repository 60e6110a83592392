"""Sends the demonstration's pictures, several at once, and follows each to its announcement."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from gw.asking import TRY_AGAIN, Document, problem_of
from gw.demo.pictures import Picture
from gw.submit import REFERENCE_MAX_CHARACTERS, TERMINAL

MODEL: Final = "text-det"

#: So many pictures are on their way at once.
IN_FLIGHT: Final = 4

_JOB_PATIENCE_S: Final = 60.0
#: A delivery that is not through by then waits for its second attempt, or worse.
_DELIVERY_PATIENCE_S: Final = 15.0
_WAIT_S: Final = 30
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One picture's way through all services.

    *error* says why there is no result. *webhook_id* is empty if nothing was announced;
    *attempts* counts what the notifier needed. *is_verified* is the receiver's word.
    """

    picture: Picture
    job: Document | None = None
    result: Document | None = field(default=None, repr=False)
    error: str = ""
    webhook_id: str = ""
    attempts: int = 0
    is_verified: bool = False

    @property
    def state(self) -> str:
        """The job's state; ``refused`` if there is no job."""
        return str(self.job["state"]) if self.job else "refused"

    @property
    def is_good(self) -> bool:
        """Whether there is a result and its announcement was verified."""
        return self.state == "succeeded" and self.result is not None and self.is_verified


#: Says whether the announcement of a result arrived: webhook id, job id, the result itself.
Verified = Callable[[str, str, Document | None], bool]


async def send_all(
    client: httpx.AsyncClient,
    pictures: Sequence[Picture],
    *,
    webhook: Mapping[str, str],
    verified: Verified,
    ended: Callable[[Passage], None],
) -> list[Passage]:
    """Send every picture and follow it; *ended* is told of each as it ends.

    *webhook* holds ``url`` and ``secret``. What goes wrong with one picture is in its passage.
    """
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def send(picture: Picture) -> Passage:
        async with gate:
            try:
                passage = await _pass(client, picture, webhook, verified)
            except httpx.TransportError as error:
                passage = Passage(picture=picture, error=f"the API does not answer: {error!r}")
        ended(passage)
        return passage

    return list(await asyncio.gather(*(send(picture) for picture in pictures)))


async def _pass(
    client: httpx.AsyncClient, picture: Picture, webhook: Mapping[str, str], verified: Verified
) -> Passage:
    answer = await _submit(client, picture, webhook)
    if not answer.is_success:
        return Passage(picture=picture, error=problem_of(answer))
    job = await _end_of(client, answer.json())
    result, error = None, ""
    if job["state"] == "succeeded":
        answer = await client.get(f"/v1/jobs/{job['id']}/result")
        result, error = (answer.json(), "") if answer.is_success else (None, problem_of(answer))
    else:
        reason = job.get("reason") or {}
        error = str(reason.get("detail") or f"the job is still {job['state']}")
    delivery = await _delivery(client, job["id"])
    return Passage(
        picture=picture,
        job=job,
        result=result,
        error=error,
        webhook_id=delivery["id"],
        attempts=len(delivery["attempts"]),
        is_verified=verified(delivery["id"], job["id"], result),
    )


async def _submit(
    client: httpx.AsyncClient, picture: Picture, webhook: Mapping[str, str]
) -> httpx.Response:
    """Post the picture, and again while the API asks to come back later."""
    query = {"model": MODEL}
    if picture.name.isprintable():
        query["reference"] = picture.name[:REFERENCE_MAX_CHARACTERS]
    deadline_s = time.monotonic() + _JOB_PATIENCE_S
    while True:
        answer = await client.post(
            "/v1/jobs",
            params=query,
            content=picture.data,
            headers={
                "Content-Type": "application/octet-stream",
                "Prefer": f"wait={_WAIT_S}",
                "Gw-Webhook": json.dumps(dict(webhook)),
            },
        )
        if answer.status_code not in TRY_AGAIN or time.monotonic() > deadline_s:
            return answer
        asked = answer.headers.get("retry-after", "")
        await asyncio.sleep(float(asked) if asked.isdecimal() else 1.0)


async def _end_of(client: httpx.AsyncClient, job: Document) -> Document:
    """Give the job when it has ended, or as it is when patience has."""
    deadline_s = time.monotonic() + _JOB_PATIENCE_S
    while job["state"] not in TERMINAL and time.monotonic() < deadline_s:
        await asyncio.sleep(_POLL_S)
        answer = await client.get(f"/v1/jobs/{job['id']}")
        if answer.is_success:
            job = answer.json()
    return job


async def _delivery(client: httpx.AsyncClient, job_id: str) -> Document:
    """Give the job's one delivery when it is through, or as it is when patience has ended."""
    delivery: Document = {"id": "", "state": "pending", "attempts": []}
    deadline_s = time.monotonic() + _DELIVERY_PATIENCE_S
    while delivery["state"] == "pending" and time.monotonic() < deadline_s:
        answer = await client.get(f"/v1/jobs/{job_id}/deliveries")
        if answer.is_success and answer.json()["deliveries"]:
            (delivery,) = answer.json()["deliveries"]
        await asyncio.sleep(0 if delivery["state"] != "pending" else _POLL_S)
    return delivery
