"""Checks of what the NPU needs: nodes, mounts, user, daemons, versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatcher.host import wanted
from dispatcher.host.finding import Finding, Severity, error, info, ok, warning
from dispatcher.host.snapshot import DeviceNode, Host

_R_W_OWNER, _R_W_GROUP, _R_W_OTHER = 0o600, 0o060, 0o006


def check_npu(host: Host) -> list[Finding]:
    """Find everything that keeps, or may keep, the NPU from working here."""
    return [
        *_nodes(host),
        *_access(host),
        *_paths(host),
        *_user(host),
        *_daemons(host),
        *_environment(host),
        *_versions(host),
    ]


def why_npu_fails(host: Host) -> str:
    """Give what keeps the NPU from working, in one line; empty if nothing is known to."""
    return "; ".join(each.found for each in check_npu(host) if each.severity is Severity.ERROR)


def _nodes(host: Host) -> Iterator[Finding]:
    missing = [name for name in wanted.VITAL_NODES if name not in host.nodes]
    others = [name for name in wanted.OTHER_NODES if name not in host.nodes]
    foreign = [name for name in wanted.FOREIGN_NODES if name in host.nodes]
    if missing:
        # On the host a driver makes the nodes; in a container somebody passes them.
        fix = (
            "pass " + " ".join(f"--device /dev/{name}" for name in (*missing, *others))
            if host.is_container
            else "install driver and firmware, and see that npu-smi info lists the NPU"
        )
        yield error("device nodes", f"{_devices(missing)} missing", fix)
    if missing and foreign:
        yield warning(
            "device nodes",
            f"{_devices(foreign)} of another chip, or of a card in a host",
            "use the list of nodes for the 310B, see docs/npu.md",
        )
    if others:
        yield warning(
            "device nodes",
            f"{_devices(others)} missing",
            "pass them too: decoding on the NPU and resets need them",
        )
    for name, node in host.nodes.items():
        if not node.is_device:
            yield error("device nodes", f"/dev/{name} is no device", "remove it, pass the real one")
    if not missing and not others:
        yield ok("device nodes", "all device nodes are there")


def _devices(names: Sequence[str]) -> str:
    return ", ".join(f"/dev/{name}" for name in names) + (" is" if len(names) == 1 else " are")


def _access(host: Host) -> Iterator[Finding]:
    for name in ("davinci0", "davinci_manager"):
        node = host.nodes.get(name)
        if node is not None and not may_open(host, node):
            yield error(
                "access",
                f"uid {host.uid} may not open /dev/{name}, which is {node.uid}:{node.gid} with "
                f"mode {node.mode:04o}",
                f"run as uid {node.uid}, or add the group {node.gid} (--group-add {node.gid})",
            )


def may_open(host: Host, node: DeviceNode) -> bool:
    """Tell whether this process may read and write the node. Root may, where it is not confined."""
    if host.uid == 0:
        return True
    if host.uid == node.uid:
        return node.mode & _R_W_OWNER == _R_W_OWNER
    if node.gid in host.gids:
        return node.mode & _R_W_GROUP == _R_W_GROUP
    return node.mode & _R_W_OTHER == _R_W_OTHER


def _paths(host: Host) -> Iterator[Finding]:
    missing = [path for path in wanted.VITAL_PATHS if path not in host.paths]
    others = [path for path in wanted.OTHER_PATHS if path not in host.paths]
    if missing:
        uses = dict.fromkeys(wanted.VITAL_PATHS[path] for path in missing)
        verb = "is" if len(missing) == 1 else "are"
        told = f"{', '.join(missing)} {verb} missing ({'; '.join(uses)})"
        yield error("driver files", told, _mounting(host, missing))
    for path in others:
        told = f"{path} is missing ({wanted.OTHER_PATHS[path]})"
        yield warning("driver files", told, _mounting(host, [path]))
    for name, places in wanted.EITHER_PATHS.items():
        if not host.paths.intersection(places):
            yield warning(
                "driver files",
                f"neither {places[0]} nor {places[1]} is there",
                f"mount {name} from where the host has it" if host.is_container else "install it",
            )
    if not missing:
        yield ok("driver files", "the driver's files are there")


def _mounting(host: Host, paths: Sequence[str]) -> str:
    if not host.is_container:
        return "install the driver"
    return "mount read-only: " + " ".join(f"-v {path}:{path}:ro" for path in paths)


def _user(host: Host) -> Iterator[Finding]:
    wanted_ids = (wanted.NPU_UID, wanted.NPU_GID)
    if host.npu_user is not None and host.npu_user != wanted_ids:
        yield error(
            "user",
            f"{wanted.NPU_USER} is {host.npu_user[0]}:{host.npu_user[1]}, not 1000:1000",
            f"usermod -u 1000 {wanted.NPU_USER} and groupmod -g 1000 {wanted.NPU_USER}, on the "
            "host and in the image alike",
        )
    elif host.npu_user is None and not host.is_container:
        yield warning(
            "user",
            f"there is no user {wanted.NPU_USER}",
            "the driver's installation makes it; uid and gid must be 1000",
        )
    elif host.uid not in {0, wanted.NPU_UID} and wanted.NPU_GID not in host.gids:
        yield warning(
            "user",
            f"this runs as uid {host.uid}",
            "run as uid 1000: the driver refuses others though the nodes are there",
        )
    else:
        yield ok("user", f"this runs as uid {host.uid}")


def _daemons(host: Host) -> Iterator[Finding]:
    for name, (without, start) in wanted.DAEMONS.items():
        if name in host.processes:
            yield ok("daemons", f"{name} runs")
        elif host.is_container or name == "slogd":
            fix = f"start it before gw, as the vendor's run.sh does: {start}"
            yield warning("daemons", f"{name} does not run: {without}", fix)
        else:
            yield error("daemons", f"{name} does not run: {without}", "start the driver's services")


def _environment(host: Host) -> Iterator[Finding]:
    libraries = host.environ.get("LD_LIBRARY_PATH", "").split(":")
    stubs = [path for path in libraries if path.rstrip("/").endswith(("devlib", "stub", "stubs"))]
    if stubs:
        yield error(
            "libraries",
            f"LD_LIBRARY_PATH has {stubs[0]}, whose libraries are for compiling only",
            "remove it",
        )
    if host.environ.get("ASCEND_VISIBLE_DEVICES") and not host.environ.get("ASCEND_ALLOW_LINK"):
        yield warning(
            "docker runtime",
            "ASCEND_VISIBLE_DEVICES is set without ASCEND_ALLOW_LINK",
            "set ASCEND_ALLOW_LINK=True: the Ascend Docker runtime refuses a 310B without it",
        )
    if host.has_pyacl is False:
        yield error(
            "pyACL",
            "Python finds no module acl",
            "source CANN's set_env.sh, or put its python/site-packages on PYTHONPATH",
        )
    elif host.has_pyacl:
        yield ok("pyACL", "Python finds the module acl")


def _versions(host: Host) -> Iterator[Finding]:
    if not host.cann:
        yield error(
            "CANN",
            "no CANN is installed in /usr/local/Ascend",
            "install NNRT of the driver's release train",
        )
        return
    versions = {each.version for each in host.cann if each.version}
    listed = ", ".join(f"{each.kind} {each.version or '?'}" for each in host.cann)
    if len(versions) > 1:
        yield error(
            "CANN",
            f"several versions are mixed: {listed}",
            "keep one: mixed versions fail at load (500002) or in a run (507011)",
        )
        return
    yield ok("CANN", f"{listed} in {host.cann[0].path}")
    if host.driver_version:
        yield pairing(host.driver_version, next(iter(versions), ""))
    else:
        yield info("driver", "the driver's version cannot be told", "see npu-smi info")


def pairing(driver: str, cann: str) -> Finding:
    """Say whether a driver and a CANN belong together, as far as that is known."""
    known = next(
        (
            version
            for release, version in wanted.DRIVER_TO_CANN.items()
            if driver.lower() == release or driver.lower().startswith(f"{release}.")
        ),
        "",
    )
    if known and cann.lower() == known:
        return ok("versions", f"driver {driver} and CANN {cann} belong together")
    if known:
        return warning(
            "versions",
            f"driver {driver} was released with CANN {known}, here is {cann or 'another'}",
            "use the pair, or look both up in the vendor's compatibility assistant",
        )
    return info(
        "versions",
        f"driver {driver} with CANN {cann or '?'}",
        "gw knows no pair for this driver; the vendor's compatibility assistant does",
    )
