"""What the flows decide, walked step by step."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gw.client import jobs
from gw.client.bodies import FileBody, FormBody
from gw.client.documents import Job
from gw.client.errors import ClientError, Overloaded, TransportFailed, UnexpectedAnswer
from gw.client.reading import read
from gw.client.retrying import Retrying, may_send_again, sent
from gw.client.streams import StreamReader
from gw.client.wire import Answer, Flow, Pause, Request, Send, Step, Walk
from tests.builders import make_job
from webapp.presentation import job_document

GET = Request(method="GET", path="/v1/jobs")
UNSAFE = Request(method="POST", path="/v1/keys", is_safe=False)


class Hands:
    """Answers the steps of a flow from a list; time passes by its pauses alone."""

    def __init__(self, *answers: Answer | ClientError) -> None:
        self._answers = list(answers)
        self.now_s = 0.0
        self.steps: list[Step] = []
        self.retrying = Retrying(monotonic_s=lambda: self.now_s, random=lambda: 0.0)

    def walk(self, flow_of: Callable[[Retrying], Flow[Any]]) -> Any:
        """Carry a flow out to its end."""
        walk: Walk[Any] = Walk(flow_of(self.retrying))
        came: Any = None
        while (step := walk.step(came)) is not None:
            self.steps.append(step)
            came = None
            if isinstance(step, Pause):
                self.now_s += step.seconds
            else:
                came = self._answers.pop(0)
        return walk.result

    @property
    def pauses_s(self) -> list[float]:
        """Give the pauses."""
        return [step.seconds for step in self.steps if isinstance(step, Pause)]


def refusal(status: int, retry_after: str = "") -> Answer:
    """Give a refusal."""
    return Answer(status=status, headers={"retry-after": retry_after} if retry_after else {})


def test_what_the_server_asks_for_is_waited() -> None:
    """And then the same is sent again."""
    hands = Hands(refusal(429, "7"), refusal(503, "2"), Answer(status=200))

    answer = hands.walk(lambda retrying: sent(GET, retrying))

    assert answer.status == 200
    assert hands.pauses_s == [7.0, 2.0]
    assert [step.request for step in hands.steps if isinstance(step, Send)] == [GET] * 3


def test_a_pause_that_is_too_long_is_not_begun() -> None:
    """The refusal is raised at once."""
    hands = Hands(refusal(429, "86400"))

    with pytest.raises(Overloaded):
        hands.walk(lambda retrying: sent(GET, retrying))
    assert hands.pauses_s == []


def test_pauses_grow_to_the_longest() -> None:
    """Until patience has ended."""
    hands = Hands(*[TransportFailed("away")] * 99)

    with pytest.raises(TransportFailed):
        hands.walk(lambda retrying: sent(GET, retrying))
    assert hands.pauses_s[:3] == [0.1, pytest.approx(0.15), pytest.approx(0.225)]
    assert max(hands.pauses_s) == 5.0
    assert 55 < sum(hands.pauses_s) <= 60


@pytest.mark.parametrize(
    ("request_", "error", "may"),
    [
        (GET, TransportFailed("x"), True),
        (UNSAFE, TransportFailed("x"), False),
        (UNSAFE, TransportFailed("x", was_sent=False), True),
        (GET, UnexpectedAnswer("x"), False),
        (
            Request(method="POST", path="/", body=type("Once", (FileBody,), {})(b"")),
            TransportFailed("x"),
            True,
        ),
    ],
)
def test_nothing_is_sent_twice_that_could_be_done_twice(
    request_: Request, error: ClientError, may: bool
) -> None:
    """Unless it certainly did not arrive."""
    assert may_send_again(request_, error) is may


def test_a_picture_alone_goes_raw_and_secrets_stay_out_of_the_url() -> None:
    """With its fields in the query and objects in headers of ASCII."""
    webhook = {"url": "https://example.com/?a=猫", "secret": "whsec_x"}
    request = jobs.submission(
        [b"pixels"],
        {"model": "echo", "preview": True, "webhook": webhook, "version": None},
        key="k",
        progress=None,
    )

    assert request.query == {"model": "echo", "preview": "true"}
    assert json.loads(request.headers["Gw-Webhook"]) == webhook
    assert request.headers["Gw-Webhook"].isascii()
    assert request.headers["Idempotency-Key"] == '"k"'
    assert "whsec" not in repr(request)


def test_a_form_is_as_long_as_it_says() -> None:
    """And whatever a file is called, its name is one word."""
    file = FileBody(b"pixels")
    form = FormBody({"model": "猫"}, [file, file], name="picture")
    data = b"".join(form.pieces())

    assert form.length_bytes == len(data)
    assert data == b"".join(form.pieces())
    assert data.count(b"pixels") == 2
    assert form.content_type.partition("boundary=")[2].encode() in data


def test_a_stream_is_cut_into_events_wherever_its_pieces_end() -> None:
    """Comments are passed over, and so are line ends of two kinds."""
    text = b'retry: 1\n\n: \n\nid: 1-0\r\nevent: a\r\ndata: {"n":\r\ndata: 1}\r\n\r\ndata:{}\n\n'
    for size in (1, 2, 7, len(text)):
        reader = StreamReader()
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        events = [event for piece in pieces for event in reader.feed(piece)]
        assert [(e.type, e.id, e.data) for e in events] == [
            ("a", "1-0", {"n": 1}),
            ("message", "", {}),
        ]


def test_a_stream_of_something_else_is_told() -> None:
    """Instead of being guessed at."""
    for block in (b"data: x\n\n", b"data: []\n\n"):
        with pytest.raises(UnexpectedAnswer):
            list(StreamReader().feed(block))


def test_a_newer_servers_document_is_read() -> None:
    """What is not known is passed over, and kept in the document."""
    document = job_document(make_job(metadata={"a": 1})) | {"new": 1, "state": "frozen"}

    job = read(Job, document)

    assert (job.state, job.metadata, job.has_ended) == ("frozen", {"a": 1}, False)
    assert job.accepted_at == datetime.fromisoformat(document["accepted_at"]).astimezone(UTC)
    assert job.document["new"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": 7},
        {"accepted_at": "yesterday"},
        {"accepted_at": "2026-11-22T01:06:24"},
        {"picture": []},
        {"metadata": "x"},
        {"picture": {"format": "jpeg", "width": True, "height": 1, "bytes": 1}},
    ],
)
def test_a_document_of_another_shape_is_told(change: dict[str, Any]) -> None:
    """With the place where it differs."""
    document = job_document(make_job()) | change

    with pytest.raises(UnexpectedAnswer, match=next(iter(change))):
        read(Job, document)


def test_a_document_that_lacks_something_is_told() -> None:
    """By its name."""
    document = job_document(make_job())
    del document["model"]

    with pytest.raises(UnexpectedAnswer, match="Job has no model"):
        read(Job, document)
