"""Checking the fields of a submission."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.policy import EgressPolicy
from pipeline.errors import CallerError
from pipeline.jobs.job import Priority
from webapp.refusals import InvalidField, RefusedTarget
from webapp.submission import Submission, parse_submission

NOW_UNIX_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z
SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()


def parse(**fields: Any) -> Submission:
    """Check fields, with a model among them."""
    return parse_submission(
        {"model": "echo"} | fields, now_unix_ms=NOW_UNIX_MS, egress=EgressPolicy()
    )


def refused(**fields: Any) -> InvalidField:
    """Check fields that must be refused; give the error."""
    with pytest.raises(InvalidField) as caught:
        parse(**fields)
    return caught.value


def test_a_model_is_enough() -> None:
    """Everything else has a default."""
    submission = parse()

    assert submission == Submission(
        model="echo",
        version="",
        priority=Priority.NORMAL,
        deadline_unix_ms=0,
        webhook=None,
        preview=False,
        reference="",
        metadata={},
    )


def test_fields_may_be_text() -> None:
    """A form and a query know no numbers."""
    submission = parse(version="2", priority="low", deadline_s="1.5", reference="订单 1 ☕")

    assert submission.version == "2"
    assert submission.priority is Priority.LOW
    assert submission.deadline_unix_ms == NOW_UNIX_MS + 1500
    assert submission.reference == "订单 1 ☕"


def test_the_missing_model_is_named() -> None:
    """A submission without a model says so."""
    with pytest.raises(InvalidField) as caught:
        parse_submission({}, now_unix_ms=NOW_UNIX_MS, egress=EgressPolicy())

    assert caught.value.field == "model"


def test_an_unknown_field_is_named_with_those_that_exist() -> None:
    """A misspelt field would silently do nothing otherwise."""
    with pytest.raises(InvalidField) as caught:
        parse_submission({"modle": "echo"}, now_unix_ms=NOW_UNIX_MS, egress=EgressPolicy())

    assert caught.value.field == "modle"
    assert "model" in caught.value.allowed


def test_an_unknown_field_of_the_webhook_is_named() -> None:
    """Inside of objects too."""
    error = refused(webhook={"url": "https://example.com", "token": "x"})

    assert error.field == "webhook.token"
    assert error.allowed == ("url", "secret", "endpoint")


def test_an_unknown_priority_lists_the_known() -> None:
    """The caller sees what would have been right."""
    error = refused(priority="urgent")

    assert (error.field, error.allowed) == ("priority", ("high", "normal", "low"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", "x" * 101),
        ("model", 5),
        ("model", "a\nb"),
        ("model", "\ud800"),
        ("version", ""),
        ("version", 1),
        ("version", "\x00"),
        ("reference", "x" * 201),
        ("reference", "a\x7fb"),
        ("reference", "half \udc00"),
        ("reference", None),
        ("metadata", "text"),
        ("metadata", [1]),
        ("metadata", {"a": "x" * 16_384}),
        ("metadata", {"a": "\ud800"}),
        ("metadata", {"a": float("inf")}),
        ("deadline_s", 0),
        ("deadline_s", -1),
        ("deadline_s", "nan"),
        ("deadline_s", "inf"),
        ("deadline_s", "soon"),
        ("deadline_s", 31 * 24 * 3600),
        ("deadline", "2027-01-15T07:59:59Z"),
        ("deadline", "2027-01-15T08:00:00Z"),
        ("deadline", "2027-01-15T16:00:01"),
        ("deadline", "2027-06-01T00:00:00Z"),
        ("deadline", "tomorrow"),
        ("deadline", "0001-01-01T00:00:00+14:00"),
        ("webhook", "https://example.com"),
        ("webhook", {}),
    ],
)
def test_a_value_that_cannot_be_is_refused(field: str, value: Any) -> None:
    """Each is told by the name of its field."""
    assert refused(**{field: value}).field == field


def test_a_deadline_is_a_moment() -> None:
    """Its offset counts."""
    assert parse(deadline="2027-01-15T16:00:01+08:00").deadline_unix_ms == NOW_UNIX_MS + 1000


def test_two_deadlines_are_one_too_many() -> None:
    """They could contradict each other."""
    assert refused(deadline_s=5, deadline="2027-01-15T16:00:01+08:00").field == "deadline"


def test_the_least_deadline_is_still_one() -> None:
    """A fraction of a millisecond does not become none."""
    assert parse(deadline_s=0.0001).deadline_unix_ms == NOW_UNIX_MS + 1


def test_metadata_may_be_as_large_as_promised() -> None:
    """16 KiB of compact JSON in UTF-8 are taken, a byte more is not."""
    room = 16 * 1024 - len('{"a":""}')

    assert parse(metadata={"a": "x" * room}).metadata == {"a": "x" * room}
    assert refused(metadata={"a": "x" * (room + 1)}).field == "metadata"


def test_metadata_may_not_be_bottomless() -> None:
    """Depth is bounded, since readers recurse."""
    deep: dict[str, Any] = {}
    for _ in range(31):
        deep = {"a": deep}

    assert parse(metadata=deep).metadata == deep
    assert refused(metadata={"a": [deep]}).field == "metadata"


def test_a_webhook_has_a_url_and_a_secret() -> None:
    """Both are kept as they are, and the secret is never shown."""
    submission = parse(webhook={"url": "https://example.com/h?token=1", "secret": SECRET})

    assert submission.webhook is not None
    assert submission.webhook.url == "https://example.com/h?token=1"
    assert submission.webhook.secret == SECRET
    assert SECRET not in repr(submission)
    assert "token" not in repr(submission)


def test_a_webhook_may_be_an_endpoint() -> None:
    """Its id is all that is needed."""
    submission = parse(webhook={"endpoint": "ep_1"})

    assert submission.webhook is not None
    assert (submission.webhook.endpoint_id, submission.webhook.url) == ("ep_1", "")


@pytest.mark.parametrize(
    ("webhook", "field"),
    [
        ({"url": "https://example.com"}, "webhook.secret"),
        ({"url": "https://example.com", "secret": "short"}, "webhook.secret"),
        ({"url": "https://example.com", "secret": SECRET[6:]}, "webhook.secret"),
        ({"url": "https://example.com", "secret": "whsec_MfKQ9r8G"}, "webhook.secret"),
        ({"url": "https://example.com", "secret": "whsec_" + "A" * 88}, "webhook.secret"),
        ({"url": "https://example.com", "secret": "whsec_\u00e9"}, "webhook.secret"),
        ({"url": "example.com", "secret": SECRET}, "webhook.url"),
        ({"url": "https://", "secret": SECRET}, "webhook.url"),
        ({"url": "https://a b/", "secret": SECRET}, "webhook.url"),
        ({"url": "https://a/\ud800", "secret": SECRET}, "webhook.url"),
        ({"url": "https://a/" + "x" * 2048, "secret": SECRET}, "webhook.url"),
        ({"endpoint": "ep_1", "secret": SECRET}, "webhook.secret"),
        ({"endpoint": "ep\ud800"}, "webhook.endpoint"),
        ({"endpoint": "ep_1", "url": "https://example.com"}, "webhook"),
        ({"secret": SECRET}, "webhook"),
    ],
)
def test_a_bad_webhook_is_refused(webhook: dict[str, str], field: str) -> None:
    """The field that is wrong is named, and its value is not repeated."""
    with pytest.raises((InvalidField, RefusedTarget)) as caught:
        parse(webhook=webhook)

    error = caught.value
    assert isinstance(error, InvalidField | RefusedTarget)
    assert error.field == field
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]:8080/",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "ftp://example.com/",
        "https://user:password@example.com/",
    ],
)
def test_a_webhook_to_a_forbidden_address_is_refused(url: str) -> None:
    """What can be known at once is not left to the first delivery."""
    with pytest.raises(RefusedTarget) as caught:
        parse(webhook={"url": url, "secret": SECRET})

    assert caught.value.field == "webhook.url"


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_FIELDS = ("version", "priority", "deadline_s", "deadline", "webhook", "reference", "metadata", "x")


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4))
def test_any_fields_are_taken_or_refused(fields: dict[str, Any]) -> None:
    """No field value has another outcome than a submission or a caller's error."""
    try:
        submission = parse(**fields)
    except CallerError:
        return
    assert submission.model == "echo"
