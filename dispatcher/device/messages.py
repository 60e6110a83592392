"""What the supervisor and a device process say to each other over their socket pair.

Pixels and tensors are never in a message, only where they lie in the shared memory. The device
process answers every request once, in order. On the wire: four bytes of length, then the pickled
pair of request number and message; the answer carries the number of its request.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dispatcher.cards.card import ModelCard
from dispatcher.device.errors import DeviceLost
from dispatcher.pictures.geometry import Placement
from dispatcher.runtime import DeviceHealth, ModelDescription, RuntimeOptions
from pipeline.errors import (
    ContractBroken,
    GwError,
    InvalidSettings,
    ModelFault,
    UndecodablePicture,
)

_HEADER = struct.Struct("!I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The first request: construct *runtime*. Answered by Done."""

    runtime: str
    options: RuntimeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """Say what a model file is. Answered by Described."""

    card: ModelCard
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Make a model ready under *key*. Answered by Described."""

    key: str
    card: ModelCard
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Unload:
    """Give back what *key* took. Answered by Done."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPlace:
    """A picture that the device decodes: *size_bytes* of JPEG where its item would lie."""

    size_bytes: int
    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Infer:
    """Run the items at *offsets*, each of *shape* and *dtype*. Answered by Inferred.

    *encoded* has an entry for each item, None where it is laid out; empty if all are.
    Outputs go to *output_offset*; if they need more than *output_bytes*, the answer is
    OutputsTooLarge and nothing is written.
    """

    key: str
    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    output_offset: int
    output_bytes: int
    encoded: tuple[EncodedPlace | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadHealth:
    """Say how the device is. Answered by HealthRead."""


Request = Start | Describe | Load | Unload | Infer | ReadHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It is done, and there is nothing to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a model file is."""

    description: ModelDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlace:
    """Where one output lies in the shared memory; its first axis is the batch."""

    name: str
    offset: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """The batch ran; *device_ms* is the time inside the runtime alone.

    *fell_back* names the encoded items, by position, that the device could not decode, and why.
    """

    outputs: tuple[OutputPlace, ...]
    used_bytes: int
    device_ms: float
    fell_back: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputsTooLarge:
    """The outputs need *needed_bytes*, more than there is room for; nothing was written."""

    needed_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRead:
    """How the device is."""

    health: DeviceHealth


class Blame(StrEnum):
    """Whose fault a failure is: which error it becomes on the other side."""

    SETTINGS = "settings"
    MODEL = "model"
    #: A picture of the batch cannot be decoded.
    PICTURE = "picture"
    CONTRACT = "contract"
    #: The device is gone from under the process, which is of no use any more.
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It could not be done. *reason* is one bounded sentence.

    The device process lives on, unless the device itself is to blame.
    """

    blame: Blame
    reason: str

    def to_error(self) -> GwError:
        """Give the error that the caller gets."""
        match self.blame:
            case Blame.SETTINGS:
                return InvalidSettings(self.reason)
            case Blame.MODEL:
                return ModelFault(self.reason)
            case Blame.PICTURE:
                return UndecodablePicture(self.reason)
            case Blame.CONTRACT:
                return ContractBroken(self.reason)
            case Blame.DEVICE:
                return DeviceLost(self.reason)


Reply = Done | Described | Inferred | OutputsTooLarge | HealthRead | Failed


def encode(number: int, message: Request | Reply) -> bytes:
    """Give the frame of *message*."""
    body = pickle.dumps((number, message), protocol=pickle.HIGHEST_PROTOCOL)
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into messages, however it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, Any]]:
        """Take *data* and yield each message that is now whole, with its number."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            end = _HEADER.size + _HEADER.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            # Both ends are this program; nobody else can hold this socket.
            yield pickle.loads(body)  # noqa: S301
