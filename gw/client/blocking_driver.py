"""Carries out flows with a blocking httpx client."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from gw.client.errors import TransportFailed
from gw.client.http import Options, answer_of, client_options, request_options, transport_errors
from gw.client.retrying import answered
from gw.client.wire import Answer, Call, Flow, Give, Open, Pause, Read, Request, Send, Step, T, Walk


class BlockingDriver:
    """The connections, and the ways to carry out a flow over them."""

    def __init__(
        self,
        url: str,
        key: str,
        options: Options | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self._options = options or Options()
        self._retrying = self._options.retrying
        self._http = httpx.Client(**client_options(url, key, self._options), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, call: Call[T]) -> T:
        return self._run(answered(call, self._retrying))

    def _run(self, flow: Flow[T]) -> T:
        steps = self._steps(flow)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                result: T = stop.value
                return result

    def _iterate(self, flow: Flow[Any]) -> Iterator[Any]:
        yield from self._steps(flow)

    def _steps(self, flow: Flow[T]) -> Generator[Any, None, T]:
        """Carry out a flow; what it gives is yielded."""
        hands, walk, came = _Hands(self), Walk(flow), None
        try:
            while (step := walk.step(came)) is not None:
                came = None
                if isinstance(step, Give):
                    yield step.value
                    continue
                try:
                    came = hands.do(step)
                except TransportFailed as exc:
                    came = exc
            return walk.result
        finally:
            walk.end()
            hands.let_go()

    def _send(self, request: Request) -> Answer:
        content = None if request.body is None else request.body.pieces()
        with transport_errors(self.url):
            return answer_of(
                self._http.request(**request_options(request, self._options), content=content)
            )

    def _open(self, request: Request) -> httpx.Response:
        options = request_options(request, self._options)
        return self._http.send(self._http.build_request(**options), stream=True)


class _Hands:
    """Carries out the steps of one flow, with at most one answer open."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver
        self._open: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def do(self, step: Step) -> Any:
        """Carry out a step; raises TransportFailed."""
        match step:
            case Send(request):
                return self._driver._send(request)
            case Open(request):
                return self._begin(request)
            case Read():
                with transport_errors(self._driver.url):
                    return next(self._pieces, None)
            case Pause(seconds):
                self.let_go()
                time.sleep(seconds)
        return None

    def let_go(self) -> None:
        """Close the open answer."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(self, request: Request) -> Answer:
        self.let_go()
        with transport_errors(self._driver.url):
            self._open = self._driver._open(request)
            is_open = self._open.is_success
            if not is_open:
                self._open.read()
            self._pieces = self._open.iter_bytes()
            return answer_of(self._open, is_open=is_open)
