"""What a 310B needs of its host, as the vendor's ascend-infer-310b image lists it."""

from __future__ import annotations

from collections.abc import Mapping

#: Without these no device is opened at all.
VITAL_NODES = ("davinci0", "davinci_manager", "svm0", "ts_aisle")

#: The rest of the vendor's list: power, pictures, video.
OTHER_NODES = ("upgrade", "sys", "vdec", "vpc", "pngd", "venc", "dvpp_cmdlist")

#: Nodes of cards in a host and of other chips. A recipe for those does not work on a 310B board.
FOREIGN_NODES = ("devmm_svm", "hisi_hdc")

_LIBRARIES = (
    "libaicpu_processer.so",
    "libaicpu_prof.so",
    "libaicpu_sharder.so",
    "libadump.so",
    "libtsd_eventclient.so",
    "libaicpu_scheduler.so",
    "libdcmi.so",
    "libmpi_dvpp_adapter.so",
    "libstackcore.so",
)

DRIVER_LIBRARIES = "/usr/local/Ascend/driver/lib64"

#: Path -> what fails without it. In a container each is a read-only mount.
VITAL_PATHS: Mapping[str, str] = {
    DRIVER_LIBRARIES: "the driver's libraries",
    "/etc/sys_version.conf": "its version, which ACL reads",
    "/etc/hdcBasic.cfg": "the way to the device",
    "/usr/lib64/aicpu_kernels": "the kernels of operators that run on the AI CPU",
    **{f"/usr/lib64/{name}": "the driver's other libraries" for name in _LIBRARIES},
}

OTHER_PATHS: Mapping[str, str] = {
    "/etc/slog.conf": "the configuration of the device's log",
    "/usr/local/sbin/npu-smi": "temperature and health of the NPU",
    "/var/dmp_daemon": "the daemon that manages the device",
    "/var/slogd": "the daemon that writes the device's log",
}

#: Libraries that lie in one place or the other: (name, places).
EITHER_PATHS: Mapping[str, tuple[str, str]] = {
    name: (f"/usr/lib64/{name}", f"/usr/lib/aarch64-linux-gnu/{name}")
    for name in ("libcrypto.so.1.1", "libyaml-0.so.2")
}

#: Name -> what fails without it, and how it is started.
DAEMONS: Mapping[str, tuple[str, str]] = {
    "dmp_daemon": (
        "operators on the AI CPU fail, and device management does not answer",
        "/var/dmp_daemon -I -M -U 8087",
    ),
    "slogd": ("the device's log is lost", "/var/slogd -d"),
}

#: The user that owns the device nodes, on the host and in the container alike.
NPU_USER, NPU_UID, NPU_GID = "HwHiAiUser", 1000, 1000

#: Driver's release -> CANN's of the same train, as the vendor's images pair them.
DRIVER_TO_CANN: Mapping[str, str] = {
    "23.0.rc1": "6.2.rc1",
    "23.0.rc2": "6.2.rc2",
    "23.0.rc3": "7.0.rc1",
    "25.2": "8.5.0",
}
