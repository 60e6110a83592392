"""The webhook receiver: a process that answers 204 and notes what came when."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable
from ctypes import c_longlong
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from types import TracebackType
from typing import Any, Self

import uvloop

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_START_TIMEOUT_S = 30.0

#: When a request came (perf_counter, the same in all processes), and its body.
Arrival = tuple[int, bytes]


class Receiver:
    """A running receiver. Its :attr:`count` is shared memory, readable in other processes too."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.count: Any = RawValue(c_longlong, 0)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, self.count), daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        """Start it."""
        self._process.start()
        if not self._pipe.poll(_START_TIMEOUT_S):
            raise TimeoutError("the webhook receiver did not start")
        self.port = self._pipe.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    def cpu_s(self) -> float:
        """Give the CPU time that it has taken so far."""
        return float(self._ask("cpu_s"))

    def take(self) -> list[Arrival]:
        """Give what has come, and forget it."""
        arrivals: list[Arrival] = self._ask("take")
        return arrivals

    def _ask(self, question: str) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()


def _run(pipe: Connection, count: Any) -> None:
    uvloop.run(_serve(pipe, count))


async def _serve(pipe: Connection, count: Any) -> None:
    arrivals: list[Arrival] = []

    def note(arrival: Arrival) -> None:
        arrivals.append(arrival)
        count.value += 1

    def answer() -> None:
        # The loop makes what it watches non-blocking, and a pipe's answers are whole or nothing.
        os.set_blocking(pipe.fileno(), True)
        question = pipe.recv()
        if question == "cpu_s":
            pipe.send(time.process_time())
        else:
            pipe.send(arrivals)
            arrivals.clear()
            count.value = 0

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Requests(note), "127.0.0.1", 0)
    loop.add_reader(pipe.fileno(), answer)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Requests(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other."""

    def __init__(self, note: Callable[[Arrival], None]) -> None:
        self._note = note
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            size_bytes = content_length(self._data[:end])
            whole = end + 4 + size_bytes
            if len(self._data) < whole:
                return
            self._note((time.perf_counter_ns(), self._data[end + 4 : whole]))
            self._data = self._data[whole:]
            self._transport.write(_ANSWER)


def content_length(head: bytes) -> int:
    """Read the length of a body out of the head of a message; 0 where it says nothing."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
