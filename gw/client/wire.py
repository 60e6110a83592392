"""What both clients do alike, without doing it: requests, answers, and flows of steps.

A flow is a generator that yields steps (send this, pause, hand this to the caller) and is sent what
came of each. It decides everything and touches nothing, so one flow serves the blocking client and
the asynchronous one, which only carry steps out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

T = TypeVar("T")

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"


class Body(Protocol):
    """What a request carries. *length_bytes* None is not known before it was read."""

    @property
    def content_type(self) -> str:
        """Its media type."""
        ...

    @property
    def length_bytes(self) -> int | None:
        """How long it is."""
        ...

    @property
    def can_repeat(self) -> bool:
        """Whether :meth:`pieces` may be called again."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """Give it from its beginning, piece by piece."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. *is_safe* means that sending it twice does no more than sending it once.

    *read_s* is how long it may be silent while it is answered; None leaves that to the client.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = field(default=None, repr=False)
    is_safe: bool = True
    read_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; header names are in lower case. Of an open stream the *body* is empty."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def document(self) -> dict[str, Any]:
        """Give the body as a JSON object; raises ValueError."""
        document = json.loads(self.body)
        if not isinstance(document, dict):
            raise ValueError("the body is no JSON object")
        return document


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; is answered with its :class:`Answer`, or TransportFailed is thrown."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and leave the answer's body to be read; one that is refused is whole.

    One answer is open at a time: opening another, or pausing, lets go of it.
    """

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Give the next piece of the open answer, None at its end; TransportFailed when it breaks."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Give:
    """Hand a value to whoever iterates; the flow goes on when the next one is asked for."""

    value: Any


Step: TypeAlias = Send | Open | Read | Pause | Give
Flow: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and what its answer means. *parse* is only given an answer 2xx."""

    request: Request
    parse: Callable[[Answer], T]


class JsonBody:
    """A JSON document as a body."""

    content_type = JSON_TYPE
    can_repeat = True

    def __init__(self, document: Any) -> None:
        self._data = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        self.length_bytes: int | None = len(self._data)

    def pieces(self) -> Iterator[bytes]:
        """Give it whole."""
        yield self._data


def path_of(*parts: str) -> str:
    """Give the path below ``/v1`` of *parts*, each of which stays one segment whatever it holds.

    >>> path_of("jobs", "../keys?x")
    '/v1/jobs/..%2Fkeys%3Fx'
    """
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def given(**values: Any) -> dict[str, str]:
    """Give those of *values* that are set as texts of a query."""
    return {
        name.rstrip("_"): str(value) for name, value in values.items() if value not in (None, "")
    }


class Walk(Generic[T]):
    """A flow on its way: hands out its steps, and holds what it gave in the end."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._results: list[T] = []

    @property
    def result(self) -> T:
        """What the flow gave, once :meth:`step` has given None."""
        return self._results[0]

    def step(self, came: Any) -> Step | None:
        """Give the next step after what *came* of the one before; None at the end.

        An exception is thrown into the flow, which may raise it.
        """
        try:
            if isinstance(came, Exception):
                return self._flow.throw(came)
            return self._flow.send(came)
        except StopIteration as stop:
            self._results.append(stop.value)
            return None

    def end(self) -> None:
        """Leave the flow where it is."""
        self._flow.close()
