"""What a measured rate says about deadlines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.jobs.job import Priority
from pipeline.jobs.loads import Loads, line_field, loads_of, model_field, through_field
from pipeline.jobs.quotas import Ceiling
from tests.builders import make_job
from webapp.outlook import Outlook, ServiceRates, outlook_of


def loads(*, through: int = 0, **lines: int) -> Loads:
    """Give the loads of the model ``echo`` with jobs of tenants at normal priority."""
    fields = {line_field("echo", Priority.NORMAL, name): count for name, count in lines.items()}
    fields[model_field("echo", Priority.NORMAL)] = sum(lines.values())
    return Loads(fields=fields | {through_field("echo"): through})


def busy(per_s: int, *, seconds: int, rates: ServiceRates | None = None) -> ServiceRates:
    """Give the rates after a device had enough to do for a while."""
    rates = rates or ServiceRates()
    for second in range(seconds + 1):
        rates.add(second * 1000.0, loads(a=500, through=second * per_s))
    return rates


def is_over(ceiling: Ceiling, sums: Loads) -> bool:
    """Whether the script would refuse, see ``accept_jobs.lua``."""
    over = sum(map(sums.of, ceiling.fields)) + ceiling.by > ceiling.at_most
    return over and (ceiling.unless is None or is_over(ceiling.unless, sums))


def test_a_rate_is_what_a_busy_device_gets_through() -> None:
    """It is known after two seconds of work, and counts what left per second."""
    assert busy(80, seconds=1).per_s("echo") == 0.0
    assert busy(80, seconds=3).per_s("echo") == pytest.approx(80)
    assert busy(80, seconds=3).per_s("other") == 0.0


def test_an_idle_device_teaches_nothing() -> None:
    """Two jobs a second, each done at once, are no sign of a slow device."""
    rates = ServiceRates()
    for second in range(20):
        rates.add(second * 1000.0, loads(through=second * 2))

    assert rates.per_s("echo") == 0.0


def test_a_rate_outlives_a_calm() -> None:
    """What was measured before nothing came in is believed when much comes in again."""
    rates = busy(80, seconds=5)
    for second in range(6, 200):
        rates.add(second * 1000.0, loads(through=400))

    assert rates.per_s("echo") == pytest.approx(80)


def test_a_new_pace_replaces_the_old() -> None:
    """Ten seconds after a device became slower the old measurements are gone."""
    rates = busy(80, seconds=12)
    for second in range(13, 26):
        rates.add(second * 1000.0, loads(a=500, through=960 + (second - 12) * 8))

    assert rates.per_s("echo") == pytest.approx(8, rel=0.05)


def test_a_counter_that_began_anew_is_no_rate() -> None:
    """A job store that was emptied makes no negative pace."""
    rates = busy(80, seconds=3)
    rates.add(4000.0, loads(a=500, through=0))
    rates.add(5000.0, loads(a=500, through=80))

    assert rates.per_s("echo") == pytest.approx(80)


def test_without_a_rate_no_deadline_is_refused() -> None:
    """What nobody has measured stands against nobody."""
    outlook = Outlook(per_s=0.0, share=1.0, loads=loads(a=10_000))

    assert outlook.ceiling(make_job(), count=1, left_ms=1) is None
    assert outlook.wait_s(make_job(), count=1) == 0.0


@given(
    per_s=st.floats(0.1, 1000),
    left_ms=st.floats(0, 60_000),
    mine=st.integers(0, 2000),
    others=st.integers(0, 2000),
)
def test_a_job_is_refused_only_where_it_would_be_late(
    per_s: float, left_ms: float, mine: int, others: int
) -> None:
    """Whoever is refused would wait longer than its deadline allows, and not by a guess too low."""
    now = loads(default=mine, other=others)
    outlook = Outlook(per_s=per_s, share=0.5, loads=now)
    job = make_job()

    ceiling = outlook.ceiling(job, count=1, left_ms=left_ms)

    assert ceiling is not None
    if is_over(ceiling, now):
        assert outlook.wait_s(job, count=1) * 1000 >= left_ms * 0.8 - 1e-6
    elif left_ms >= 2 * 1000 / (per_s * 0.8):
        assert outlook.wait_s(job, count=1) * 1000 <= left_ms


def test_an_idle_device_takes_a_job_whatever_its_deadline() -> None:
    """With nothing before it a job may try, even where a second of the device does one."""
    outlook = Outlook(per_s=0.5, share=1.0, loads=loads())
    ceiling = outlook.ceiling(make_job(), count=1, left_ms=100)

    assert ceiling is not None
    assert not is_over(ceiling, loads())
    assert is_over(ceiling, loads(default=1))


def test_less_urgent_work_stands_in_nobodys_way() -> None:
    """A high priority looks only at what is as urgent as itself."""
    outlook = Outlook(per_s=10.0, share=1.0, loads=loads(default=1000))

    assert outlook.wait_s(make_job(priority=Priority.HIGH), count=1) == pytest.approx(0.1)
    assert outlook.wait_s(make_job(priority=Priority.LOW), count=1) == pytest.approx(100.1)


def test_a_share_is_by_weight_among_those_with_work() -> None:
    """An idle tenant's weight does not count; one's own does, with work or without."""
    outlook = outlook_of(
        "echo",
        "a",
        rates=busy(80, seconds=3),
        loads=loads(b=5),
        weights={"a": 1.0, "b": 3.0, "idle": 100.0},
    )

    assert outlook.share == 0.25
    assert outlook.per_s == pytest.approx(80)


def test_jobs_raise_the_counters_that_ceilings_look_at() -> None:
    """The names on both sides are the same."""
    job = make_job(tenant="a")
    outlook = Outlook(per_s=1.0, share=1.0)
    ceiling = outlook.ceiling(job, count=1, left_ms=1)

    assert ceiling is not None
    assert ceiling.unless is not None
    assert {*loads_of([job])} & {*ceiling.fields}
    assert {*loads_of([job])} & {*ceiling.unless.fields}
