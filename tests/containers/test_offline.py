"""A bundle brings gw onto a machine without internet: install, repair, upgrade, back, uninstall."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.containers import stand_ins
from tests.containers.conftest import FIGURES
from tests.containers.engine import COMPOSE, docker
from tests.containers.offline import Offline
from tests.containers.stack import ROOT
from tests.e2e.embedded import PICTURE, write_models

pytestmark = pytest.mark.timeout(400)

OLD, NEW, BROKEN = "0.9.1", "0.9.2", "0.9.3"

#: More than are done before the switch comes.
JOBS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine without internet: its engine, the unpacked bundles, and where gw goes."""

    engine: Offline
    bundles: Mapping[str, Path]
    prefix: Path
    port: int

    def install(
        self, version: str, *options: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the installer of a bundle."""
        options = ("--prefix", str(self.prefix), "--timeout", "60", *options)
        return self.engine.run(str(self.bundles[version] / "install.sh"), *options, check=check)

    def ensure(self, version: str) -> str:
        """Bring it to *version*, from whatever state; give the key."""
        place = ("--kind", "cpu", "--publish", f"127.0.0.1:{self.port}")
        self.install(version, *place, "--models", str(self.prefix.parent / "models"))
        return (self.prefix / "api-key").read_text().strip()

    def installed(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the installer that the installation keeps."""
        options = ("--prefix", str(self.prefix), "--timeout", "60", *options)
        return self.engine.run(str(self.prefix / "install.sh"), *options, check=check)

    def containers(self) -> set[str]:
        """Give the ids of the running containers."""
        return set(self.engine.run("docker", "ps", "--quiet").stdout.split())

    def volumes(self) -> set[str]:
        """Give the names of the volumes."""
        return set(self.engine.run("docker", "volume", "ls", "--quiet").stdout.split())


@pytest.fixture(scope="module")
def bundles(
    context: Path, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Path]]:
    """Build two versions with the product's own scripts, and one that does not start; pack them."""
    into = tmp_path_factory.mktemp("bundles")
    (context / "docs").mkdir(exist_ok=True)
    for name in ("deploy.md", "deploy.zh-CN.md"):
        shutil.copy(ROOT / "docs" / name, context / "docs" / name)
    found = {}
    for version in (OLD, NEW, BROKEN):
        if version == BROKEN:
            _break_webapp()
        else:
            _script(context, "build.sh", GW_VERSION=version)
        started_s = time.monotonic()
        has_zstd = version != OLD and shutil.which("zstd") is not None
        compress = "zstd" if has_zstd else "gzip"
        _script(
            context,
            "bundle.sh",
            GW_VERSION=version,
            GW_BUNDLE_INTO=str(into),
            GW_BUNDLE_COMPRESS=compress,
        )
        archive = next(into.glob(f"gw-{version}-*.tar"))
        size_mb, took_s = archive.stat().st_size / 1e6, time.monotonic() - started_s
        FIGURES[f"bundle, CPU, {compress}"] = f"{size_mb:.0f} MB in {took_s:.0f} s"
        subprocess.run(["sha256sum", "--check", f"{archive.name}.sha256"], cwd=into, check=True)
        subprocess.run(["tar", "-C", str(into), "-xf", str(archive)], check=True)
        archive.unlink()
        found[version] = archive.with_suffix("")
    yield found
    for version in found:
        names = ("webapp", "notifier", "postprocess", "dispatcher-cpu")
        docker("image", "rm", *(f"gw/{name}:{version}" for name in names), check=False)


def _script(context: Path, name: str, **environ: str) -> None:
    places = {
        "COMPOSE": str(COMPOSE),
        "COMPOSE_FILE": "docker-compose.yaml:deploy/compose.cpu.yaml",
        "GW_PYTHON_IMAGE": stand_ins.PYTHON,
        "GW_CPU_IMAGE": stand_ins.PYTHON,
        "GW_REDIS_IMAGE": stand_ins.REDIS,
    }
    answer = subprocess.run(
        [str(context / "deploy" / name)],
        env=os.environ | places | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def _break_webapp() -> None:
    """Make a version whose webapp ends as soon as it starts."""
    for name in ("notifier", "postprocess", "dispatcher-cpu", "webapp"):
        docker("tag", f"gw/{name}:{NEW}", f"gw/{name}:{BROKEN}")
    file = f"FROM gw/webapp:{NEW}\nENV PYTHONPATH=/app:/opt/gw/lib:/nowhere GW_HTTP_PORT=none\n"
    command = ["docker", "build", "--quiet", "--tag", f"gw/webapp:{BROKEN}", "-"]
    subprocess.run(command, input=file + 'CMD ["false"]\n', text=True, check=True)


@pytest.fixture(scope="module")
def machine(
    bundles: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Give a machine on which nothing is installed."""
    folder = tmp_path_factory.mktemp("machine")
    write_models(folder / "models")
    engine = Offline()
    try:
        yield Machine(engine=engine, bundles=bundles, prefix=folder / "gwapp", port=free_port())
    finally:
        engine.stop()


def test_a_bundle_is_all_that_an_empty_machine_needs(machine: Machine) -> None:
    """An empty engine gets the images from the bundle; the API works; a second run repairs."""
    machine.engine.run("sh", "-c", "docker image ls -q | xargs -r docker image rm -f", check=False)
    started_s = time.monotonic()
    key = machine.ensure(OLD)
    FIGURES["installed on an empty engine"] = f"{time.monotonic() - started_s:.0f} s"

    jobs = machine.engine.submitting(key, PICTURE, count=5).communicate()[0].split()
    assert machine.engine.ends(key, jobs) == ["succeeded"] * 5
    for name in ("api-key", ".env"):
        assert stat.S_IMODE((machine.prefix / name).stat().st_mode) == 0o600
    before = machine.containers()

    answer = machine.install(OLD)

    assert machine.containers() == before
    assert (machine.prefix / "api-key").read_text().strip() == key
    assert "API key" not in answer.stdout
    machine.engine.run("docker", "rm", "--force", "gw-notifier-1", "gw-webapp-1")
    machine.install(OLD)
    assert set(machine.engine.versions().values()) == {OLD}
    assert machine.engine.ends(key, jobs) == ["succeeded"] * 5
    listed = machine.installed("--list").stdout
    assert f"* {OLD}" in listed.splitlines()


def test_work_goes_on_over_an_upgrade_and_back(machine: Machine) -> None:
    """While jobs come in the version is switched, and switched back: every accepted job ends."""
    key = machine.ensure(OLD)
    accepted: list[str] = []
    seen = []
    for switch in (partial(machine.install, NEW), partial(machine.installed, "--rollback")):
        with machine.engine.submitting(key, PICTURE, count=JOBS) as submitter:
            assert submitter.stdout is not None
            accepted += [submitter.stdout.readline().strip() for _ in range(20)]
            switch()
            accepted += submitter.stdout.read().split()
        assert submitter.returncode != 0, "all jobs were accepted before the switch"
        assert set(machine.engine.versions().values()) == {_current(machine)}
        seen.append(_current(machine))

    assert seen == [NEW, OLD]
    assert set(machine.engine.ends(key, accepted)) == {"succeeded"}
    FIGURES["jobs accepted while versions were switched"] = str(len(accepted))


def _current(machine: Machine) -> str:
    lines = (machine.prefix / ".env").read_text().splitlines()
    return next(line for line in lines if line.startswith("GW_VERSION=")).partition("=")[2]


def test_a_version_that_does_not_become_ready_gives_way(machine: Machine) -> None:
    """The new webapp ends at once: the version before runs again by itself, with its data."""
    key = machine.ensure(OLD)
    jobs = machine.engine.submitting(key, PICTURE, count=5).communicate()[0].split()

    answer = machine.install(BROKEN, check=False)

    assert answer.returncode == 1
    assert f"{OLD} runs again, with all data" in answer.stderr
    assert set(machine.engine.versions().values()) == {OLD}
    assert _current(machine) == OLD
    assert machine.engine.ends(key, jobs) == ["succeeded"] * 5


def test_uninstalling_leaves_the_data(machine: Machine) -> None:
    """Jobs, settings and keys outlive it and an installation takes them up; a purge deletes all."""
    key = machine.ensure(OLD)
    jobs = machine.engine.submitting(key, PICTURE, count=5).communicate()[0].split()
    assert machine.engine.ends(key, jobs) == ["succeeded"] * 5
    volumes = machine.volumes()

    machine.installed("--uninstall")

    assert machine.containers() == set()
    assert machine.volumes() == volumes
    assert machine.engine.run("docker", "image", "ls", "-q", "gw/webapp").stdout == ""
    machine.install(OLD, "--kind", "cpu")
    assert machine.engine.ends(key, jobs) == ["succeeded"] * 5
    machine.installed("--uninstall", "--purge")
    assert machine.volumes() == set()
    assert not (machine.prefix / "api-key").exists()
    assert (machine.prefix.parent / "models" / "mean" / "model.toml").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("docker-compose.yaml", "services: {}\n", "the bundle is damaged (docker-compose.yaml)"),
        ("VERSION", "version=0.9.1\narch=riscv64\nimages_bytes=1\n", "the bundle for riscv64"),
        ("VERSION", "version=0.9.1\narch=x\nimages_bytes=9000000000000000\n", "MB are needed"),
    ],
)
def test_what_does_not_fit_is_told_and_changes_nothing(
    machine: Machine, tmp_path: Path, name: str, content: str, told: str
) -> None:
    """A bundle that is damaged, for another machine, or too large is refused with a sentence."""
    bundle = tmp_path / "bundle"
    shutil.copytree(machine.bundles[OLD], bundle, copy_function=os.link)
    (bundle / name).unlink()
    (bundle / name).write_text(content)
    prefix = tmp_path / "gwapp"
    if "needed" in told:
        (bundle / "IMAGES").unlink()
        (bundle / "IMAGES").write_text("gw/dispatcher-cpu:never sha256:none\n")
    before = machine.containers()

    answer = machine.engine.run(
        str(bundle / "install.sh"), "--prefix", str(prefix), "--kind", "cpu", check=False
    )

    assert answer.returncode == 1
    assert told in answer.stderr
    assert "nothing was changed" in answer.stderr
    assert not prefix.exists()
    assert machine.containers() == before


def test_an_npu_is_missed_with_what_to_do(machine: Machine, tmp_path: Path) -> None:
    """For an NPU that this machine has not, the check names user and device, in both languages."""
    for language, word in (("C", "npu-smi info"), ("zh_CN.UTF-8", "请安装驱动与固件")):
        answer = subprocess.run(
            [
                *(str(machine.bundles[OLD] / "install.sh"), "--check", "--kind", "ascend"),
                *("--prefix", str(tmp_path / "gwapp")),
            ],
            env={**machine.engine.environ, "LC_ALL": language},
            capture_output=True,
            text=True,
            check=False,
        )

        assert answer.returncode == 1
        assert word in answer.stderr
        assert "HwHiAiUser" in answer.stderr
        assert "/dev/dvpp_cmdlist" in answer.stderr
        assert "/var/dmp_daemon" in answer.stderr


def test_the_bundle_lists_its_images(machine: Machine) -> None:
    """Each image of the stack is named with its id, Redis among them."""
    lines = (machine.bundles[OLD] / "IMAGES").read_text().splitlines()

    assert stand_ins.REDIS in {line.split()[0] for line in lines}
    for line in lines:
        name, found = line.split()
        assert json.loads(docker("inspect", name))[0]["Id"] == found
