"""What follows an attempt: whether the delivery is done, and if not, when to try again.

=====================================  ============================================================
the attempt came to                    the delivery is
=====================================  ============================================================
2xx                                    delivered
410                                    disabled: the receiver says it is gone for good
fault ``target_not_allowed``           exhausted at once: only the operator can change that
any other status                       retried. 3xx is not followed. 400, 401 and 403 are mended by
                                       setting a clock or replacing a key, so they are not final
any other fault                        retried
=====================================  ============================================================

What would be retried is exhausted once the schedule has no further delay.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Self

from egress.answer import Answer, FaultKind, Outcome
from pipeline.errors import InvalidSettings

#: The last attempt comes after three whole days: a site may be cut off for a weekend and more.
DEFAULT_SCHEDULE = "5s 30s 2m 10m 30m 2h 6h 12h 24h 28h"
#: The longest wait a receiver can ask for; a longer hint would let it park deliveries here.
MAX_HINT_S = 3600.0

_MAX_JITTER = 0.2
_MAX_DELAY_S = 7 * 86400.0
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DELAY = re.compile(r"([0-9]{1,7})([smhd])", re.ASCII)
_SECONDS = re.compile(r"[0-9]+", re.ASCII)


@enum.verify(enum.UNIQUE)
class Verdict(enum.StrEnum):
    """What becomes of a delivery after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    EXHAUSTED = "exhausted"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """The waits between attempts: *delays_s* has one for each attempt that is not the last."""

    delays_s: tuple[float, ...]

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Parse words such as ``5s 2m 1h 1d``; empty means one attempt. Raises InvalidSettings."""
        delays_s = []
        for word in setting.replace(",", " ").split():
            match = _DELAY.fullmatch(word)
            if match is None:
                raise InvalidSettings(f"{word!r} is not a delay such as 30s, 2m, 6h or 1d")
            delay_s = int(match[1]) * _UNIT_S[match[2]]
            if delay_s > _MAX_DELAY_S:
                raise InvalidSettings(f"{word!r} is a delay of more than 7 days")
            delays_s.append(delay_s)
        return cls(delays_s=tuple(delays_s))

    @property
    def max_attempts(self) -> int:
        """Give how many attempts a delivery gets."""
        return len(self.delays_s) + 1


def verdict(outcome: Outcome, schedule: RetrySchedule, *, attempt: int) -> Verdict:
    """Judge the outcome of attempt number *attempt* (from 1) by the table above."""
    if isinstance(outcome, Answer):
        if 200 <= outcome.status < 300:
            return Verdict.DELIVERED
        if outcome.status == 410:
            return Verdict.DISABLED
    elif outcome.kind is FaultKind.TARGET_NOT_ALLOWED:
        return Verdict.EXHAUSTED
    return Verdict.RETRY if attempt < schedule.max_attempts else Verdict.EXHAUSTED


def wait_s(
    schedule: RetrySchedule, *, attempt: int, randomness: float, hint_s: float | None = None
) -> float:
    """Give the seconds from failed attempt *attempt* (from 1) to the next one.

    The schedule's delay, or *hint_s* if that is longer, plus up to a fifth of it as *randomness*
    (0 to 1) says. Only added, never taken off: nobody is called earlier than promised. Raises
    ValueError for an attempt that no other follows.
    """
    if not 1 <= attempt < schedule.max_attempts:
        raise ValueError(f"no attempt follows attempt {attempt} of {schedule.max_attempts}")
    base_s = max(schedule.delays_s[attempt - 1], min(hint_s or 0.0, MAX_HINT_S))
    return base_s * (1 + _MAX_JITTER * randomness)


def retry_hint_s(outcome: Outcome, *, now_unix_s: float) -> float | None:
    """Give the seconds that the answer's Retry-After asks for, at most MAX_HINT_S, else None.

    A date is counted from the answer's own Date where it has one, since the box may have no clock
    to trust, else from *now_unix_s*. What is malformed, or lies in the past, is no hint.
    """
    value = outcome.header("retry-after") if isinstance(outcome, Answer) else None
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        # By length first: converting a header's worth of digits takes time and has a limit.
        return MAX_HINT_S if len(value) > 12 else min(float(value), MAX_HINT_S)
    moment_unix_s = _http_date_unix_s(value)
    if moment_unix_s is None:
        return None
    date = outcome.header("date") if isinstance(outcome, Answer) else None
    said_at_unix_s = _http_date_unix_s(date) if date is not None else None
    hint_s = moment_unix_s - (now_unix_s if said_at_unix_s is None else said_at_unix_s)
    return min(hint_s, MAX_HINT_S) if hint_s >= 0 else None


def clock_ahead_s(outcome: Outcome, *, now_unix_s: float) -> float | None:
    """Give how many seconds the receiver's clock is ahead of ours, by its Date; None without one.

    A Date counts whole seconds, so anything below two says nothing.
    """
    date = outcome.header("date") if isinstance(outcome, Answer) else None
    said_unix_s = _http_date_unix_s(date) if date is not None else None
    return None if said_unix_s is None else said_unix_s - now_unix_s


def _http_date_unix_s(value: str) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
        # A date without a zone ("-0000") is UTC in HTTP, but local time to timestamp().
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
