"""Status for people and for machines."""

from __future__ import annotations

import pytest

from gw.health import HEALTHY, Health, dead, unready
from gw.stack_run import is_hopeless
from gw.state_file import Phase, StackState
from gw.status import COLUMNS, StackStatus
from gw.supervisor import ProcessReport, ProcessState, describe_exit

_NOW_UNIX_MS = 1_800_000_000_000


def _report(name: str, *, age_s: float | None = 5.0) -> ProcessReport:
    return ProcessReport(
        name=name,
        state=ProcessState.RUNNING if age_s is not None else ProcessState.BACKING_OFF,
        pid=7 if age_s is not None else None,
        port=8080 if name == "webapp" else None,
        restarts=2,
        started_unix_ms=_NOW_UNIX_MS - int(age_s * 1000) if age_s is not None else None,
        last_exit=None,
    )


def _status(*reports: ProcessReport, **health: Health) -> StackStatus:
    state = StackState(
        pid=1,
        started_unix_ms=0,
        phase=Phase.READY,
        reason="",
        culprit="",
        http_port=8080,
        redis_port=16379,
        services=reports,
    )
    return StackStatus(state=state, health=health)


def test_is_healthy_only_if_everything_is() -> None:
    """One service that cannot work, or none at all, is not health."""
    webapp, notifier = _report("webapp"), _report("notifier")

    assert _status(webapp, notifier, webapp=HEALTHY, notifier=HEALTHY).is_healthy
    assert not _status(webapp, notifier, webapp=HEALTHY, notifier=unready("x")).is_healthy
    assert not _status().is_healthy


def test_rows_say_what_a_person_needs() -> None:
    """A row has the service's pid, port, state, health with its reason, restarts and age."""
    status = _status(
        _report("webapp", age_s=3725),
        _report("notifier", age_s=None),
        webapp=unready("no model is usable"),
        notifier=dead("the process is backing off"),
    )

    rows = status.to_rows(now_unix_ms=_NOW_UNIX_MS)

    assert rows[0] == (
        *("webapp", "7", "8080", "running", "not ready: no model is usable", "2", "1 h 2 min"),
    )
    assert rows[1] == (
        *("notifier", "-", "-", "backing_off", "down: the process is backing off", "2", "-"),
    )
    assert all(len(row) == len(COLUMNS) for row in rows)


def test_the_document_has_the_same_facts() -> None:
    """What people see is in the document too, with ages as seconds."""
    status = _status(_report("webapp", age_s=2.5), webapp=HEALTHY)

    document = status.to_document(now_unix_ms=_NOW_UNIX_MS)

    assert document["healthy"] is True
    (service,) = document["services"]
    assert service["uptime_s"] == 2.5
    assert service["health"] == {"alive": True, "ready": True, "reason": ""}
    assert (service["pid"], service["port"], service["restarts"]) == (7, 8080, 2)


@pytest.mark.parametrize(
    ("age_s", "words"),
    [(4, "4 s"), (61, "1 min 1 s"), (7200, "2 h 0 min"), (3 * 86400 + 3600, "3 d 1 h")],
)
def test_ages_are_told_in_two_units_at_most(age_s: float, words: str) -> None:
    """How long a service has run is told in units of its size."""
    status = _status(_report("webapp", age_s=age_s), webapp=HEALTHY)

    assert status.to_rows(now_unix_ms=_NOW_UNIX_MS)[0][-1] == words


@pytest.mark.parametrize(
    ("last_exit", "restarts", "hopeless"),
    [(None, 0, False), (1, 3, False), (1, 4, True), (2, 0, True), (-9, 1, False)],
)
def test_waiting_for_a_start_ends_where_it_is_pointless(
    last_exit: int | None, restarts: int, *, hopeless: bool
) -> None:
    """Refused settings and repeated crashes end a start; one crash does not."""
    report = ProcessReport(
        name="webapp",
        state=ProcessState.RUNNING,
        pid=1,
        port=None,
        restarts=restarts,
        started_unix_ms=0,
        last_exit=last_exit,
    )

    assert is_hopeless(report) == hopeless


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit code 0"), (-15, "signal SIGTERM"), (-99, "signal 99"), (None, "could not")],
)
def test_exits_are_put_into_words(status: int | None, words: str) -> None:
    """Codes, known and unknown signals each have words."""
    assert describe_exit(status).startswith(words)
