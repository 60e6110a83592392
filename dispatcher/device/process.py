"""The device process: runs the runtime for its supervisor, one request at a time.

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
from collections.abc import Mapping
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
from dispatcher.runtime import Runtime, checked_outputs, create_runtime
from pipeline.errors import ContractBroken, InvalidSettings, ModelFault

_RECEIVE_BYTES = 1 << 16
_LONGEST_REASON = 500
# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class RequestHandler:
    """Answers requests with the help of a runtime and the shared *memory*."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._runtime: Runtime | None = None
        self._scratch: NDArray[np.uint8] = np.empty(0, np.uint8)

    def answer(self, request: Request) -> Reply:
        """Do what *request* asks for; whatever goes wrong becomes the answer."""
        try:
            return self._do(request)
        except DeviceLost as exc:
            return _failed(Blame.DEVICE, str(exc))
        except InvalidSettings as exc:
            return _failed(Blame.SETTINGS, str(exc))
        except ContractBroken as exc:
            return _failed(Blame.CONTRACT, str(exc))
        except ModelFault as exc:
            return _failed(Blame.MODEL, str(exc))
        except Exception as exc:  # the runtime's own errors, of any kind, and memory that ran out
            blame = {Infer: Blame.MODEL, Load: Blame.SETTINGS, Start: Blame.SETTINGS}
            return _failed(blame.get(type(request), Blame.CONTRACT), f"{type(exc).__name__}: {exc}")

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
                return Described(description=self._runtime.load(key, card, path))
            case Unload(key=key):
                self._runtime.unload(key)
                return Done()
            case Describe(card=card, path=path):
                return Described(description=self._runtime.describe(card, path))
            case ReadHealth():
                return HealthRead(health=self._runtime.health())

    def _infer(self, runtime: Runtime, request: Infer) -> Reply:
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


def _failed(blame: Blame, reason: str) -> Failed:
    return Failed(blame=blame, reason=reason[:_LONGEST_REASON])


def serve(connection: socket.socket, handler: RequestHandler) -> None:
    """Answer requests in order until the supervisor closes its end."""
    frames = FrameReader()
    while data := connection.recv(_RECEIVE_BYTES):
        for number, request in frames.feed(data):
            connection.sendall(encode(number, handler.answer(request)))


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
            serve(connection, handler)
        except ConnectionError:
            return  # the supervisor died with an answer on its way
    handler.close()


if __name__ == "__main__":
    main(sys.argv[1:])
