"""What the documents claim is what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import protocol
from pipeline.jobs.job import Priority
from pipeline.protocol import Keyspace

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "pipeline" / "scripts").glob("*.lua"))


def documented_keys() -> set[str]:
    """Give the keys that the table in ``protocol.py`` lists, with their prefix as ``{p}``."""
    return set(re.findall(r"^``(\{p\}:[^`]+)``", protocol.__doc__ or "", flags=re.MULTILINE))


def test_the_key_table_lists_every_key() -> None:
    """Each key that the code can make is in the table, and the table has no other."""
    keyspace = Keyspace("{p}")
    made = {
        value for name, value in vars(keyspace).items() if name not in {"prefix", "ended_channel"}
    }
    made |= {
        keyspace.job("{job_id}"),
        keyspace.infer("{model}", Priority.NORMAL).replace(":normal", ":{priority}"),
        keyspace.infer("{model}", Priority.NORMAL, "{tenant}").replace(":normal", ":{priority}"),
        keyspace.waiting("{model}"),
        keyspace.bell("{model}"),
        keyspace.bucket("{tenant}", "{key}"),
        keyspace.jobs("{tenant}"),
        keyspace.events("{tenant}"),
        keyspace.cursors("{tenant}"),
        keyspace.promise("{tenant}", "{key}"),
        keyspace.delivery("{delivery_id}"),
        keyspace.attempts("{delivery_id}"),
        keyspace.backlog("{receiver}"),
        keyspace.receiver("{receiver}"),
        keyspace.pace("{receiver}"),
        keyspace.order("{endpoint}", "{group}"),
        keyspace.event("{event_id}"),
        keyspace.subscribed("{tenant}"),
        keyspace.rules("{sha256}"),
        keyspace.batch("{batch_id}"),
        keyspace.batch_items("{batch_id}"),
        keyspace.batches("{tenant}"),
        keyspace.model_command("{id}"),
        keyspace.batch_sources("{tenant}"),
        keyspace.tenant_deliveries("{tenant}"),
        keyspace.told_events("{tenant}"),
        keyspace.exhausted("{tenant}"),
        keyspace.operation("{operation_id}"),
    }

    assert documented_keys() == made


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_builds_no_key(script: Path) -> None:
    """Every command in a script works on a key it was given, or on one it was given an index of."""
    for call in re.findall(r"redis\.call\('(\w+)', *([^,)]+)", script.read_text("utf-8")):
        command, first = call
        if command == "PUBLISH":
            assert first == "ARGV[1]"
            continue
        assert re.fullmatch(r"KEYS\[.+\]?|record|stream|key|about", first), call
    assert ".." not in re.sub(r"--.*", "", script.read_text("utf-8"))


@pytest.mark.parametrize(
    "name", ["protocol.md", "configuration.md", "architecture.md", "../deploy/env.example"]
)
def test_a_generated_document_is_fresh(name: str) -> None:
    """``make docs`` would change nothing."""
    answer = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
