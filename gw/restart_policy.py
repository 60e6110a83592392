"""When a process that ended is started again: a pure rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MAX_STRETCH: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Wait *first_delay_s* after the first failure and twice as long after each further one.

    Never longer than *max_delay_s*. A run of at least *stable_after_s* makes the count start anew.
    """

    first_delay_s: float = 0.2
    max_delay_s: float = 10.0
    stable_after_s: float = 30.0

    def failures_after(self, failures: int, *, ran_s: float) -> int:
        """Count the failures in a row when one more run ended after *ran_s*."""
        return 1 if ran_s >= self.stable_after_s else failures + 1

    def delay_s(self, failures: int, *, chance: float) -> float:
        """Tell how long to wait after the *failures*-th failure in a row (1 or more).

        *chance* in [0, 1) makes the delay up to half as long again, so that services that fell
        together do not come back in step. The answer lies in [first_delay_s, max_delay_s].
        """
        # Past this exponent the cap has long been reached, and the power would overflow a float.
        doubled_s = self.first_delay_s * 2.0 ** min(failures - 1, 32)
        return min(self.max_delay_s / _MAX_STRETCH, doubled_s) * (1.0 + (_MAX_STRETCH - 1) * chance)
