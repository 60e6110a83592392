"""When a request is sent again: never where that could do something twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gw.client.errors import ClientError, NotFound, ProblemError, TransportFailed, problem_of
from gw.client.wire import Answer, Call, Flow, Pause, Request, Send, T

#: Nothing was done, whatever the request: the API itself says so.
_REFUSED_UNDONE = frozenset({429})
#: Of the API or of a proxy in front of it; what was sent may have been done all the same.
_AWAY = frozenset({502, 503, 504})
#: The same request is being worked on: its answer is a matter of moments.
_IN_FLIGHT = "request_in_flight"
#: No later request of the same kind will be answered otherwise.
_HOPELESS = frozenset({"model_not_ready"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """How long to go on trying, and how long to pause where the API does not say.

    A pause that the API asks for is kept to, unless it would end after *give_up_s*: then the
    refusal is raised at once. Pauses grow by half from *first_pause_s* to *longest_pause_s*, and
    are cut by up to a half at random, so that many clients do not come back together.
    """

    give_up_s: float = 60.0
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    monotonic_s: Callable[[], float] = field(default=time.monotonic, repr=False)
    random: Callable[[], float] = field(default=random.random, repr=False)

    def pause_s(self, tries: int, error: ClientError) -> float:
        """Give the pause after so many *tries* that ended with *error*."""
        asked_s = error.retry_after_s if isinstance(error, ProblemError) else None
        if asked_s:
            # A little later than asked, never earlier.
            return asked_s + 0.1 * asked_s * self.random()
        grown_s: float = min(self.longest_pause_s, self.first_pause_s * 1.5 ** (tries - 1))
        return grown_s * (1 - 0.5 * self.random())


def may_send_again(request: Request, error: ClientError) -> bool:
    """Tell whether sending *request* again after *error* can help, and does nothing twice."""
    if request.body is not None and not request.body.can_repeat:
        return False
    if isinstance(error, TransportFailed):
        return request.is_safe or not error.was_sent
    if not isinstance(error, ProblemError) or error.code in _HOPELESS:
        return False
    if error.status in _REFUSED_UNDONE or error.code == _IN_FLIGHT:
        return True
    return request.is_safe and error.status in _AWAY


def answered(call: Call[T], retrying: Retrying) -> Flow[T]:
    """Send until there is an answer that is no passing refusal; raises what remains."""
    answer = yield from sent(call.request, retrying)
    return call.parse(answer)


def removed(request: Request, retrying: Retrying) -> Flow[None]:
    """Send a removal; one that was repeated and finds nothing has been done the first time."""
    yield from sent(request, retrying, is_done=lambda error: isinstance(error, NotFound))


def sent(
    request: Request,
    retrying: Retrying,
    *,
    is_done: Callable[[ProblemError], bool] = lambda _: False,
) -> Flow[Answer]:
    """Send until there is an answer 2xx; raises TransportFailed or ProblemError.

    *is_done* tells of a refusal that it means no more than that an earlier try, whose answer was
    lost, has done it; it is answered with an empty 204.
    """
    until_s = retrying.monotonic_s() + retrying.give_up_s
    tries, may_be_done = 0, False
    while True:
        tries += 1
        error: ClientError
        try:
            answer: Answer = yield Send(request)
        except TransportFailed as exc:
            error = exc
            may_be_done |= exc.was_sent
        else:
            if answer.is_success:
                return answer
            error = problem_of(answer)
            if may_be_done and is_done(error):
                return Answer(status=204)
            may_be_done |= answer.status in _AWAY
        pause_s = retrying.pause_s(tries, error)
        is_late = retrying.monotonic_s() + pause_s > until_s
        if is_late or not may_send_again(request, error):
            raise error
        yield Pause(pause_s)
