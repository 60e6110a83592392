"""Rule 7: a process that was forked after init is unusable."""

from __future__ import annotations

from pathlib import Path

from tests.unit.emulator.board import run_script

FORKED = """
    import os
    import acl

    assert acl.init() == 0
    assert acl.rt.set_device(0) == 0
    child = os.fork()
    if child == 0:
        try:
            acl.rt.get_device()
        except RuntimeError as error:
            print(error, flush=True)
            os._exit(3)
        os._exit(0)
    print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print("parent still works:", acl.rt.get_device())
    acl.rt.reset_device(0)
    acl.finalize()
"""


def test_rule_07_every_call_in_a_forked_child_raises(tmp_path: Path) -> None:
    """The child is refused loudly, and its parent goes on."""
    done = run_script(FORKED, tmp_path)
    assert "acl.rt.get_device: this process was forked after acl.init" in done.stdout
    assert "child ended with 3" in done.stdout
    assert "parent still works: (0, 0)" in done.stdout
    assert done.returncode == 0, done.stderr


def test_rule_07_a_fork_before_init_is_harmless(tmp_path: Path) -> None:
    """Workers that start first and initialise themselves are the way to do it."""
    script = """
        import os
        import acl

        child = os.fork()
        code = acl.init() or acl.rt.set_device(0) or acl.rt.reset_device(0) or acl.finalize()
        if child == 0:
            os._exit(code)
        print(code, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = run_script(script, tmp_path)
    assert done.stdout.split() == ["0", "0"], done.stderr


def test_rule_07_starting_a_process_during_copies_is_told(tmp_path: Path) -> None:
    """A process started while work is pending is warned about: on hardware it may hang."""
    script = """
        import subprocess, sys, threading
        import acl

        acl.init(); acl.rt.set_device(0)
        event, _ = acl.rt.create_event()
        stream, _ = acl.rt.create_stream()
        ready = threading.Event()
        thread, _ = acl.util.start_thread(
            lambda _: (ready.wait(), acl.rt.process_report(5000)), [0]
        )
        acl.rt.subscribe_report(thread, stream)
        ready.set()
        acl.rt.launch_callback(lambda _: subprocess.run([sys.executable, "-c", ""]), [], 1, stream)
        acl.util.stop_thread(thread)
        acl.rt.synchronize_stream(stream)
        acl.rt.unsubscribe_report(thread, stream)
        acl.rt.destroy_event(event); acl.rt.destroy_stream(stream)
        acl.rt.reset_device(0); acl.finalize()
    """
    done = run_script(script, tmp_path)
    assert "subprocess.Popen while asynchronous work is pending" in done.stderr
    assert done.returncode == 0
