"""The emulated machine of this process: one object that holds every part, and its life."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from dataclasses import dataclass, field

from acl import _codes, _slots, _surface
from acl._clock import Timeline
from acl._configuration import Configuration, FaultSpec, read_configuration
from acl._contexts import Contexts, Current
from acl._faults import Faults
from acl._findings import Findings, Misuse
from acl._handles import Ledger
from acl._memory import Memory
from acl._streams import STREAM, Mailboxes, Stream

DEFAULT_CONTEXT = "default context"
DEFAULT_STREAM = "default stream"
# What acl makes on its own behalf is not the program's to give back.
_OWN = frozenset({DEFAULT_CONTEXT, DEFAULT_STREAM})


@dataclass(slots=True)
class Life:
    """How often acl.init was called, and which code a dead device answers with (0: alive)."""

    inits: int = 0
    initialised: bool = False
    was_finalised: bool = False
    dead_code: int = 0
    config_path: str | None = None
    leaks_told: set[str] = field(default_factory=set)


class Machine:
    """Everything that one process knows of the emulated board."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.findings = Findings(strict=configuration.strict)
        self.ledger = Ledger(self.findings)
        self.memory = Memory(
            self.findings,
            memory_mb=configuration.memory_mb,
            system_mb=configuration.system_mb,
            huge_pages=configuration.huge_pages,
            split=configuration.run_mode == 1,
        )
        self.faults = Faults(configuration.faults)
        self.timeline = Timeline(configuration.timeline_file)
        self.contexts = Contexts()
        self.mailboxes = Mailboxes()
        self.life = Life()
        self.next_model_id = 1
        #: Seconds after which a hung operator is ended; 0 is never.
        self.op_timeout_s = 0.0

    def fail(self, code: int, text: str) -> int:
        """Leave *text* as the thread's recent error, and give *code*."""
        return self.findings.fail(code, text)

    def not_ready(self, call: str) -> int:
        """Give 0 if acl is initialised and the device lives, else the code to answer with."""
        if self.life.dead_code:
            return self.fail(self.life.dead_code, f"{call}: the device does not answer any more")
        if not self.life.initialised:
            return self.fail(_codes.UNINITIALIZE, f"{call}: acl.init was not called")
        return 0

    def context(self) -> Current | None:
        """Give the calling thread's context, None if it has none or a destroyed one."""
        return self.contexts.current()

    def without_context(self, call: str) -> int:
        """Answer a call in a thread that has no context."""
        text = f"{call}: this thread has no context; call acl.rt.set_context or set_device in it"
        return self.fail(_codes.RT_CONTEXT_NULL, text)

    def suffer(self, fault: FaultSpec) -> int:
        """Take the consequence of a failing *fault*: its code, and a dead device after some."""
        if fault.code in _codes.FATAL:
            self.life.dead_code = fault.code
        return self.fail(fault.code, f"injected: {fault.at} fails with {fault.code}")

    def stream(self, handle: int, *, call: str) -> Stream | None:
        """Give a stream, the current context's default one for 0."""
        if handle:
            default = self.ledger.peek(DEFAULT_STREAM, handle, Stream)
            return default or self.ledger.get(STREAM, handle, Stream, call=call)
        current = self.context()
        return None if current is None else self.default_stream(current)[1]

    def default_stream(self, context: Current) -> tuple[int, Stream]:
        """Give the stream of *context* that 0 stands for, with a handle of its own."""
        if context.default_stream is None:
            context.default_stream = Stream(self.findings, self.life_code, context)
            context.default_stream_handle = self.ledger.add(DEFAULT_STREAM, context.default_stream)
        return context.default_stream_handle, context.default_stream

    def end_default_stream(self, context: Current) -> None:
        """Stop the default stream of a context that is destroyed."""
        if context.default_stream is not None:
            context.default_stream.stop()
            self.ledger.remove(context.default_stream_handle)
            context.default_stream = None

    def life_code(self) -> int:
        """Give the code of the dead device, 0 while it lives."""
        return self.life.dead_code

    def all_streams(self) -> list[Stream]:
        """Give every stream, default ones included."""
        kinds = (STREAM, DEFAULT_STREAM)
        return [stream for kind in kinds for _, stream in self.ledger.of_kind(kind, Stream)]

    def copies_pending(self) -> bool:
        """Whether any stream has work that is not done."""
        return any(not stream.is_idle() for stream in self.all_streams())

    def leaks(self) -> list[str]:
        """Give one line for each thing that the program did not give back."""
        return [*self.ledger.live(hidden=_OWN), *self.memory.live()]

    def report_leaks(self, when: str) -> bool:
        """Write the leaks that were not told yet to stderr; whether there were any."""
        new = [line for line in self.leaks() if line not in self.life.leaks_told]
        self.life.leaks_told.update(new)
        for line in new:
            self.findings.note_late(f"leak at {when}: {line}")
        return bool(new)

    def close(self) -> None:
        """Stop all workers and give the memory back."""
        for stream in self.all_streams():
            stream.stop()
        self.memory.close()
        _slots.leave()


class _Here:
    machine: Machine
    pid: int


def here() -> Machine:
    """Give the machine of this process."""
    return _Here.machine


def restart(configuration: Configuration) -> Machine:
    """Forget everything, and start a fresh machine with *configuration*. For tests of programs."""
    with contextlib.suppress(AttributeError):
        _Here.machine.close()
    _surface.note_initialised(initialised=False)
    _Here.machine = Machine(configuration)
    _Here.pid = os.getpid()
    return _Here.machine


def _at_exit() -> None:
    if os.getpid() != _Here.pid or _surface.forked():
        return
    machine = _Here.machine
    machine.report_leaks("exit")
    if machine.configuration.strict and machine.findings.texts:
        sys.stderr.write(f"acl emulator: {len(machine.findings.texts)} finding(s) in this run\n")
        sys.stdout.flush()
        sys.stderr.flush()
        # The exit status can no longer be set in any other way.
        os._exit(machine.configuration.exit_code)


_STARTS_PROCESS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.system", "os.fork"})


def _audit(event: str, _args: tuple[object, ...]) -> None:
    if event in _STARTS_PROCESS and os.getpid() == _Here.pid and _Here.machine.copies_pending():
        with contextlib.suppress(Misuse):
            _Here.machine.findings.warn(f"{event} while asynchronous work is pending in a stream")


restart(read_configuration(os.environ))
atexit.register(_at_exit)
sys.addaudithook(_audit)
