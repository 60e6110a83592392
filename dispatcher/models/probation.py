"""Whether a version that took over stays. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLimits:
    """A trial lasts *jobs*; *failures* of them, or a lost device, end it badly. 0: no trial."""

    jobs: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probation:
    """What a version on trial has done so far."""

    jobs: int = 0
    failures: int = 0
    losses: int = 0

    def after(self, *, jobs: int, failures: int, lost: bool) -> Probation:
        """Give the trial after one more batch."""
        return Probation(
            jobs=self.jobs + jobs,
            failures=self.failures + failures,
            losses=self.losses + lost,
        )

    def is_over(self, limits: TrialLimits) -> bool:
        """Whether enough was seen, for better or worse."""
        return self.jobs >= limits.jobs or bool(self.verdict(limits))

    def verdict(self, limits: TrialLimits) -> str:
        """Say why the version must go; empty while it may stay."""
        if self.losses:
            return f"it brought the device down within its first {self.jobs} jobs"
        if self.failures >= limits.failures:
            return f"it failed {self.failures} of its first {self.jobs} jobs"
        return ""
