"""The first signal asks for an orderly stop, the second for an immediate one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Turns signals into *stop*, and into a call of *on_second* when one comes after it."""

    def __init__(self, *, on_second: Callable[[], None], say: Callable[[str], None]) -> None:
        self.stop = asyncio.Event()
        self._on_second = on_second
        self._say = say

    def listen(self) -> None:
        """Take over the signals of the running loop's process."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started under nohup, which means to outlive the terminal
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            self._say(f"{number.name} again: killing everything")
            self._on_second()
            return
        self._say(f"{number.name}: stopping in order; once more kills at once")
        self.stop.set()
