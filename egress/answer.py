"""What one exchange came to: an answer with a status, or a fault with a kind. Plain data."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


@enum.verify(enum.UNIQUE)
class FaultKind(enum.StrEnum):
    """Why there is no complete answer."""

    #: The egress policy forbids the target, or the URL is none.
    TARGET_NOT_ALLOWED = "target_not_allowed"
    #: The name was not resolved.
    DNS = "dns"
    #: No address of the name accepted a connection.
    CONNECT = "connect"
    #: The certificate or the handshake was not acceptable.
    TLS = "tls"
    #: The deadline of the whole exchange passed.
    TIMEOUT = "timeout"
    #: The connection ended before the answer did.
    RESET = "reset"
    #: The broker has refused the connection or the publication.
    REFUSED = "refused"
    #: What came is not HTTP/1.1, or its header is too large.
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer whose status and header came in time.

    *headers* are pairs in order, names in lower case, at most some 8 kB of them. *body* is the
    first bytes as sent, still encoded if the sender encoded them. *truncated* says that it is not
    whole: because the limit was reached, or because of *fault*.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False
    fault: FaultKind | None = None
    elapsed_ms: float

    def header(self, name: str) -> str | None:
        """Give the first value of header *name* (lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """No answer: *detail* is a sentence without URL, header or body, fit for a record."""

    kind: FaultKind
    detail: str
    elapsed_ms: float


#: What an attempt came to.
Outcome = Answer | Fault
