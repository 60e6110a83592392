"""Sending pictures and following their jobs, against a scripted API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gw.asking import problem_of
from gw.data_folder import DataFolder
from gw.submit import Wanted, find_api, submit_files, summary_of, took_ms
from pipeline.errors import AccessDenied, Unavailable

_WANTED = Wanted(model="cats", wait_s=5)


def _job(state: str, **changes: Any) -> dict[str, Any]:
    return {"id": "job_1", "state": state, "reason": None} | changes


class ScriptedApi:
    """Answers requests from lists, the last answer again and again, and remembers them."""

    def __init__(self, **answers: list[httpx.Response]) -> None:
        self._answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        kind = "result" if request.url.path.endswith("/result") else request.method.lower()
        answers = self._answers[kind]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def client(self) -> httpx.Client:
        """Give a client of it."""
        return httpx.Client(base_url="http://gw", transport=httpx.MockTransport(self))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Give a file."""
    path = tmp_path / "猫 1.jpg"
    path.write_bytes(b"\xff\xd8 bytes")
    return path


def _pauses() -> tuple[list[float], Callable[[float], None]]:
    pauses_s: list[float] = []
    return pauses_s, pauses_s.append


def test_gives_the_result_of_a_job_that_succeeds(picture: Path) -> None:
    """The bytes go out as they are, the job is followed, and its result comes back."""
    api = ScriptedApi(
        post=[httpx.Response(202, json=_job("queued"))],
        get=[
            httpx.Response(200, json=_job("running")),
            httpx.Response(200, json=_job("succeeded")),
        ],
        result=[httpx.Response(200, json={"counts": {"total": 2, "by_label": {}}})],
    )
    pauses_s, sleep = _pauses()

    (outcome,) = submit_files(api.client(), [picture], _WANTED, sleep=sleep)

    assert (outcome.state, outcome.error) == ("succeeded", "")
    assert outcome.result == {"counts": {"total": 2, "by_label": {}}}
    first = api.requests[0]
    assert first.content == b"\xff\xd8 bytes"
    assert dict(first.url.params) == {"model": "cats", "reference": "猫 1.jpg"}
    assert len(pauses_s) == 2


def test_tells_why_a_job_failed(picture: Path) -> None:
    """A job that ends otherwise comes back with its state and the platform's reason."""
    reason = {"code": "model_failed", "detail": "the model crashed"}
    api = ScriptedApi(
        post=[httpx.Response(202, json=_job("queued"))],
        get=[httpx.Response(200, json=_job("failed", reason=reason))],
    )

    (outcome,) = submit_files(api.client(), [picture], _WANTED, sleep=lambda _: None)

    assert (outcome.state, outcome.error) == ("failed", "the model crashed")


def test_one_refused_file_does_not_stop_the_others(picture: Path, tmp_path: Path) -> None:
    """Each file has its own outcome, in the order given, also one that cannot be read."""
    api = ScriptedApi(
        post=[
            httpx.Response(422, json={"detail": "Not a picture."}),
            httpx.Response(202, json=_job("queued")),
        ],
        get=[httpx.Response(200, json=_job("succeeded"))],
        result=[httpx.Response(200, json={})],
    )
    files = [picture, tmp_path / "missing.jpg", picture]

    outcomes = submit_files(api.client(), files, _WANTED, sleep=lambda _: None)

    assert [outcome.state for outcome in outcomes] == ["refused", "refused", "succeeded"]
    assert outcomes[0].error == "Not a picture."
    assert outcomes[1].error == "cannot be read: No such file or directory"


def test_comes_back_when_told_to(picture: Path) -> None:
    """A platform that is full is asked again after the time that it names."""
    api = ScriptedApi(
        post=[
            httpx.Response(429, headers={"retry-after": "7"}, json={"detail": "full"}),
            httpx.Response(503, headers={"retry-after": "2"}, json={"detail": "away"}),
            httpx.Response(202, json=_job("queued")),
        ]
    )
    pauses_s, sleep = _pauses()

    (outcome,) = submit_files(api.client(), [picture], Wanted(model="cats", wait_s=0), sleep=sleep)

    assert outcome.state == "queued"
    assert pauses_s == [7.0, 2.0]


def test_does_not_come_back_for_ever(picture: Path) -> None:
    """A platform that asks for more patience than there is ends as a refusal."""
    api = ScriptedApi(
        post=[httpx.Response(429, headers={"retry-after": "86400"}, json={"detail": "full"})]
    )
    pauses_s, sleep = _pauses()

    (outcome,) = submit_files(api.client(), [picture], _WANTED, sleep=sleep)

    assert (outcome.state, outcome.error) == ("refused", "full")
    assert pauses_s == []


def test_follows_nothing_when_not_asked_to_wait(picture: Path) -> None:
    """With no time to wait, a file is accepted and that is all."""
    api = ScriptedApi(post=[httpx.Response(202, json=_job("queued"))])

    (outcome,) = submit_files(
        api.client(), [picture], Wanted(model="cats", wait_s=0), sleep=lambda _: None
    )

    assert outcome.state == "queued"
    assert [request.method for request in api.requests] == ["POST"]


def test_an_api_that_is_away_is_one_sentence(picture: Path) -> None:
    """A connection that fails says where the API was looked for."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = httpx.Client(base_url="http://gw", transport=httpx.MockTransport(refuse))

    with pytest.raises(Unavailable, match="the API at http://gw does not answer"):
        submit_files(client, [picture], _WANTED)


def test_an_answer_that_is_no_problem_document_still_says_something() -> None:
    """A stranger's error page is told by its status."""
    assert problem_of(httpx.Response(502, text="<html>")) == "the API answered 502"
    assert problem_of(httpx.Response(400, json={"title": "Bad"})) == "Bad"
    assert problem_of(httpx.Response(400, json=["odd"])) == "the API answered 400"


def test_summaries_hold_what_was_found() -> None:
    """A result is summed up by its counts; without one there is nothing to say."""
    assert summary_of({"counts": {"total": 0, "by_label": {}}}) == "0"
    assert summary_of(None) == ""
    assert took_ms({"timings_ms": {"total": 12}}) == 12.0
    assert took_ms(None) is None


def test_the_key_and_the_address_have_an_order(tmp_path: Path) -> None:
    """Options go before the environment, and the environment before the data folder."""
    folder = DataFolder.at(tmp_path)
    folder.api_key.write_text("from-folder\n")
    key_file = tmp_path / "key"
    key_file.write_text("from-file\n")
    environ = {"GW_URL": "http://there", "GW_API_KEY": "from-environment"}

    by_option = find_api(environ, folder, url="http://here", key_file=key_file)
    by_environ = find_api(environ, folder, url=None, key_file=None)
    by_folder = find_api({"GW_URL": "http://there"}, folder, url=None, key_file=None)

    assert (by_option.url, by_option.token) == ("http://here", "from-file")
    assert (by_environ.url, by_environ.token) == ("http://there", "from-environment")
    assert by_folder.token == "from-folder"
    assert "from-folder" not in repr(by_folder)


def test_without_a_stack_or_a_key_it_says_what_is_missing(tmp_path: Path) -> None:
    """No running stack and no key are told apart, each with its remedy."""
    folder = DataFolder.at(tmp_path)

    with pytest.raises(Unavailable, match="`gw up`"):
        find_api({}, folder, url=None, key_file=None)
    with pytest.raises(AccessDenied, match="--key-file"):
        find_api({}, folder, url="http://here", key_file=None)
