"""Carries out flows with an asynchronous httpx client, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from gw.client.errors import TransportFailed
from gw.client.http import Options, answer_of, client_options, request_options, transport_errors
from gw.client.retrying import answered
from gw.client.wire import Answer, Call, Flow, Give, Open, Pause, Read, Request, Send, Step, T, Walk


class AsynchronousDriver:
    """The connections, and the ways to carry out a flow over them."""

    def __init__(
        self,
        url: str,
        key: str,
        options: Options | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self._options = options or Options()
        self._retrying = self._options.retrying
        self._http = httpx.AsyncClient(
            **client_options(url, key, self._options), transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, call: Call[T]) -> T:
        return await self._run(answered(call, self._retrying))

    async def _run(self, flow: Flow[T]) -> T:
        walk = Walk(flow)
        async for _ in self._steps(walk):
            pass
        return walk.result

    async def _iterate(self, flow: Flow[Any]) -> AsyncIterator[Any]:
        steps = self._steps(Walk(flow))
        try:
            async for value in steps:
                yield value
        finally:
            await steps.aclose()

    async def _steps(self, walk: Walk[Any]) -> AsyncGenerator[Any, None]:
        """Carry out a flow; what it gives is yielded."""
        hands, came = _Hands(self), None
        try:
            while (step := walk.step(came)) is not None:
                came = None
                if isinstance(step, Give):
                    yield step.value
                    continue
                try:
                    came = await hands.do(step)
                except TransportFailed as exc:
                    came = exc
        finally:
            walk.end()
            await hands.let_go()

    async def _send(self, request: Request) -> Answer:
        content = None if request.body is None else _apart(request.body.pieces())
        with transport_errors(self.url):
            return answer_of(
                await self._http.request(**request_options(request, self._options), content=content)
            )

    async def _open(self, request: Request) -> httpx.Response:
        options = request_options(request, self._options)
        return await self._http.send(self._http.build_request(**options), stream=True)


class _Hands:
    """Carries out the steps of one flow, with at most one answer open."""

    def __init__(self, driver: AsynchronousDriver) -> None:
        self._driver = driver
        self._open: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def do(self, step: Step) -> Any:
        """Carry out a step; raises TransportFailed."""
        match step:
            case Send(request):
                return await self._driver._send(request)
            case Open(request):
                return await self._begin(request)
            case Read() if self._pieces is not None:
                with transport_errors(self._driver.url):
                    return await anext(self._pieces, None)
            case Pause(seconds):
                await self.let_go()
                await asyncio.sleep(seconds)
        return None

    async def let_go(self) -> None:
        """Close the open answer."""
        self._pieces = None
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    async def _begin(self, request: Request) -> Answer:
        await self.let_go()
        with transport_errors(self._driver.url):
            self._open = await self._driver._open(request)
            is_open = self._open.is_success
            if not is_open:
                await self._open.aread()
            self._pieces = self._open.aiter_bytes()
            return answer_of(self._open, is_open=is_open)


async def _apart(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give pieces that are read in a thread: a disk may take its time."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
