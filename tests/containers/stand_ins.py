"""Stand-ins for the base images, which cannot be pulled everywhere: made from Debian packages.

They are glibc where ``python:3.11-alpine`` is musl: that every dependency has a musl wheel, and how
much of a layer it makes, is tested beside them, without an image.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.containers.engine import docker

PYTHON = "gw-stand-in/python:3.11"
REDIS = "gw-stand-in/redis:7"
#: With the vendor's users, and like the vendor's run-time image without a Python.
ASCEND = "gw-stand-in/ascend:1"

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PACKAGES = "python3,python3-pip,ca-certificates,redis-server"
_PIP = "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ntimeout = 120\n"

_REDIS_FILE = f"FROM {PYTHON}\nRUN mkdir /data && chown 999:999 /data\nVOLUME /data\n"
_ASCEND_FILE = f"""FROM {PYTHON}
RUN rm -f /usr/bin/python* /usr/bin/pip* \\
 && groupadd -g 1101 HwDmUser && groupadd -g 1102 HwBaseUser && groupadd -g 1000 HwHiAiUser \\
 && useradd -m -u 1000 -g 1000 -G 1101,1102 HwHiAiUser \\
 && mkdir /home/HwHiAiUser/aicpu_kernels
ENV LD_LIBRARY_PATH=/usr/local/Ascend/driver/lib64:/usr/lib64
USER 1000
"""

_INSTALLER = """#!/bin/sh
# Takes the options that Miniconda's installer takes: -b -p PREFIX.
set -eu
prefix="$3"
mkdir -p "$prefix"
sed '1,/^__PAYLOAD__$/d' "$0" | tar -xz -C "$prefix"
exit 0
__PAYLOAD__
"""


#: Where Debian's Python looks for it, pip comes along, as an installer brings it.
_PACK = """
mkdir -p /p/bin /p/lib/python3/dist-packages
cp /usr/bin/python3.11 /p/bin/
ln -s python3.11 /p/bin/python3
cp -r /usr/lib/python3.11 /p/lib/
cp -r /usr/lib/python3/dist-packages/pip /p/lib/python3/dist-packages/
tar -C /p -c . | gzip -1
"""


def ensure_bases(scratch: Path) -> None:
    """Make the stand-ins that this engine does not have yet."""
    if not _exists(PYTHON):
        _import_debian(scratch / "rootfs")
    for tag, text in ((REDIS, _REDIS_FILE), (ASCEND, _ASCEND_FILE)):
        if not _exists(tag):
            folder = scratch / tag.replace("/", "-").replace(":", "-")
            folder.mkdir()
            (folder / "Dockerfile").write_text(text)
            docker("build", "--quiet", "--tag", tag, str(folder))


def write_installer(path: Path) -> None:
    """Write a stand-in for Miniconda's installer: it lays Debian's Python into a prefix."""
    packed = subprocess.run(
        ["docker", "run", "--rm", PYTHON, "sh", "-c", _PACK], capture_output=True, check=True
    )
    path.write_bytes(_INSTALLER.encode("ascii") + packed.stdout)


def _exists(tag: str) -> bool:
    return bool(docker("image", "ls", "--quiet", tag).strip())


def _import_debian(root: Path) -> None:
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(root / "var/cache/apt")
    shutil.rmtree(root / "var/lib/apt/lists")
    # The machine's own authorities: a mirror between it and the package index may have one.
    shutil.copy(_CERTIFICATES, root / "etc/ssl/certs/ca-certificates.crt")
    (root / "etc/pip.conf").write_text(_PIP)
    (root / "usr/bin/python").symlink_to("python3")
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        docker("import", "--change", 'CMD ["python3"]', "-", PYTHON, stdin=tar.stdout)
    shutil.rmtree(root)
