"""The API's reference: a FastAPI endpoint that reads the same body and does nothing with it."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

_START_TIMEOUT_S = 30.0


@contextmanager
def running_bare_api() -> Iterator[int]:
    """Run it in a process of its own for as long as the block lasts; give its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(_START_TIMEOUT_S):
            raise TimeoutError("the bare endpoint did not start")
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _run(pipe: Connection) -> None:
    app = FastAPI()

    @app.post("/v1/jobs")
    async def submit(request: Request) -> JSONResponse:
        body = await request.body()
        return JSONResponse({"bytes": len(body)}, status_code=202)

    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])
    config = uvicorn.Config(app, loop="uvloop", http="httptools", ws="none", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
