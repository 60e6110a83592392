"""Why ``npu-smi`` told nothing, and what the codes of the driver's management interface mean."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import Unavailable

#: DCMI's codes, as npu-smi prints them: what they mean and what to do.
DCMI_CODES: Mapping[int, str] = {
    -8001: "a parameter is wrong",
    -8002: "no permission: run as uid 1000 (HwHiAiUser), or in the group that owns /dev/davinci0",
    -8003: "the memory interface failed",
    -8005: "the driver failed inside: see that the device nodes are there and that this user, "
    "uid 1000 or of their group, may open them",
    -8006: "the driver did not answer in time",
    -8007: "there is no such device",
    -8008: "there is no device: the driver is down or the device nodes are absent",
    -8009: "a call into the driver failed",
    -8012: "the device is not ready",
    -8013: "this cannot be asked in a container",
    -8017: "the device is being upgraded",
    -8020: "the device is held by somebody else, such as another container",
    -8255: "this board does not support the question",
}


class NpuSmiError(Unavailable):
    """``npu-smi`` gave no facts."""


class NpuSmiUnreadable(NpuSmiError):
    """It printed what is not one of its known forms."""


class NpuSmiRefused(NpuSmiError):
    """It printed a refusal in place of facts; *number* is DCMI's code, 0 where none was told."""

    def __init__(self, text: str, *, number: int = 0) -> None:
        self.number = number
        meaning = DCMI_CODES.get(number, "")
        super().__init__(f'npu-smi says "{text}"' + (f": {meaning}" if meaning else ""))
