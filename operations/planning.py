"""What the planner does about an operation, from its RQ job: pure.

Our own records say which operations there must be; an RQ job is only a hint that one is under way.
RQ loses jobs between a pop and its bookkeeping, notices a killed worker after minutes, and gives up
after its retries: whatever it does, an operation that is still needed is asked for again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

#: A popped job is in no list for a moment; one that stays so for longer was lost with its worker.
LOST_AFTER_MS: Final = 5_000.0

#: What has failed is not asked for again at once: the cause may take its time to go.
FAILED_PAUSE_MS: Final = 10_000.0


class RqState(enum.Enum):
    """What RQ knows of a job, as far as it matters here."""

    #: RQ does not know it.
    ABSENT = enum.auto()
    #: In the queue's list.
    WAITING = enum.auto()
    #: It says that it waits, but stands in no list.
    UNLISTED = enum.auto()
    #: Being worked, as far as RQ knows.
    STARTED = enum.auto()
    #: Through, well or not.
    FINISHED = enum.auto()
    FAILED = enum.auto()


class Act(enum.Enum):
    """What to do about it."""

    NOTHING = enum.auto()
    #: Ask RQ for it.
    ENQUEUE = enum.auto()
    #: Forget what RQ has of it, and ask anew.
    RENEW = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RqJob:
    """An operation's RQ job. *worker* is who works it; *since_ms* is how long it has been so."""

    state: RqState
    worker: str = ""
    since_ms: float = 0.0


def act_on(job: RqJob, *, worker: str, own_prefix: str) -> Act:
    """Decide about a *job* whose operation is needed.

    *worker* is the name of this process's worker, and every worker that this process ever had has a
    name that begins with *own_prefix*: a job of an earlier one is nobody's any more.
    """
    match job.state:
        case RqState.ABSENT:
            return Act.ENQUEUE
        case RqState.FINISHED:
            return Act.RENEW
        case RqState.UNLISTED:
            return Act.RENEW if job.since_ms >= LOST_AFTER_MS else Act.NOTHING
        case RqState.FAILED:
            return Act.RENEW if job.since_ms >= FAILED_PAUSE_MS else Act.NOTHING
        case RqState.STARTED:
            is_orphan = job.worker.startswith(own_prefix) and job.worker != worker
            return Act.RENEW if is_orphan else Act.NOTHING
        case RqState.WAITING:
            return Act.NOTHING
