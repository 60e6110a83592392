"""What the documents that people write claim is what the code says."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from dispatcher.cards import tables as card_tables
from dispatcher.cards.card import BatchingSpec, InputSpec, VersionsSpec
from dispatcher.cards.file import read_card
from docs.generate import GROUPS
from notifier.events import standard_body
from notifier.signing import sign
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.models.rules import Region, Rules
from pipeline.settings import describe
from webapp.problems import CODE_OF_STATUS, STATUS_OF

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
MODEL_GUIDES = ("docs/models.md", "docs/models.zh-CN.md")
WRITTEN = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "docs" / "decisions")
    for path in folder.glob("*.md")
)

#: What the command line reads beside its settings: where a client finds the API, see gw/submit.py.
CLIENT_VARIABLES = {"GW_URL", "GW_API_KEY"}

#: What Compose reads: the example holds every one, which tests/architecture/test_deploy.py keeps.
COMPOSE_VARIABLES = frozenset(
    re.findall(r"^# (GW_\w+)=", (ROOT / "deploy/env.example").read_text(), flags=re.MULTILINE)
)

#: What the script that packs a bundle reads, as its head lists it.
BUNDLE_VARIABLES = frozenset(
    re.findall(r"^#   (GW_BUNDLE_\w+) ", (ROOT / "deploy/bundle.sh").read_text(), flags=re.M)
)


def text_of(name: str) -> str:
    """Give a document."""
    return (ROOT / name).read_text("utf-8")


def fenced(name: str, language: str) -> list[str]:
    """Give the contents of a document's blocks in *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(name), flags=re.DOTALL | re.MULTILINE)


def prose_of(name: str) -> str:
    """Give a document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(name), flags=re.DOTALL | re.MULTILINE)


def anchors_of(path: Path) -> set[str]:
    """Give the anchors that a page's headings have on a forge."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_documents_links_lead_somewhere(name: str) -> None:
    """Every relative link names a file that is there, and a heading that is in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(name)):
        if link.startswith(("http://", "https://")):
            continue
        place, _, anchor = link.partition("#")
        target = (ROOT / name).parent / place if place else ROOT / name
        assert target.exists(), f"{name} links to {link}"
        assert not anchor or anchor in anchors_of(target), f"{name} links to {link}"


def known_variables() -> dict[str, str]:
    """Give every setting with its default."""
    return {row.name: row.default for _, group in GROUPS for row in describe(group)}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_document_names_no_unknown_variable(name: str) -> None:
    """A GW_ variable in any document is one that is read."""
    named = set(re.findall(r"\bGW_[A-Z_]+[A-Z]\b", text_of(name)))

    assert named <= (
        known_variables().keys() | CLIENT_VARIABLES | COMPOSE_VARIABLES | BUNDLE_VARIABLES
    )


@pytest.mark.parametrize("name", READMES)
def test_the_readmes_ten_settings_have_these_defaults(name: str) -> None:
    """The table of settings that matter shows the defaults of the code."""
    rows = re.findall(r"^\| `(GW_\w+)` \| (?:`([^`]*)`)? ?\| \S.* \|$", text_of(name), re.MULTILINE)

    assert len(rows) == 10
    defaults = known_variables()
    assert {variable: defaults[variable] for variable, _ in rows} == dict(rows)


def test_the_promises_are_shown_by_tests_that_exist() -> None:
    """Each test that a document names is in the tree; the client has a call of such a name, too."""
    places = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "gw" / "client").glob("*.py")]
    defined = {
        found
        for path in places
        for found in re.findall(r"def (test_\w+)\(", path.read_text("utf-8"))
    }
    for name in WRITTEN:
        assert set(re.findall(r"`(test_\w+)`", text_of(name))) <= defined, name
    assert text_of("docs/architecture.md").count("`test_") >= 10


def test_every_fault_has_a_test() -> None:
    """Of the 34 faults each has a row of its own that says what shows it."""
    text = text_of("docs/reliability.md")
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \| (.+) \|$", text, re.M)

    assert sorted(int(number) for number, _ in rows) == list(range(1, 35))
    for number, shown in rows:
        assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", shown), number


SERVICES = ("pipeline", "egress", "webapp", "dispatcher", "postprocess", "notifier", "operations")


def logged_events(levels: set[str]) -> Iterator[str]:
    """Give the constant events that the services log at one of *levels*."""
    for package in SERVICES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and (node.func.value.id, node.func.attr in levels) == ("log", True)
                    and isinstance(node.args[0], ast.Constant)
                ):
                    yield str(node.args[0].value)


def test_every_event_that_matters_is_explained() -> None:
    """Operations names what is logged at info or above, and nothing that is never logged."""
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", prose_of("docs/operations.md")))
    loud = set(logged_events({"info", "warning", "error", "exception", "critical"}))
    # Chosen at the call: see Finisher._move and Postprocess.settle.
    chosen = {"job.stale_result", "job.failed", "job.expired"}

    assert loud <= named
    assert named <= loud | chosen


CARD_TABLES: dict[str, tuple[Any, Any]] = {
    "[model]": (card_tables.MODEL, None),
    "[input]": (card_tables.INPUT, InputSpec),
    "[batching]": (card_tables.BATCHING, BatchingSpec),
    "[versions]": (card_tables.VERSIONS, VersionsSpec),
    "[rules]": (card_tables.RULES, Rules),
    "[[rules.region]]": (card_tables.REGION, Region),
} | {f'kind = "{kind}"': (each.fields, each.type) for kind, each in card_tables.DECODERS.items()}


def section(name: str, title: str) -> str:
    """Give the part of a document below the heading of *title*."""
    found = re.search(
        rf"^#+ `{re.escape(title)}`$(.*?)(?=^#+ `|\Z)", text_of(name), re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"{name} has no section {title}"
    return found[1]


def default_of(card_type: Any, key: str) -> Any:
    """Give the default of a dataclass's field."""
    (spec,) = (each for each in fields(card_type) if each.name == key)
    if spec.default_factory is not MISSING:
        return spec.default_factory()
    return spec.default


@pytest.mark.parametrize("name", MODEL_GUIDES)
@pytest.mark.parametrize("title", CARD_TABLES)
def test_the_models_guide_has_every_key_with_its_default(name: str, title: str) -> None:
    """Each section lists exactly the keys that the card's reader knows, with their defaults."""
    table, card_type = CARD_TABLES[title]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", section(name, title), re.MULTILINE)

    assert [key for key, _ in rows] == list(table)
    for key, shown in rows:
        if shown.startswith("`"):
            default = default_of(card_type, key)
            assert json.loads(shown.strip("`")) == json.loads(json.dumps(default)), key
        else:
            assert shown in ({"required", "必填"} if table[key].required else {"none", "无"}), key


@pytest.mark.parametrize("name", [*MODEL_GUIDES, *READMES])
def test_the_model_cards_in_the_documents_are_valid(name: str, tmp_path: Path) -> None:
    """Each example can be used as it stands."""
    examples = fenced(name, "toml")
    assert examples
    for example in examples:
        found = re.search(r'^name = "(\w+)"', example, re.MULTILINE)
        assert found is not None
        folder = tmp_path / found[1]
        folder.mkdir(exist_ok=True)
        (folder / "model.toml").write_text(example, "utf-8")
        (folder / "labels.txt").write_text("ripe\nunripe\n", "utf-8")
        assert read_card(folder).name == found[1]


def test_the_api_document_lists_every_problem() -> None:
    """Each code that an answer can carry stands beside its status."""
    listed = {
        (int(status), code)
        for status, codes in re.findall(r"^\| (\d{3}) \| (.*) \|$", text_of("docs/api.md"), re.M)
        for code in re.findall(r"`([a-z]+_[a-z_]+|overloaded|unavailable)`", codes)
        if code != "picture_url"
    }
    real = {(status, code) for status, code in CODE_OF_STATUS.items()}
    real |= {(status, kind.code) for kind, status in STATUS_OF.items()}

    assert real <= listed


def test_the_api_documents_examples_are_json() -> None:
    """Everything shown as JSON parses."""
    examples = fenced("docs/api.md", "json")

    assert len([json.loads(example) for example in examples]) >= 5


def test_the_verification_by_hand_accepts_what_is_signed() -> None:
    """The function that the API document shows tells genuine webhooks from others."""
    (source,) = (block for block in fenced("docs/api.md", "python") if "is_genuine" in block)
    shown: dict[str, Any] = {}
    exec(source, shown)  # the document's own code is what is tested
    secret = SigningSecret.generate()
    body = standard_body(event_type="job.succeeded", unix_ms=1, data={"id": "job_1"})
    now_unix_s = int(time.time())

    def headers_at(timestamp_unix_s: int) -> dict[str, str]:
        return dict(
            sign([secret], message_id="msg_1", timestamp_unix_s=timestamp_unix_s, body=body)
        )

    is_genuine = shown["is_genuine"]
    assert is_genuine(secret.to_text(), headers_at(now_unix_s), body)
    assert not is_genuine(secret.to_text(), headers_at(now_unix_s), body + b" ")
    assert not is_genuine(SigningSecret.generate().to_text(), headers_at(now_unix_s), body)
    assert not is_genuine(secret.to_text(), headers_at(now_unix_s - 301), body)


def test_the_contributors_targets_exist() -> None:
    """What CONTRIBUTING tells to make, the Makefile can."""
    named = set(re.findall(r"`make ([a-z]+)`", text_of("CONTRIBUTING.md")))
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))

    assert {"check", "test", "unit", "fmt", "demo", "docs", "lock"} <= named <= targets
