"""acl.rt: callbacks that a thread of the program runs for a stream."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import SupportsIndex

from acl import _codes
from acl._machine import here
from acl._stream_calls import no_stream, usable
from acl._streams import Mailbox, Stream, Task
from acl._surface import exported

_rt = exported("acl.rt")
_log = logging.getLogger("acl")


@_rt
def subscribe_report(thread_id: int, stream: int) -> int:
    """Make a thread the one that runs the callbacks of *stream*."""
    machine, call = here(), "acl.rt.subscribe_report"
    if code := usable(machine, call):
        return code
    found = machine.stream(stream, call=call)
    if found is None:
        return no_stream(machine, stream, call)
    if found.subscriber is not None:
        text = f"{call}: the stream is subscribed by thread {found.subscriber} already"
        return machine.fail(_codes.REPEAT_SUBSCRIBE, text)
    found.subscriber = thread_id
    machine.mailboxes.by_thread.setdefault(thread_id, Mailbox()).streams += 1
    return _codes.SUCCESS


@_rt
def unsubscribe_report(thread_id: int, stream: int) -> int:
    """Take a subscription back."""
    machine, call = here(), "acl.rt.unsubscribe_report"
    found = machine.stream(stream, call=call)
    if found is None:
        return no_stream(machine, stream, call)
    if found.subscriber is None:
        return machine.fail(_codes.STREAM_NOT_SUBSCRIBE, f"{call}: nobody subscribed the stream")
    if found.subscriber != thread_id:
        return machine.fail(_codes.THREAD_NOT_SUBSCRIBE, f"{call}: another thread subscribed it")
    found.subscriber = None
    mailbox = machine.mailboxes.by_thread[thread_id]
    mailbox.streams -= 1
    if not mailbox.streams:
        del machine.mailboxes.by_thread[thread_id]
    return _codes.SUCCESS


@_rt
def process_report(timeout_ms: SupportsIndex) -> int:
    """Run one waiting callback in this thread, waiting at most *timeout_ms* for it."""
    machine, call, limit = here(), "acl.rt.process_report", int(timeout_ms)
    if limit < -1 or limit == 0:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: -1 or more than 0 ms, not {limit}")
    mailbox = machine.mailboxes.by_thread.get(threading.get_ident())
    if mailbox is None:
        return machine.fail(_codes.THREAD_NOT_SUBSCRIBE, f"{call}: this thread subscribed nothing")
    try:
        run = mailbox.calls.get(timeout=None if limit < 0 else limit / 1000)
    except queue.Empty:
        return machine.fail(_codes.WAIT_CALLBACK_TIMEOUT, f"{call}: nothing to do")
    run()
    return _codes.SUCCESS


@_rt
def launch_callback(
    function: Callable[[list[object]], object],
    user_data: list[object],
    block_type: SupportsIndex,
    stream: int,
) -> int:
    """Queue *function*, which gets *user_data* as its one argument, behind the stream's work."""
    machine, call = here(), "acl.rt.launch_callback"
    if code := usable(machine, call):
        return code
    found = machine.stream(stream, call=call)
    if found is None:
        return no_stream(machine, stream, call)
    if int(block_type) not in {0, 1}:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: block type {int(block_type)}")
    if found.subscriber is None:
        text = f"{call}: no thread subscribed the stream's callbacks"
        return machine.fail(_codes.RT_STREAM_NO_CB_REG, text)
    mailbox = machine.mailboxes.by_thread[found.subscriber]
    done = threading.Event()

    def run() -> None:
        try:
            function(user_data)
        except Exception:
            _log.exception("a callback of acl.rt.launch_callback raised")
        finally:
            done.set()

    def deliver(waiting: Stream) -> int:
        mailbox.calls.put(run)
        while int(block_type) == 1 and not done.wait(0.05):
            if waiting.stopped.is_set():
                break
        return 0

    found.submit(Task("launch_callback", deliver))
    return _codes.SUCCESS
