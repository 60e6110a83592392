"""Reads ``gwproc/<model>/model.toml`` into a ModelCard, or says all that is wrong with it.

A problem reads ``<file>:<line>: <key> is <value>; allowed: <what>``. In it, the elements of a list
are counted from 1. All problems of a file are reported together.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from dispatcher.cards import tables as card_tables
from dispatcher.cards.card import BatchingSpec, DecoderKind, InputSpec, ModelCard, VersionsSpec
from dispatcher.cards.checks import (
    Contradiction,
    check_decoder,
    check_input,
    check_model,
    check_rules,
    check_versions,
    outline,
)
from dispatcher.cards.toml_lines import LineIndex, Path
from dispatcher.cards.values import Field, Parser, Refused, choice
from pipeline.errors import InvalidSettings
from pipeline.models.rules import Region, Rules

CARD_FILE_NAME = "model.toml"

_LARGEST_CARD_BYTES = 1_000_000
_LARGEST_LABELS_BYTES = 10_000_000
_TABLES = ("model", "input", "decoder", "batching", "versions", "rules")


class InvalidCard(InvalidSettings):
    """A model card cannot be used. *problems* are its sentences, one for each thing wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def read_card(folder: FilePath) -> ModelCard:
    """Read the card of the model in *folder*; raises InvalidCard naming all that is wrong."""
    file = folder / CARD_FILE_NAME
    content = _read_text_file(file, _LARGEST_CARD_BYTES)
    text = content.decode()
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        place = re.search(r" \(at line (\d+), column \d+\)$", str(exc))
        line = int(place[1]) if place else text.count("\n") + 1
        raise InvalidCard([f"{file}:{line}: not valid TOML: {exc}"]) from exc
    reader = _Reader(document, file, LineIndex(text))
    return reader.read(settings_bytes=content)


def _read_text_file(file: FilePath, limit_bytes: int) -> bytes:
    """Read a UTF-8 file of bounded size, which must not lie elsewhere by way of a link."""
    try:
        if file.resolve(strict=True).parent != file.parent.resolve(strict=True):
            raise InvalidCard([f"{file}:1: is a link to another folder; put the file itself here"])
        if not file.is_file():
            raise InvalidCard([f"{file}:1: is not a regular file"])
        with file.open("rb") as opened:
            content = opened.read(limit_bytes + 1)
        content.decode()
    except OSError as exc:
        raise InvalidCard([f"{file}:1: cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise InvalidCard([f"{file}:{line}: is not UTF-8 text"]) from exc
    if len(content) > limit_bytes:
        raise InvalidCard([f"{file}:1: is larger than {limit_bytes} bytes"])
    return content


class _Reader:
    """Walks one document by the tables of ``card_tables``, gathering problems as it goes."""

    def __init__(self, document: Mapping[str, Any], file: FilePath, lines: LineIndex) -> None:
        self._document = document
        self._file = file
        self._lines = lines
        self._problems: list[tuple[int, str]] = []

    def read(self, *, settings_bytes: bytes) -> ModelCard:
        self._refuse_unknown((), self._document, _TABLES)
        model = self._table(("model",), card_tables.MODEL)
        task = model.get("task")
        inputs = self._table(("input",), card_tables.INPUT)
        decoder = self._decoder()
        batching = self._table(("batching",), card_tables.BATCHING, required=False)
        versions = self._table(("versions",), card_tables.VERSIONS, required=False)
        regions = self._regions()
        rules = self._table(("rules",), card_tables.RULES, required=False, also=("region",))
        labels_bytes = self._load_labels(rules)

        self._add_all(check_model(model, folder=self._file.parent.name))
        if "input" in self._document:
            self._add_all(check_input(inputs, runtime=model.get("runtime")))
        self._add_all(check_decoder(decoder, task=task))
        self._add_all(check_versions(versions))
        self._add_all(check_rules(rules, regions, task))
        if self._problems:
            raise InvalidCard(sentence for _, sentence in sorted(self._problems))

        if inputs.get("dtype") == "uint8":
            inputs.setdefault("scale", 1.0)
        kind: DecoderKind = decoder.pop("kind")
        return ModelCard(
            name=model["name"],
            task=model["task"],
            runtime=model["runtime"],
            description=model.get("description", ""),
            input=InputSpec(**inputs),
            decoder=card_tables.DECODERS[kind].type(**decoder),
            batching=BatchingSpec(**batching),
            versions=VersionsSpec(**versions),
            warm_up=model.get("warm_up", False),
            rules=Rules(**rules, regions=tuple(_region(r) for r in regions)),
            settings_sha256=_settings_sha256(settings_bytes, labels_bytes),
        )

    def _table(
        self,
        path: Path,
        fields: Mapping[str, Field],
        *,
        required: bool = True,
        also: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Read the table at *path*; *also* are further keys that somebody else reads."""
        table = self._at(path)
        if table is None:
            if required:
                self._add(path, f"is missing; write a table [{_spell(path)}]")
            return {}
        if not isinstance(table, dict):
            self._add(path, f"must be a table: [{_spell(path)}]")
            return {}
        self._refuse_unknown(path, table, (*fields, *also))
        parsed = {}
        for key, field in fields.items():
            if key in table:
                value = self._parse((*path, key), table[key], field.parse)
                if value is not None:
                    parsed[key] = value
            elif field.required:
                self._add((*path, key), "is missing")
        return parsed

    def _decoder(self) -> dict[str, Any]:
        """Read ``[decoder]``: which keys it may have depends on its kind."""
        table = self._at(("decoder",))
        parse_kind = choice(DecoderKind)
        kinds = {"kind": Field(parse_kind, required=True)}
        try:
            kind = parse_kind(table.get("kind") if isinstance(table, dict) else None)
        except Refused:
            every_key = {key for d in card_tables.DECODERS.values() for key in d.fields}
            return self._table(("decoder",), kinds, also=every_key)
        return self._table(("decoder",), {**kinds, **card_tables.DECODERS[kind].fields})

    def _regions(self) -> list[dict[str, Any]]:
        regions = self._at(("rules", "region"))
        if regions is None:
            return []
        if not isinstance(regions, list):
            self._add(("rules", "region"), "must be a list of tables: [[rules.region]]")
            return []
        return [
            self._table(("rules", "region", position), card_tables.REGION)
            for position in range(len(regions))
        ]

    def _load_labels(self, rules: dict[str, Any]) -> bytes:
        """Put the label file's lines where ``labels`` would stand; give the file's bytes."""
        table = self._at(("rules",))
        if isinstance(table, dict) and {"labels", "labels_file"} & set(table):
            rules.setdefault("labels", None)
        name = rules.pop("labels_file", None)
        if name is None:
            return b""
        path: Path = ("rules", "labels_file")
        if "labels" in table:
            self._add(path, "does not go with labels; give one of them")
            return b""
        try:
            content = _read_text_file(self._file.parent / name, _LARGEST_LABELS_BYTES)
        except InvalidCard as exc:
            self._add(path, f'is "{name}", which cannot be used: {exc}')
            return b""
        labels = [line.strip() for line in content.decode().rstrip().splitlines()]
        if "" in labels:
            # Skipping it would shift every later class by one.
            self._add(path, f'is "{name}", whose line {labels.index("") + 1} is empty')
        rules["labels"] = self._parse(path, labels, card_tables.RULES["labels"].parse)
        return content

    def _parse(self, path: Path, value: object, parse: Parser) -> Any:
        try:
            return parse(value)
        except Refused as exc:
            self._add((*path, *exc.at), f"is {_show(exc.value)}; allowed: {exc.allowed}")
            return None

    def _refuse_unknown(self, path: Path, table: Mapping[str, Any], known: Iterable[str]) -> None:
        known = sorted(known)
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(known)}"
                self._add((*path, key), f"is unknown; {hint}")

    def _at(self, path: Path) -> Any:
        value: Any = self._document
        for part in path:
            if isinstance(part, str):
                value = value.get(part) if isinstance(value, dict) else None
            else:
                value = value[part]
        return value

    def _add(self, path: Path, sentence: str) -> None:
        line = self._lines.line_of(path)
        self._problems.append((line, f"{self._file}:{line}: {_spell(path)} {sentence}"))

    def _add_all(self, contradictions: Iterable[Contradiction]) -> None:
        for path, sentence in contradictions:
            self._add(path, sentence)


def _region(table: Mapping[str, Any]) -> Region:
    rest = {key: value for key, value in table.items() if key not in ("points", "rect")}
    return Region(points=outline(table), **rest)


def _settings_sha256(card: bytes, labels: bytes) -> str:
    # TOML has no NUL character, so the two files cannot run into each other.
    return hashlib.sha256(card + b"\0" + labels if labels else card).hexdigest()


def _spell(path: Path) -> str:
    """Spell *path* as people write it: ``rules.region[2].points``, counted from 1."""
    spelled = ""
    for part in path:
        spelled += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return spelled.removeprefix(".")


def _show(value: object) -> str:
    """Show *value* in TOML's manner, cut where it is long."""
    try:
        shown = json.dumps(value, ensure_ascii=False)
    except TypeError:  # a date or a time
        shown = str(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
