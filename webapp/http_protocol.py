"""The HTTP/1.1 connection: uvicorn's, with bounds where it has none.

Uvicorn with httptools takes a request head of any length and any number of headers, waits for ever
for a head that does not come, and reads the rest of a body for ever when its request was refused.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from webapp.event_stream import CUT_EXTENSION
from webapp.problems import MEDIA_TYPE, plain_problem

MAX_HEADERS = 100
#: Of the whole head; also of whatever else comes in without being body (trailers).
MAX_HEAD_BYTES = 64 * 1024
MAX_URL_BYTES = 8 * 1024

#: How long a request's head may take, from the connection's opening or its first byte.
HEAD_TIMEOUT_S = 10.0

#: What is still read behind a refusal, so that its sender gets to see the answer: to close on
#: unread bytes is to reset, and a reset takes the answer with it (RFC 9112, 9.6).
LINGER_BYTES = 64 * 1024 * 1024
LINGER_S = 10.0


class HeadTooLarge(Exception):
    """Ends the parsing of a head that is past its bounds."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusal_status = 400
        self._is_refused = False
        self._is_in_head = False
        self._has_progress = False
        self._head_bytes = 0
        self._silent_bytes = 0
        self._lingering_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin; the first head must come in time."""
        super().connection_made(transport)
        self._set_timer(HEAD_TIMEOUT_S, self._on_head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._clear_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came in, counting what is neither a whole head nor body."""
        if self._is_refused:
            self._linger(len(data))
            return
        self._has_progress = False
        super().data_received(data)
        if self._is_refused or self._has_progress:
            self._silent_bytes = 0
            return
        self._silent_bytes += len(data)
        if self._silent_bytes > MAX_HEAD_BYTES:
            self._refuse(431)
        elif self._is_in_head and self._timer is None:
            self._set_timer(HEAD_TIMEOUT_S, self._on_head_timeout)

    def on_message_begin(self) -> None:
        """Take note of a request's first byte."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refusal_status = 414
            raise HeadTooLarge

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._refusal_status = 431
            raise HeadTooLarge

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._is_in_head = False
        self._has_progress = True
        self._clear_timer()
        # For an answer whose reader does not read: nothing but this ends it.
        self.scope["extensions"] = {CUT_EXTENSION: {"call": self.transport.abort}}
        super().on_headers_complete()
        if self.expect_100_continue:
            # A refusal may come in place of "100 Continue". Then nobody can tell whether what
            # follows is the body after all or the next request (RFC 9110, 10.1.1).
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; past the answer it is only counted."""
        self._has_progress = True
        if self.cycle.response_complete:
            self._linger(len(body))
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take note of the body's end."""
        self._has_progress = True
        self._lingering_bytes = 0
        self._clear_timer()
        super().on_message_complete()
        self.cycle.more_body = False

    def on_response_complete(self) -> None:
        """Give the sender of an unread body a bounded time to finish it."""
        super().on_response_complete()
        answered = self.cycle.response_complete
        if answered and self.cycle.more_body and not self.transport.is_closing():
            self._set_timer(LINGER_S, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self._refuse(self._refusal_status)

    def _refuse(self, status: int) -> None:
        """Answer with a problem and close, once what is on its way has been let in."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                # What cannot be read came behind a whole request: that one is still answered.
                cycle.keep_alive = False
                return
            if self.pipeline or cycle.response_started:
                self.transport.close()
                return
            # The request breaks off here; its handler learns that nobody is there any more.
            cycle.disconnected = True
            cycle.message_event.set()
        problem = plain_problem(status, detail=_DETAILS[status])
        body = problem.to_json_bytes()
        head = [
            STATUS_LINE[status],
            *(b"%b: %b\r\n" % header for header in self.server_state.default_headers),
            b"content-type: %b\r\n" % MEDIA_TYPE.encode(),
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body),
        ]
        self.transport.write(b"".join(head) + body)
        self.transport.write_eof()
        self._set_timer(LINGER_S, self.transport.close)

    def _linger(self, size_bytes: int) -> None:
        self._lingering_bytes += size_bytes
        if self._lingering_bytes > LINGER_BYTES:
            self.transport.close()

    def _on_head_timeout(self) -> None:
        self._timer = None
        if self._is_in_head:
            self._refuse(408)
        else:
            self.transport.close()

    def _set_timer(self, delay_s: float, action: Any) -> None:
        self._clear_timer()
        self._timer = self.loop.call_later(delay_s, action)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_DETAILS = {
    400: "The request is not valid HTTP/1.1.",
    408: "The request's head did not arrive in time.",
    414: f"The URL is longer than {MAX_URL_BYTES} bytes.",
    431: f"The request has more than {MAX_HEADERS} headers, or more than {MAX_HEAD_BYTES} bytes"
    " of them.",
}
