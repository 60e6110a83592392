"""Business rules as data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedMessage
from pipeline.models.rules import Region, Rules

names = st.text(max_size=6)
shares = st.floats(0, 1)
several_names = st.lists(names, max_size=3).map(tuple)
regions = st.builds(
    Region,
    name=names,
    points=st.lists(st.tuples(shares, shares), min_size=3, max_size=6).map(tuple),
    units=st.sampled_from(["pixels", "fraction"]),
    anchor=st.sampled_from(["center", "bottom_center", "overlap"]),
    labels=several_names,
)
rules = st.builds(
    Rules,
    labels=several_names,
    min_score=shares,
    min_scores=st.dictionaries(names, shares, max_size=3),
    include=several_names,
    exclude=several_names,
    regions=st.lists(regions, max_size=2).map(tuple),
    only_in_regions=st.booleans(),
)


@given(rules)
def test_rules_survive_the_way(given_rules: Rules) -> None:
    """What the dispatcher publishes is what postprocess reads, under the same name."""
    read = Rules.from_json_text(given_rules.to_json_text())

    assert read == given_rules
    assert read.sha256() == given_rules.sha256()


def test_the_name_follows_the_content() -> None:
    """Equal rules have one name whatever the order of their tables; a change gives another."""
    first = Rules(min_scores={"a": 0.1, "b": 0.2})
    same = Rules(min_scores={"b": 0.2, "a": 0.1})

    assert first.sha256() == same.sha256()
    assert first.sha256() != replace(first, only_in_regions=True).sha256()


@pytest.mark.parametrize(
    ("class_id", "label"), [(0, "head"), (1, "安全帽"), (2, "class_2"), (-1, "class_-1")]
)
def test_a_class_without_a_label_is_named_by_its_number(class_id: int, label: str) -> None:
    """Labels go by position; beyond them, and before them, the number speaks."""
    assert Rules(labels=("head", "安全帽")).label_of(class_id) == label


@pytest.mark.parametrize("field", sorted(json.loads(Rules().to_json_text())))
def test_a_missing_field_is_malformed(field: str) -> None:
    """No field is silently defaulted."""
    document = json.loads(Rules().to_json_text())
    del document[field]

    with pytest.raises(MalformedMessage, match=field):
        Rules.from_json_text(json.dumps(document))


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"regions": [{}]}', '{"regions": [{"name": "a", "points": [[1]]}]}']
)
def test_anything_else_is_malformed(text: str) -> None:
    """Text that is no rules is told apart."""
    with pytest.raises(MalformedMessage):
        Rules.from_json_text(text)


def test_unknown_fields_are_ignored() -> None:
    """Rules published by a newer dispatcher are still readable."""
    text = Rules().to_json_text().replace("{", '{"colour":"red",', 1)

    assert Rules.from_json_text(text) == Rules()
