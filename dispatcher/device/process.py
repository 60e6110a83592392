"""The device process: runs the runtime for its supervisor, requests in order.

Every request is answered before the next is begun, but for batches of a runtime that can stage
them: the next one is brought to the device while the last one runs.

Started as ``python -m dispatcher.device.process <socket> <memory> <bytes> <parent> <name>``, a new
interpreter: pyACL does not survive a fork. It stops when its supervisor closes the socket or dies.
It ignores SIGINT and SIGTERM, which reach a whole terminal or service: the supervisor decides.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.device.arena import SharedMemory, aligned
from dispatcher.device.errors import DeviceLost
from dispatcher.device.messages import (
    Blame,
    Describe,
    Described,
    Done,
    Failed,
    FrameReader,
    HealthRead,
    Infer,
    Inferred,
    Load,
    OutputPlace,
    OutputsTooLarge,
    ReadHealth,
    Reply,
    Request,
    Start,
    Unload,
    encode,
)
from dispatcher.device.pipeline import Pipeline
from dispatcher.device.staging import Stager
from dispatcher.device.warming import warm_up
from dispatcher.runtime import Runtime, StagingRuntime, checked_outputs, create_runtime
from pipeline.errors import ContractBroken, InvalidSettings, ModelFault, UndecodablePicture

_RECEIVE_BYTES = 1 << 16
_LONGEST_REASON = 500
# The first that fits counts.
_BLAMES: Mapping[type[Exception], Blame] = {
    DeviceLost: Blame.DEVICE,
    InvalidSettings: Blame.SETTINGS,
    ContractBroken: Blame.CONTRACT,
    UndecodablePicture: Blame.PICTURE,
    ModelFault: Blame.MODEL,
}
# For errors that are not ours.
_BLAMES_BY_KIND: Mapping[type[Request], Blame] = {
    Infer: Blame.MODEL,
    Load: Blame.SETTINGS,
    Start: Blame.SETTINGS,
}
# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class RequestHandler:
    """Answers requests with the help of a runtime and the shared *memory*."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._runtime: Runtime | None = None
        self._scratch: NDArray[np.uint8] = np.empty(0, np.uint8)

    @property
    def staging(self) -> StagingRuntime | None:
        """The runtime, if batches can be staged with it."""
        return self._runtime if isinstance(self._runtime, StagingRuntime) else None

    def answer(self, request: Request) -> Reply:
        """Do what *request* asks for; whatever goes wrong becomes the answer."""
        return answered(type(request), lambda: self._do(request))

    def close(self) -> None:
        """Have the runtime give everything back."""
        if self._runtime is not None:
            self._runtime.close()

    def _do(self, request: Request) -> Reply:
        if isinstance(request, Start):
            self._runtime = create_runtime(request.runtime, request.options)
            return Done()
        if self._runtime is None:
            raise ContractBroken(f"{type(request).__name__} came before Start")
        match request:
            case Infer():
                return self._infer(self._runtime, request)
            case Load(key=key, card=card, path=path):
                description = self._runtime.load(key, card, path)
                if card.warm_up:
                    warm_up(self._runtime, description, key, card)
                return Described(description=description)
            case Unload(key=key):
                self._runtime.unload(key)
                return Done()
            case Describe(card=card, path=path):
                return Described(description=self._runtime.describe(card, path))
            case ReadHealth():
                return HealthRead(health=self._runtime.health())

    def _infer(self, runtime: Runtime, request: Infer) -> Reply:
        if any(request.encoded):
            raise ContractBroken("the runtime decodes no pictures")
        batch = self._gather(request)
        started_s = time.perf_counter()
        outputs = runtime.infer(request.key, batch)
        device_ms = (time.perf_counter() - started_s) * 1000
        checked_outputs(outputs, len(request.offsets))
        needed_bytes = sum(aligned(values.nbytes) for values in outputs.values())
        if needed_bytes > request.output_bytes:
            return OutputsTooLarge(needed_bytes=needed_bytes)
        places = self._write(outputs, request.output_offset)
        return Inferred(outputs=places, used_bytes=needed_bytes, device_ms=device_ms)

    def _gather(self, request: Infer) -> NDArray[Any]:
        """Give the batch in one piece: where it lies if the items touch, else a copy."""
        count, first = len(request.offsets), request.offsets[0]
        item = self._memory.view(first, request.shape, request.dtype)
        if request.offsets == tuple(range(first, first + count * item.nbytes, item.nbytes)):
            return self._memory.view(first, (count, *request.shape), request.dtype)
        batch_bytes = count * item.nbytes
        if self._scratch.nbytes < batch_bytes:
            # Kept for the next batch: fresh pages cost more than the copy.
            self._scratch = np.empty(batch_bytes, np.uint8)
        batch: NDArray[Any] = np.ndarray((count, *request.shape), request.dtype, self._scratch)
        for position, offset in enumerate(request.offsets):
            batch[position] = self._memory.view(offset, request.shape, request.dtype)
        return batch

    def _write(self, outputs: Mapping[str, NDArray[Any]], offset: int) -> tuple[OutputPlace, ...]:
        places = []
        for name, values in outputs.items():
            if values.dtype.hasobject:
                raise ModelFault(f"the model's output {name!r} is not numeric")
            self._memory.view(offset, values.shape, values.dtype)[...] = values
            places.append(
                OutputPlace(name=name, offset=offset, shape=values.shape, dtype=values.dtype.str)
            )
            offset += aligned(values.nbytes)
        return tuple(places)


def answered(kind: type[Request], do: Callable[[], Reply]) -> Reply:
    """Give what *do* gives; whatever goes wrong becomes the answer to a request of *kind*."""
    try:
        return do()
    except Exception as exc:  # the runtime's own errors, of any kind, and memory that ran out
        for error, blame in _BLAMES.items():
            if isinstance(exc, error):
                return _failed(blame, str(exc))
        return _failed(_BLAMES_BY_KIND.get(kind, Blame.CONTRACT), f"{type(exc).__name__}: {exc}")


def _failed(blame: Blame, reason: str) -> Failed:
    return Failed(blame=blame, reason=reason[:_LONGEST_REASON])


class Conversation:
    """Takes requests in order, and sends each its answer in the same order.

    At any moment only one thread sends: the pipeline's while anything is staged, else this one.
    """

    def __init__(
        self, connection: socket.socket, memory: SharedMemory, handler: RequestHandler
    ) -> None:
        self._connection = connection
        self._memory = memory
        self._handler = handler
        self._pipeline: Pipeline | None = None
        self._stager: Stager | None = None

    def take(self, number: int, request: Request) -> None:
        """See to one request; a staged batch is answered later."""
        if isinstance(request, Infer) and self._stager is not None:
            self._stage(self._stager, number, request)
            return
        if self._pipeline is not None:
            self._pipeline.drain()
        self._send(number, self._handler.answer(request))
        if self._pipeline is None and self._handler.staging is not None:
            self._pipeline = Pipeline(self._handler.staging, self._send_inferred)
            self._stager = Stager(self._memory, self._handler.staging, self._pipeline)

    def close(self) -> None:
        """End the pipeline, once what is staged is through."""
        if self._pipeline is not None:
            self._pipeline.close()

    def _stage(self, stager: Stager, number: int, request: Infer) -> None:
        # Done stands for an answer that the pipeline is going to give.
        reply = answered(Infer, lambda: stager.stage(number, request) or Done())
        if not isinstance(reply, Done):
            if self._pipeline is not None:
                self._pipeline.drain()
            self._send(number, reply)

    def _send_inferred(self, number: int, do: Callable[[], Reply]) -> None:
        self._send(number, answered(Infer, do))

    def _send(self, number: int, reply: Reply) -> None:
        self._connection.sendall(encode(number, reply))


def serve(connection: socket.socket, memory: SharedMemory, handler: RequestHandler) -> None:
    """Answer requests in order until the supervisor closes its end."""
    frames = FrameReader()
    conversation = Conversation(connection, memory, handler)
    try:
        while data := connection.recv(_RECEIVE_BYTES):
            for number, request in frames.feed(data):
                conversation.take(number, request)
    finally:
        conversation.close()


def _prepare_process(parent_pid: int, name: str) -> None:
    """Tie this process to its supervisor's life, shield it from signals and name it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.enable()  # a crash in native code leaves its stack in the log
    if sys.platform == "linux":
        # A hung call never sees the socket close; the kernel ends it all the same.
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(0)  # it died before we asked to be told


def main(arguments: list[str]) -> None:
    """Run the process with the descriptors that the supervisor passed on."""
    socket_fd, memory_fd, memory_bytes, parent_pid = (int(word) for word in arguments[:4])
    _prepare_process(parent_pid, arguments[4])
    memory = SharedMemory(memory_fd, memory_bytes)
    memory.close_descriptor()
    handler = RequestHandler(memory)
    with socket.socket(fileno=socket_fd) as connection:
        try:
            serve(connection, memory, handler)
        except ConnectionError:
            return  # the supervisor died with an answer on its way
    handler.close()


if __name__ == "__main__":
    main(sys.argv[1:])
