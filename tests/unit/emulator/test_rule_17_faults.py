"""Rule 17: everything that goes wrong in the field can be made to go wrong here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import EMULATOR, Board, run_script
from tests.unit.emulator.models import doubling_om, write
from tests.unit.emulator.programs import Program


def test_rule_17_a_run_fails(program: Program) -> None:
    """507011 at the second run, and only then."""
    acl = program.start(faults=[{"at": "execute", "code": 507011, "nth": 2}])
    loaded = program.load()
    assert [loaded.execute() for _ in range(3)] == [0, 507011, 0]
    assert "injected" in acl.get_recent_err_msg()


def test_rule_17_a_fault_names_its_model(program: Program) -> None:
    """Only the models that the pattern fits fail."""
    program.start(faults=[{"at": "execute", "code": 507011, "model": "b*", "times": 0}])
    good, bad = program.load(name="good.om"), program.load(name="bad.om")
    assert [good.execute(), bad.execute(), bad.execute()] == [0, 507011, 507011]


def test_rule_17_a_fault_follows_an_item(program: Program) -> None:
    """Only batches that hold the bytes fail, so that one can be singled out."""
    culprit = np.float32(-7).tobytes().hex()
    fault = {"at": "execute", "code": 507011, "contains_hex": culprit, "times": 0}
    program.start(faults=[fault])
    loaded = program.load()
    codes = []
    for value in (1, -7, 2, -7):
        loaded.put(np.full((1, 4), value, np.float32))
        codes.append(loaded.execute())
    assert codes == [0, 507011, 0, 507011]


@pytest.mark.parametrize("code", [507014, 507015, 507010])
def test_rule_17_a_device_dies(board: Board, code: int) -> None:
    """After these codes nothing works until the process starts anew."""
    program = Program(board)
    acl = program.start(faults=[{"at": "execute", "code": code}])
    loaded = program.load()
    assert loaded.execute() == code
    assert loaded.execute() == code
    assert acl.rt.malloc(64, 0) == (0, code)
    assert acl.rt.synchronize_stream(program.stream) == code
    assert acl.mdl.load_from_file("x") == (0, code)
    assert acl.rt.set_device(0) == 507033


def test_rule_17_a_dead_device_ends_waiting(board: Board) -> None:
    """Whoever waits for a stream hears of the death."""
    program = Program(board)
    acl = program.start(faults=[{"at": "execute", "code": 507015}])
    loaded = program.load()
    assert loaded.execute_async() == 0
    assert acl.rt.synchronize_stream(program.stream) == 507015


@pytest.mark.parametrize("code", [507033, 507899])
def test_rule_17_a_device_cannot_be_opened(board: Board, code: int) -> None:
    """set_device fails, and works the next time."""
    acl = board.use(faults=[{"at": "set_device", "code": code}])
    assert acl.init() == 0
    assert acl.rt.set_device(0) == code
    assert acl.rt.set_device(0) == 0


def test_rule_17_memory_runs_out_at_the_third_allocation(board: Board) -> None:
    """207001 at the Nth malloc."""
    acl = board.open(faults=[{"at": "malloc", "code": 207001, "nth": 3}])
    codes = [acl.rt.malloc(64, 0)[1] for _ in range(4)]
    assert codes == [0, 0, 207001, 0]


def test_rule_17_a_queued_run_hangs(program: Program) -> None:
    """A hung run never ends; only a wait with a timeout comes back."""
    acl = program.start(faults=[{"at": "execute", "action": "hang"}])
    loaded = program.load()
    assert loaded.execute_async() == 0
    assert acl.rt.synchronize_stream_with_timeout(program.stream, 30) == 507046
    assert acl.rt.stream_query(program.stream) == (1, 0)
    assert acl.rt.destroy_stream_force(program.stream) == 0
    program.stream, _ = acl.rt.create_stream()


def test_rule_17_a_hung_operator_is_ended_by_its_limit(board: Board) -> None:
    """With set_op_execute_time_out a hang ends with 507014 and a dead device."""
    program = Program(board)
    acl = program.start(faults=[{"at": "execute", "action": "hang"}])
    loaded = program.load()
    assert acl.rt.set_op_execute_time_out(1) == 0
    assert loaded.execute_async() == 0
    assert acl.rt.synchronize_stream(program.stream) == 507014


def test_rule_17_a_hung_execute_stops_the_whole_process(tmp_path: Path) -> None:
    """A synchronous hang keeps the interpreter lock: only killing the process helps."""
    model = write(tmp_path, doubling_om())
    script = """
        import sys, threading, time
        import acl

        acl.init(); acl.rt.set_device(0)
        model, _ = acl.mdl.load_from_file(sys.argv[1])
        datasets = []
        for _ in range(2):
            pointer, _ = acl.rt.malloc(16, 0)
            dataset = acl.mdl.create_dataset()
            acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(pointer, 16))
            datasets.append(dataset)

        def beat():
            while True:
                print("beat\\n", end="", flush=True)
                time.sleep(0.01)

        threading.Thread(target=beat, daemon=True).start()
        print("executing\\n", end="", flush=True)
        acl.mdl.execute(model, *datasets)
    """
    path = tmp_path / "hang.py"
    path.write_text("\n".join(line[8:] for line in script.splitlines()), "utf-8")
    own = dict(os.environ, PYTHONPATH=str(EMULATOR), ACL_EMULATOR_FAULTS="execute=hang")
    command = [sys.executable, str(path), model]
    process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    # Two threads print: their lines may run into each other.
    while "executing" not in process.stdout.readline():
        assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.kill()
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait() == -9
    assert rest.count("beat") < 10


def test_rule_17_synchronising_fails_or_hangs(program: Program) -> None:
    """A wait can be made to fail, or to run out of time."""
    faults = [
        {"at": "synchronize", "code": 507046},
        {"at": "synchronize", "action": "hang", "nth": 2, "for_ms": 20},
    ]
    acl = program.start(faults=faults)
    assert acl.rt.synchronize_stream(program.stream) == 507046
    assert acl.rt.synchronize_stream_with_timeout(program.stream, 1000) == 507046
    assert acl.rt.synchronize_stream(program.stream) == 0


def test_rule_17_a_load_is_slow(program: Program) -> None:
    """A load can take as long as the field has seen."""
    program.start(faults=[{"at": "load", "action": "slow", "for_ms": 200}])
    began_s = time.monotonic()
    program.load()
    assert time.monotonic() - began_s >= 0.2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"at": "load", "code": 145002}, 145002),
        ({"at": "load", "action": "truncated"}, 145006),
        ({"at": "load", "action": "other_soc"}, 500002),
    ],
)
def test_rule_17_a_load_fails(program: Program, fault: dict[str, object], code: int) -> None:
    """A good file can be made to look truncated, or built for another chip."""
    acl = program.start(faults=[fault])
    path = write(program.board.folder, doubling_om())
    assert acl.mdl.load_from_file(path) == (0, code)
    number, second = acl.mdl.load_from_file(path)
    assert second == 0
    assert acl.mdl.unload(number) == 0


def test_rule_17_a_copy_fails(board: Board) -> None:
    """Memcpy can be made to fail."""
    acl = board.open(faults=[{"at": "memcpy", "code": 507899}])
    a, b = acl.rt.malloc(64, 0)[0], acl.rt.malloc(64, 0)[0]
    assert acl.rt.memcpy(a, 64, b, 64, 3) == 507899
    assert acl.rt.memcpy(a, 64, b, 64, 3) == 0


def _npu_smi(tmp_path: Path, *arguments: str, **settings: str) -> tuple[str, int]:
    own = {f"ACL_EMULATOR_{key.upper()}": value for key, value in settings.items()}
    environment = dict(os.environ, ACL_EMULATOR_PYTHON=sys.executable, **own)
    done = subprocess.run(
        [str(EMULATOR / "bin" / "npu-smi"), *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.returncode


@pytest.mark.parametrize("health", ["OK", "Alarm", "Critical"])
def test_rule_17_npu_smi_tells_of_health(tmp_path: Path, health: str) -> None:
    """The table is the one of real boards, with the health that is wanted."""
    text, status = _npu_smi(tmp_path, "info", health=health, soc="310B1", memory_mb="11577")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| 0 ")]
    assert status == 0
    assert [cell.strip() for cell in rows[0][1:3]] == ["0       310B1", health]
    assert rows[1][3].split()[-3:] == ["1500", "/", "11577"]
    assert len({len(line) for line in text.splitlines()}) == 1
    text, _ = _npu_smi(tmp_path, "info", "-t", "health", "-i", "0", "-c", "0", health=health)
    assert f": {health}" in text


@pytest.mark.parametrize("code", ["-8005", "-8020"])
def test_rule_17_npu_smi_fails(tmp_path: Path, code: str) -> None:
    """A DCMI error takes the place of the table."""
    text, status = _npu_smi(tmp_path, "info", dcmi_error=code)
    assert status != 0
    assert text == f"dcmi module initialize failed. ret is {code}\n"


def test_rule_17_faults_come_from_the_environment(tmp_path: Path) -> None:
    """A program is given faults without touching it."""
    script = """
        import acl

        print(acl.init(), acl.init())
        print(acl.rt.set_device(0), acl.rt.set_device(0), acl.rt.reset_device(0))
        print([acl.rt.malloc(0, 0)[1], acl.finalize()])
    """
    done = run_script(script, tmp_path, ACL_EMULATOR_FAULTS="set_device=507033@1*1, init=500000@9")
    assert done.stdout.splitlines() == ["0 100002", "507033 0 0", "[100000, 0]"], done.stderr


def test_rule_17_init_fails(board: Board) -> None:
    """acl.init can be made to fail."""
    acl: Any = board.use(faults=[{"at": "init", "code": 500000}])
    assert acl.init() == 500000
    assert acl.init() == 0
