"""Write the documents that the code already says: ``python -m docs.generate [--check] [NAME]``.

``protocol.md`` comes from ``pipeline/protocol.py``, ``configuration.md`` from the settings classes,
and the state diagrams in ``architecture.md`` from the transition table. ``--check`` writes nothing
and exits with 1 when a document is stale.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from dispatcher.settings import DispatcherSettings
from docs.environment import environment_example
from gw.settings import CommandSettings
from notifier.settings import NotifierSettings
from operations.settings import OperationsSettings
from pipeline import protocol
from pipeline.jobs.job import TRANSITIONS, JobState
from pipeline.settings import ServiceSettings, describe
from postprocess.settings import PostprocessSettings
from webapp.settings import WebappSettings

DOCS = Path(__file__).parent

_BEGIN, _END = "<!-- generated: begin -->", "<!-- generated: end -->"

_MESSAGES = (
    protocol.InferRequested,
    protocol.JobInferred,
    protocol.DeliveryDue,
    protocol.EventAnnounced,
)

GROUPS = (
    ("Every service", ServiceSettings),
    ("webapp", WebappSettings),
    ("dispatcher", DispatcherSettings),
    ("postprocess", PostprocessSettings),
    ("notifier", NotifierSettings),
    ("operations", OperationsSettings),
    ("The embedded stack (`gw up`)", CommandSettings),
)


def protocol_document() -> str:
    """Give ``protocol.md``: the key table, the rules, the messages."""
    lines = ["# The protocol between services", ""]
    lines += ["Written from `pipeline/protocol.py` by `make docs`.", ""]
    lines += _key_table()
    lines += ["", "## Messages", ""]
    for message in _MESSAGES:
        lines += [f"### `{message.KIND}`", "", inspect.getdoc(message) or "", ""]
        lines += [f"- `{field.name}`: `{field.type}`" for field in fields(message)]
        lines += [""]
    return "\n".join(lines)


def _key_table() -> Iterator[str]:
    """Turn the docstring's table into Markdown; its prose follows as it is."""
    _, table, prose = (inspect.getdoc(protocol) or "").split("\n\n", 2)
    rule, head, _, *rows = table.splitlines()
    starts = [0] + [at + 1 for at, char in enumerate(rule) if char == " "]
    stops = [*starts[1:], None]
    yield "## Keys"
    yield ""
    for number, row in enumerate([head, *rows[:-1]]):
        cells = [row[a:b].strip().replace("``", "`") for a, b in zip(starts, stops, strict=True)]
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield "| " + " | ".join("---" for _ in cells) + " |"
    yield ""
    yield prose.replace("``", "`")


def configuration_document() -> str:
    """Give ``configuration.md``: one table for each service."""
    lines = ["# Configuration", ""]
    lines += ["Written from the settings classes by `make docs`. Every setting is an environment"]
    lines += ["variable; a secret `X` may also be given as a file whose path is in `X_FILE`.", ""]
    common = {row.name for row in describe(ServiceSettings)}
    for title, settings_type in GROUPS:
        lines += [f"## {title}", "", "| variable | type | default | allowed | meaning |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        for row in describe(settings_type):
            if settings_type is not ServiceSettings and row.name in common:
                continue
            default = f"`{row.default}`" if row.default else "none"
            lines += [f"| `{row.name}` | {row.type} | {default} | {row.allowed} | {row.meaning} |"]
        lines += [""]
    return "\n".join(lines)


def architecture_document() -> str:
    """Give ``architecture.md`` with its state diagram drawn anew."""
    text = (DOCS / "architecture.md").read_text("utf-8")
    before, rest = text.split(_BEGIN, 1)
    _, after = rest.split(_END, 1)
    return f"{before}{_BEGIN}\n{_diagram()}\n{_END}{after}"


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> queued"]
    for old in JobState:
        lines += [f"    {old} --> {new}" for new in JobState if new in TRANSITIONS[old]]
    lines += [f"    {state} --> [*]" for state in JobState if state.is_terminal]
    return "\n".join([*lines, "```"])


def environment_document() -> str:
    """Give ``deploy/env.example``, without what only the embedded stack has."""
    return environment_example(
        [(title, list(describe(group))) for title, group in GROUPS if group is not CommandSettings]
    )


DOCUMENTS: dict[str, Callable[[], str]] = {
    "../deploy/env.example": environment_document,
    "protocol.md": protocol_document,
    "configuration.md": configuration_document,
    "architecture.md": architecture_document,
}


def main() -> int:
    """Write or check the documents named on the command line, all by default."""
    parser = argparse.ArgumentParser(description="Write the generated documents.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    parser.add_argument("names", nargs="*", default=list(DOCUMENTS))
    arguments = parser.parse_args()
    stale = []
    for name in arguments.names:
        path = DOCS / name
        text = DOCUMENTS[name]()
        if arguments.check:
            if not path.exists() or path.read_text("utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, "utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run make docs")  # noqa: T201  # a program's answer
    return len(stale)


if __name__ == "__main__":
    sys.exit(main())
