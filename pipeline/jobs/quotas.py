"""What one submission is held to when it is accepted: limits on counters, and token buckets.

The accept script checks all of them and takes the tokens in one step with storing the jobs, so a
refusal costs nothing and two submissions at once cannot pass a limit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The sum of some counters of ``pipeline/jobs/loads.py`` that *by* more may not pass.

    *name* tells in the refusal which ceiling it was. *unless* is another ceiling: only a submission
    that passes both is refused.
    """

    name: str
    fields: tuple[str, ...]
    by: int
    at_most: int
    unless: Ceiling | None = None

    def to_document(self) -> dict[str, Any]:
        """Give what the script reads."""
        document: dict[str, Any] = {
            "name": self.name,
            "fields": list(self.fields),
            "by": self.by,
            "max": self.at_most,
        }
        if self.unless is not None:
            document["unless"] = self.unless.to_document()
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A token bucket: *rate_per_s* flows in, *burst* is what it holds, a job takes one.

    A submission of more jobs than it holds takes what a full one has and leaves a debt.
    """

    name: str
    key: str
    rate_per_s: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """All that a submission is held to besides the platform's own queue."""

    ceilings: tuple[Ceiling, ...] = ()
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketLevel:
    """A bucket after the submission: what is left, and when it is full again.

    After a refusal for want of tokens *reset_ms* is when there are enough.
    """

    bucket: Bucket
    remaining: int
    reset_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why nothing was accepted: the *name* of a ceiling or a bucket.

    *amount* is the ceiling's sum before, or the milliseconds until the bucket has enough.
    """

    name: str
    amount: int


#: The name that stands for the platform's own limit of waiting jobs.
QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the script said about a submission's quota."""

    refusal: Refusal | None = None
    levels: tuple[BucketLevel, ...] = field(default=())

    @classmethod
    def parse(cls, quota: Quota, answer: Sequence[Any]) -> Checked:
        """Read ``name, amount, {remaining, reset_ms} per bucket``."""
        if not answer:
            return cls()
        name, amount, *levels = answer
        return cls(
            refusal=Refusal(name=str(name), amount=int(amount)) if name else None,
            levels=tuple(
                BucketLevel(bucket=bucket, remaining=int(level[0]), reset_ms=int(level[1]))
                for bucket, level in zip(quota.buckets, levels, strict=bool(levels))
            ),
        )
