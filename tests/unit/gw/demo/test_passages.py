"""How the demonstration follows each picture, against an API that is scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gw.demo.passages import Passage, send_all
from gw.demo.pictures import Picture
from tests.unit.gw.demo.passages import make_result

WEBHOOK = {"url": "http://127.0.0.1:9/webhooks", "secret": "whsec_x"}
RESULT = make_result()


def job(state: str, **more: Any) -> dict[str, Any]:
    """Give a job's document."""
    return {"id": "job_1", "state": state, "picture": {"width": 4, "height": 3}} | more


class ScriptedApi:
    """Answers from lists, one answer for each request of a path, the last one again and again."""

    def __init__(self, **answers: list[httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = {
            "/v1/jobs": answers.get("submit", []),
            "/v1/jobs/job_1": answers.get("job", []),
            "/v1/jobs/job_1/result": [httpx.Response(200, json=RESULT)],
            "/v1/jobs/job_1/deliveries": answers.get("deliveries", [deliveries("delivered")]),
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        answers = self._answers[request.url.path]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def deliveries(state: str, *, attempts: int = 1) -> httpx.Response:
    """Give the answer that lists one delivery."""
    delivery = {"id": "msg_1", "state": state, "attempts": [{}] * attempts}
    return httpx.Response(200, json={"deliveries": [delivery]})


async def send(
    api: Callable[[httpx.Request], httpx.Response], *, is_verified: bool = True
) -> Passage:
    """Send one picture to *api*."""
    told: list[Passage] = []
    transport = httpx.MockTransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://gw") as client:
        (passage,) = await send_all(
            client,
            [Picture(name="page.png", data=b"pixels")],
            webhook=WEBHOOK,
            verified=lambda *_: is_verified,
            ended=told.append,
        )
    assert told == [passage]
    return passage


async def test_a_picture_that_succeeds_has_result_attempts_and_verdict() -> None:
    """An answer with the ended job gives result, delivery and the receiver's word."""
    api = ScriptedApi(
        submit=[httpx.Response(200, json=job("succeeded"))],
        deliveries=[deliveries("pending", attempts=0), deliveries("delivered", attempts=2)],
    )

    passage = await send(api)

    assert passage.is_good
    assert (passage.result, passage.webhook_id, passage.attempts) == (RESULT, "msg_1", 2)
    submitted = api.requests[0]
    assert submitted.content == b"pixels"
    assert json.loads(submitted.headers["gw-webhook"]) == WEBHOOK
    assert "whsec" not in str(submitted.url)


async def test_an_unverified_webhook_is_not_good() -> None:
    """The receiver's word counts, whatever the API says of the delivery."""
    api = ScriptedApi(submit=[httpx.Response(200, json=job("succeeded"))])

    assert not (await send(api, is_verified=False)).is_good


async def test_a_full_platform_is_asked_again() -> None:
    """429 with Retry-After is obeyed, and the picture sent once more."""
    full = httpx.Response(429, json={"detail": "Full."}, headers={"retry-after": "0"})
    api = ScriptedApi(submit=[full, full, httpx.Response(200, json=job("succeeded"))])

    assert (await send(api)).is_good
    assert len([each for each in api.requests if each.method == "POST"]) == 3


async def test_a_job_that_takes_longer_is_followed() -> None:
    """After a 202 the job is read until it has ended."""
    api = ScriptedApi(
        submit=[httpx.Response(202, json=job("queued"))],
        job=[httpx.Response(200, json=job("running")), httpx.Response(200, json=job("succeeded"))],
    )

    assert (await send(api)).is_good


async def test_a_failed_job_keeps_its_reason() -> None:
    """The job's own reason is what is told."""
    failed = job("failed", reason={"code": "undecodable_picture", "detail": "no pixels"})
    api = ScriptedApi(submit=[httpx.Response(200, json=failed)])

    passage = await send(api)

    assert (passage.state, passage.error, passage.is_good) == ("failed", "no pixels", False)


@pytest.mark.parametrize("status", [401, 415, 422])
async def test_a_refusal_is_told_in_its_own_words(status: int) -> None:
    """A problem document's sentence becomes the picture's error."""
    api = ScriptedApi(submit=[httpx.Response(status, json={"detail": "Not like this."})])

    passage = await send(api)

    assert (passage.state, passage.error) == ("refused", "Not like this.")


async def test_an_api_that_goes_away_fails_the_picture() -> None:
    """A broken connection is that picture's error, and not the end of the others."""

    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("gone", request=request)

    passage = await send(gone)

    assert "the API does not answer" in passage.error
