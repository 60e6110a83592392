"""acl.rt: events, the marks in streams."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import SupportsIndex

from acl import _codes
from acl._machine import Machine, here
from acl._stream_calls import no_stream, usable
from acl._streams import Stream, Task
from acl._surface import exported

_rt = exported("acl.rt")
EVENT = "event"


@dataclass(slots=True, eq=False)
class Event:
    """A mark in a stream. *reached* is set once the stream came to the last record."""

    reached: threading.Event = field(default_factory=threading.Event)
    recorded: bool = False
    at_s: float = 0.0


@_rt
def create_event() -> tuple[int, int]:
    """Make an event."""
    machine, call = here(), "acl.rt.create_event"
    if code := usable(machine, call):
        return 0, code
    if machine.ledger.count(EVENT) >= machine.configuration.events:
        text = f"{call}: {machine.configuration.events} events are the most"
        return 0, machine.fail(_codes.RT_NO_EVENT_RESOURCE, text)
    return machine.ledger.add(EVENT, Event()), _codes.SUCCESS


def _event(machine: Machine, handle: int, call: str) -> tuple[Event | None, int]:
    found = machine.ledger.get(EVENT, handle, Event, call=call)
    if found is None:
        return None, machine.fail(_codes.INVALID_PARAM, f"{call}: no event {handle:#x}")
    return found, 0


@_rt
def destroy_event(event: int) -> int:
    """Destroy an event."""
    found, code = _event(here(), event, "acl.rt.destroy_event")
    if found is not None:
        here().ledger.remove(event)
    return code


@_rt
def record_event(event: int, stream: int) -> int:
    """Mark the place in *stream* after the work queued so far."""
    machine, call = here(), "acl.rt.record_event"
    if code := usable(machine, call):
        return code
    found, code = _event(machine, event, call)
    queued_in = machine.stream(stream, call=call)
    if found is None or queued_in is None:
        return code or no_stream(machine, stream, call)
    reached = threading.Event()
    found.reached, found.recorded = reached, True

    def mark(_stream: Stream) -> int:
        found.at_s = time.monotonic()
        reached.set()
        return 0

    queued_in.submit(Task("record_event", mark))
    return _codes.SUCCESS


@_rt
def query_event(event: int) -> tuple[int, int]:
    """Give 0 if the event was reached, 1 if not."""
    found, code = _event(here(), event, "acl.rt.query_event")
    return int(found is not None and found.recorded and not found.reached.is_set()), code


@_rt
def synchronize_event(event: int) -> int:
    """Wait until the event is reached."""
    found, code = _event(here(), event, "acl.rt.synchronize_event")
    if found is not None and found.recorded:
        found.reached.wait()
    return code


@_rt
def synchronize_event_with_timeout(event: int, timeout_ms: SupportsIndex) -> int:
    """Wait at most *timeout_ms* until the event is reached."""
    machine, call = here(), "acl.rt.synchronize_event_with_timeout"
    found, code = _event(machine, event, call)
    limit = int(timeout_ms)
    if found is None or not found.recorded:
        return code
    if not found.reached.wait(None if limit < 0 else limit / 1000):
        return machine.fail(_codes.RT_EVENT_SYNC_TIMEOUT, f"{call}: out of time")
    return code


@_rt
def event_elapsed_time(start: int, end: int) -> tuple[float, int]:
    """Give the milliseconds between two reached events."""
    machine, call = here(), "acl.rt.event_elapsed_time"
    first, code = _event(machine, start, call)
    last, last_code = _event(machine, end, call)
    if first is None or last is None:
        return 0.0, code or last_code
    if not (first.reached.is_set() and last.reached.is_set()):
        return 0.0, machine.fail(_codes.RT_PARAM_INVALID, f"{call}: not both are reached")
    return (last.at_s - first.at_s) * 1000, _codes.SUCCESS


@_rt
def stream_wait_event(stream: int, event: int) -> int:
    """Hold the work queued in *stream* from now on until the event is reached."""
    machine, call = here(), "acl.rt.stream_wait_event"
    if code := usable(machine, call):
        return code
    found, code = _event(machine, event, call)
    queued_in = machine.stream(stream, call=call)
    if found is None or queued_in is None:
        return code or no_stream(machine, stream, call)
    reached = found.reached if found.recorded else None

    def hold(waiting: Stream) -> int:
        while reached is not None and not reached.wait(0.05):
            if waiting.stopped.is_set():
                break
        return 0

    queued_in.submit(Task("stream_wait_event", hold))
    return _codes.SUCCESS
