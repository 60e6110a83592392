"""What follows an attempt: the verdict, the wait, and the receiver's own wish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.answer import Answer, Fault, FaultKind, Outcome
from notifier.schedule import (
    DEFAULT_SCHEDULE,
    MAX_HINT_S,
    RetrySchedule,
    Verdict,
    retry_hint_s,
    verdict,
    wait_s,
)
from pipeline.errors import InvalidSettings

DEFAULT = RetrySchedule.parse(DEFAULT_SCHEDULE)
# Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
NOW_UNIX_S = 784111777.0


def answer(status: int, **headers: str) -> Answer:
    """Give an answer with *status*; ``retry_after`` is the header retry-after."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status=status, headers=pairs, elapsed_ms=1.0)


def fault(kind: FaultKind) -> Fault:
    """Give a fault of *kind*."""
    return Fault(kind=kind, detail="a reason", elapsed_ms=1.0)


def test_the_default_schedule_is_the_documented_one() -> None:
    """Ten waits from five seconds on make eleven attempts; the last comes after three days."""
    assert DEFAULT.delays_s == (5, 30, 120, 600, 1800, 7200, 21600, 43200, 86400, 100800)
    assert DEFAULT.max_attempts == 11
    assert 72 * 3600 < sum(DEFAULT.delays_s) < 74 * 3600


@pytest.mark.parametrize(
    ("setting", "delays_s"),
    [("", ()), ("  ", ()), ("5s", (5,)), ("0s 1m,2h\n1d", (0, 60, 7200, 86400)), ("7d", (604800,))],
)
def test_a_schedule_is_read(setting: str, delays_s: tuple[float, ...]) -> None:
    """Words are separated by white space or commas; none means a single attempt."""
    assert RetrySchedule.parse(setting).delays_s == delays_s


@pytest.mark.parametrize("word", ["5", "s", "-5s", "1.5h", "5S", "5 s", "8d", "٥s", "5s;6s", "1w"])
def test_a_bad_delay_is_named(word: str) -> None:
    """A word that is no delay is refused and named."""
    with pytest.raises(InvalidSettings) as caught:
        RetrySchedule.parse(f"1s {word}")

    assert repr(word.split(maxsplit=1)[0]) in str(caught.value)


RETRIED_STATUSES = [100, 101, 199, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409]
RETRIED_STATUSES += [411, 413, 422, 425, 429, 500, 501, 502, 503, 504, 599, 999]
RETRIED_FAULTS = [kind for kind in FaultKind if kind is not FaultKind.TARGET_NOT_ALLOWED]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        *((answer(status), Verdict.DELIVERED) for status in (200, 201, 202, 204, 299)),
        (answer(410), Verdict.DISABLED),
        (fault(FaultKind.TARGET_NOT_ALLOWED), Verdict.EXHAUSTED),
    ],
)
@pytest.mark.parametrize("attempt", [1, 5, 11])
def test_a_final_outcome_is_final_on_any_attempt(
    outcome: Outcome, expected: Verdict, attempt: int
) -> None:
    """2xx delivers, 410 disables, a forbidden target exhausts, on every attempt alike."""
    assert verdict(outcome, DEFAULT, attempt=attempt) is expected


@pytest.mark.parametrize(
    "outcome",
    [*(answer(status) for status in RETRIED_STATUSES), *(fault(kind) for kind in RETRIED_FAULTS)],
)
def test_anything_else_is_retried_until_the_schedule_ends(outcome: Outcome) -> None:
    """Redirects, refusals, errors and faults are retried; the last attempt exhausts."""
    verdicts = [verdict(outcome, DEFAULT, attempt=attempt) for attempt in range(1, 12)]

    assert verdicts == [Verdict.RETRY] * 10 + [Verdict.EXHAUSTED]


def test_a_cut_body_does_not_take_the_delivery_back() -> None:
    """A 2xx whose body broke off is delivered: the receiver has spoken."""
    cut = Answer(status=200, truncated=True, fault=FaultKind.RESET, elapsed_ms=1.0)

    assert verdict(cut, DEFAULT, attempt=1) is Verdict.DELIVERED


def test_an_empty_schedule_has_one_attempt() -> None:
    """Without delays the first failure exhausts."""
    assert verdict(answer(500), RetrySchedule.parse(""), attempt=1) is Verdict.EXHAUSTED


def test_the_waits_without_jitter_are_the_schedule() -> None:
    """With no randomness and no hint, each wait is the schedule's own."""
    waits_s = [wait_s(DEFAULT, attempt=attempt, randomness=0.0) for attempt in range(1, 11)]

    assert tuple(waits_s) == DEFAULT.delays_s


@given(
    attempt=st.integers(1, 10),
    randomness=st.floats(0, 1),
    hint_s=st.none() | st.floats(0, 1e9),
)
def test_the_wait_is_within_its_bounds(
    attempt: int, randomness: float, hint_s: float | None
) -> None:
    """The wait is never before the schedule or the bounded hint, and at most a fifth beyond."""
    base_s = max(DEFAULT.delays_s[attempt - 1], min(hint_s or 0, MAX_HINT_S))

    waited_s = wait_s(DEFAULT, attempt=attempt, randomness=randomness, hint_s=hint_s)

    assert base_s <= waited_s <= base_s * 1.2 + 1e-6


def test_the_jitter_spreads_over_its_whole_range() -> None:
    """Randomness of 0, a half and 1 adds nothing, a tenth and a fifth."""
    waits_s = [wait_s(DEFAULT, attempt=4, randomness=r) for r in (0.0, 0.5, 1.0)]

    assert waits_s == pytest.approx([600, 660, 720])


def test_a_hint_lengthens_and_never_shortens() -> None:
    """The longer of schedule and hint counts, and an hour is the most that a hint is given."""
    assert wait_s(DEFAULT, attempt=1, randomness=0, hint_s=60) == 60
    assert wait_s(DEFAULT, attempt=4, randomness=0, hint_s=60) == 600
    assert wait_s(DEFAULT, attempt=1, randomness=0, hint_s=1e9) == 3600
    assert wait_s(DEFAULT, attempt=9, randomness=0, hint_s=1e9) == 86400


@pytest.mark.parametrize("attempt", [-1, 0, 11, 12])
def test_no_wait_follows_the_last_attempt(attempt: int) -> None:
    """Asking for the wait after an attempt that none follows is a defect of the caller."""
    with pytest.raises(ValueError, match="no attempt follows"):
        wait_s(DEFAULT, attempt=attempt, randomness=0)


@pytest.mark.parametrize(
    ("value", "hint_s"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("1000000000", 3600),
        ("9" * 100_000, 3600),
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120),
        ("Sunday, 06-Nov-94 08:51:37 GMT", 120),
        ("Sun Nov  6 08:51:37 1994", 120),
        ("Sun, 06 Nov 1994 09:51:37 +0100", 120),
        ("Sun, 06 Nov 1994 08:51:37 -0000", 120),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 2094 08:49:37 GMT", 3600),
        ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ("Sun, 06 Nov 1900 08:49:37 GMT", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("١٢", None),
        ("nan", None),
        ("soon", None),
        ("120, 240", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 10000 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999999999 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 99:99:99 GMT", None),
        ("Sun, 06 Nov 1994 08:51:37 +9999999999", None),
    ],
)
def test_a_retry_after_is_read(value: str, hint_s: float | None) -> None:
    """Seconds and HTTP dates are hints up to an hour; garbage and the past are none."""
    assert retry_hint_s(answer(429, retry_after=value), now_unix_s=NOW_UNIX_S) == hint_s


def test_a_date_is_counted_from_the_answers_own_date() -> None:
    """With a Date header the box's clock does not matter; without a good one it does."""
    later = "Sun, 06 Nov 1994 08:51:37 GMT"
    with_date = answer(503, retry_after=later, date="Sun, 06 Nov 1994 08:50:37 GMT")
    with_garbage = answer(503, retry_after=later, date="today")

    assert retry_hint_s(with_date, now_unix_s=0.0) == 60
    assert retry_hint_s(with_garbage, now_unix_s=NOW_UNIX_S) == 120


def test_no_header_is_no_hint() -> None:
    """An answer without Retry-After, or no answer, gives no hint."""
    assert retry_hint_s(answer(503), now_unix_s=NOW_UNIX_S) is None
    assert retry_hint_s(fault(FaultKind.TIMEOUT), now_unix_s=NOW_UNIX_S) is None


@given(value=st.text(), date=st.none() | st.text())
def test_any_header_is_a_bounded_hint_or_none(value: str, date: str | None) -> None:
    """Whatever a receiver sends, the hint is from 0 to an hour or there is none."""
    headers = {"retry_after": value} | ({} if date is None else {"date": date})

    hint_s = retry_hint_s(answer(429, **headers), now_unix_s=NOW_UNIX_S)

    assert hint_s is None or 0 <= hint_s <= MAX_HINT_S
