"""What a check found, how bad it is, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is."""

    #: As it should be.
    OK = "ok"
    #: Worth knowing; nothing to do.
    INFO = "info"
    #: It runs, but may fail or be slow.
    WARNING = "warning"
    #: It cannot run.
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding about *subject*. *fix* says what to do, empty where there is nothing to."""

    severity: Severity
    subject: str
    found: str
    fix: str = ""


def as_document(findings: Iterable[Finding]) -> dict[str, Any]:
    """Write findings for machines."""
    findings = list(findings)
    return {
        "verdict": worst(findings).value,
        "findings": [asdict(each) for each in findings],
    }


def as_lines(findings: Iterable[Finding], *, show_all: bool) -> Iterator[str]:
    """Write findings for people: what is wrong, or all, and in the end how many are well."""
    findings = list(findings)
    for each in findings:
        if show_all or each.severity is not Severity.OK:
            yield f"{each.severity.value:<8} {each.subject}: {each.found}"
            if each.fix:
                yield f"{'':<8} -> {each.fix}"
    counted = Counter(each.severity for each in findings)
    yield ", ".join(f"{counted[severity]} {severity.value}" for severity in Severity)


def ok(subject: str, found: str) -> Finding:
    """Find that something is as it should be."""
    return Finding(severity=Severity.OK, subject=subject, found=found)


def info(subject: str, found: str, fix: str = "") -> Finding:
    """Find something that is worth knowing."""
    return Finding(severity=Severity.INFO, subject=subject, found=found, fix=fix)


def warning(subject: str, found: str, fix: str) -> Finding:
    """Find something that may fail."""
    return Finding(severity=Severity.WARNING, subject=subject, found=found, fix=fix)


def error(subject: str, found: str, fix: str) -> Finding:
    """Find something that cannot work."""
    return Finding(severity=Severity.ERROR, subject=subject, found=found, fix=fix)


def worst(findings: Iterable[Finding]) -> Severity:
    """Give the worst severity among *findings*, OK for none."""
    order = list(Severity)
    return max((each.severity for each in findings), key=order.index, default=Severity.OK)
