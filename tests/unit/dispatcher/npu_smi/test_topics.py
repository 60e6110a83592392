"""The lists of ``npu-smi info -t``."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.npu_smi import topics
from dispatcher.npu_smi.errors import NpuSmiError, NpuSmiRefused, NpuSmiUnreadable
from dispatcher.npu_smi.facts import (
    CommonFacts,
    CpuCountFacts,
    HealthFacts,
    MemoryFacts,
    NpuHealth,
    UsageFacts,
    VersionFacts,
)
from tests.unit.dispatcher.npu_smi import samples

READERS = (
    topics.read_health,
    topics.read_common,
    topics.read_usages,
    topics.read_memory,
    topics.read_versions,
    topics.read_cpu_counts,
)


def test_a_chips_health_is_read() -> None:
    """Status, code and information; NA is nothing."""
    assert topics.read_health(samples.HEALTH_OF_CHIP) == HealthFacts(health=NpuHealth.OK)


def test_a_fault_is_told_with_its_code() -> None:
    """A board that alarms says why, in words that elsewhere would refuse."""
    assert topics.read_health(samples.HEALTH_WITH_FAULT) == HealthFacts(
        health=NpuHealth.ALARM,
        error_codes="80E3A203",
        error_information="LPM: reading the current failed",
    )


def test_a_whole_npus_health_is_read_by_chip() -> None:
    """Where names repeat for each chip, the chip's own is taken."""
    assert topics.read_health(samples.HEALTH_OF_NPU).health is NpuHealth.OK
    assert topics.read_health(samples.HEALTH_OF_NPU, chip_id=1).health is NpuHealth.CRITICAL


def test_usages_are_read() -> None:
    """All eight rates and sizes."""
    assert topics.read_usages(samples.USAGES) == UsageFacts(
        memory_capacity_mb=11577,
        memory_percent=33,
        hugepages_total=15,
        hugepages_percent=100,
        ai_core_percent=4,
        ai_cpu_percent=0,
        control_cpu_percent=12,
        memory_bandwidth_percent=1,
    )


def test_the_common_list_is_read() -> None:
    """What is NA is None."""
    assert topics.read_common(samples.COMMON) == CommonFacts(
        memory_percent=33, ai_core_percent=0, temperature_c=53, rated_power_w=None
    )


def test_memory_versions_and_cpus_are_read() -> None:
    """The three lists that hardly ever change."""
    assert topics.read_memory(samples.MEMORY) == MemoryFacts(capacity_mb=11577, clock_mhz=2133)
    assert topics.read_versions(samples.VERSIONS) == VersionFacts(
        software="23.0.rc3", firmware="7.1.0.3.220"
    )
    assert topics.read_cpu_counts(samples.CPU_COUNTS) == CpuCountFacts(ai=1, control=3, data=0)


def test_a_question_that_is_not_supported_is_a_refusal() -> None:
    """As for usages in a plain container."""
    with pytest.raises(NpuSmiRefused, match="does not support") as refused:
        topics.read_usages("This device does not support querying usages.\n")
    assert refused.value.number == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("dcmi module initialize failed. ret is -8005", -8005),
        ("Failed to get the health: ret=-8255.", -8255),
        ("dcmi_get_device_health failed, ret -8012", -8012),
    ],
)
def test_codes_are_found_however_they_are_set_off(line: str, code: int) -> None:
    """The code is told with its meaning, also behind an equals sign or before a full stop."""
    with pytest.raises(NpuSmiRefused) as refused:
        topics.read_health(line)
    assert refused.value.number == code


@pytest.mark.parametrize("text", ["", "no list here", " : \n"])
def test_what_is_no_list_is_unreadable(text: str) -> None:
    """Nothing is made up."""
    with pytest.raises(NpuSmiUnreadable):
        topics.read_health(text)


@given(st.data())
def test_no_list_raises_anything_untyped(data: st.DataObject) -> None:
    """Lists with anything in them are read, or refused by a typed error, by every reader."""
    text = data.draw(st.sampled_from(samples.LISTS))
    start = data.draw(st.integers(0, len(text)))
    put = data.draw(st.one_of(st.text(max_size=40), st.sampled_from([":", "-8005", "\n:", "NA"])))
    for read in READERS:
        with contextlib.suppress(NpuSmiError):
            read(text[:start] + put + text[start + len(put) :])
