"""Whether a model fits the chip and the CANN that are to run it. Pure: facts in, a refusal out.

A runtime must not be older than the compiler of the model, and the chip must be the one it was
compiled for. Where a file is silent, or two versions are numbered in ways that cannot be compared,
nothing is refused: the runtime has the last word.
"""

from __future__ import annotations

import re

from omfile.errors import TooNewForCann, WrongSoc
from omfile.facts import OmFile

_PREFIX = "Ascend"
#: Names without the bin letter and number stand for a whole family.
_FAMILY = re.compile(r"Ascend\d+[A-Z]+", re.ASCII)
#: 8.1.RC1, 7.0.0, 8.0.RC2.alpha001: how releases of CANN are named.
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})\.(RC)?(\d{1,4})(?:\.(ALPHA|BETA)(\d{1,6}))?", re.ASCII)
#: 6.4.T5.0.B121: how its packages are numbered, which is another count.
_PACKAGE = re.compile(r"\d{1,4}(?:\.[TB]?\d{1,6}){4}", re.ASCII)
_STAGES = {"ALPHA": 0, "BETA": 1, None: 2}


def check_soc(om: OmFile, soc: str) -> None:
    """Raise WrongSoc if *om* was built for another chip than *soc* (``Ascend310B4``, ``310B4``).

    *soc* without the bin letter and number (``Ascend310B``), as some drivers give it, stands for
    all of its family.
    """
    built_for, device = _full_name(om.soc_version), _full_name(soc)
    if not built_for or not device or built_for == device:
        return
    if _FAMILY.fullmatch(device) and built_for.startswith(device):
        return
    raise WrongSoc(
        f"the model was built for {built_for} and the device is {device}: "
        f"convert it again with `atc --soc_version={device}`"
    )


def check_cann(om: OmFile, cann_version: str) -> None:
    """Raise TooNewForCann if *om* was built by a newer CANN than *cann_version*.

    *cann_version* is a release (``8.1.RC1``) or a package number (``6.4.T5.0.B121``); it is
    compared with what the model carries in the same way of numbering.
    """
    have = _release(cann_version) or _package(cann_version)
    for built_by in (om.atc_version, om.opp_version):
        need = _release(built_by) or _package(built_by)
        if have is None or need is None or len(have) != len(need):
            continue
        if need > have:
            raise TooNewForCann(
                f"the model was built by CANN {built_by} and this is {cann_version}, which is "
                "older: update CANN here, or convert the model again with this version's ATC"
            )
        return


def _full_name(soc: str) -> str:
    """Spell a chip as ATC does; ``npu-smi`` leaves the prefix out."""
    bare = soc.strip().upper().removeprefix(_PREFIX.upper())
    return _PREFIX + bare if bare else ""


def _release(version: str) -> tuple[int, ...] | None:
    """Give a release's place in order, in six numbers: alpha, beta, RC1, RC2, ..., final."""
    found = _RELEASE.fullmatch(version.strip().upper())
    if found is None:
        return None
    major, minor, candidate, number, stage, stage_number = found.groups()
    return (
        int(major),
        int(minor),
        0 if candidate else 1,
        int(number),
        _STAGES[stage],
        int(stage_number or 0),
    )


def _package(version: str) -> tuple[int, ...] | None:
    """Give a package number's place in order, in five numbers."""
    version = version.strip().upper()
    if _PACKAGE.fullmatch(version) is None:
        return None
    return tuple(int(part.lstrip("TB")) for part in version.split("."))
