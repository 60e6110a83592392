"""Settings from the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.errors import InvalidSettings
from pipeline.settings import RedisSettings, describe, load, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleSettings:
    """Settings of every kind."""

    redis: RedisSettings = field(default_factory=RedisSettings)
    size: int = setting("T_SIZE", 3, "A size.", at_least=1, at_most=9)
    ratio: float = setting("T_RATIO", 0.5, "A ratio.", at_least=0)
    is_on: bool = setting("T_ON", False, "A switch.")
    colour: str = setting("T_COLOUR", "red", "A colour.", one_of=("red", "blue"))
    folder: Path = setting("T_FOLDER", Path("x"), "A folder.")
    token: str = setting("T_TOKEN", "", "A secret.", secret=True)


def test_absent_variables_leave_the_defaults() -> None:
    """An empty environment gives the defaults, and so do empty values."""
    assert load(ExampleSettings, {}) == ExampleSettings() == load(ExampleSettings, {"T_SIZE": ""})


def test_values_are_parsed_by_type() -> None:
    """Each type is read in its own way, nested groups included."""
    settings = load(
        ExampleSettings,
        {
            "T_SIZE": "9",
            "T_RATIO": "1.5",
            "T_ON": "Yes",
            "T_COLOUR": "blue",
            "T_FOLDER": "/tmp/y",
            "GW_REDIS_URL": "redis://h:1",
        },
    )

    assert (settings.size, settings.ratio, settings.is_on, settings.colour) == (
        9,
        1.5,
        True,
        "blue",
    )
    assert settings.folder == Path("/tmp/y")
    assert settings.redis.url == "redis://h:1"


def test_every_bad_variable_is_named_at_once() -> None:
    """The error lists each problem with what is allowed."""
    with pytest.raises(InvalidSettings) as caught:
        load(ExampleSettings, {"T_SIZE": "10", "T_ON": "perhaps", "T_COLOUR": "green"})

    text = str(caught.value)
    assert "T_SIZE: 10 is out of range; allowed: 1 to 9" in text
    assert "T_ON" in text
    assert "T_COLOUR: 'green' is not allowed; allowed: red, blue" in text


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    """The file's text without its line end is the value, and it is not printed."""
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")

    settings = load(ExampleSettings, {"T_TOKEN_FILE": str(secret)})

    assert settings.token == "s3cret"
    assert "s3cret" not in repr(settings)


def test_a_missing_secret_file_is_refused(tmp_path: Path) -> None:
    """A secret is never silently empty."""
    with pytest.raises(InvalidSettings, match="T_TOKEN"):
        load(ExampleSettings, {"T_TOKEN_FILE": str(tmp_path / "none")})


def test_the_description_has_a_row_for_each_setting() -> None:
    """The table names every variable with its default, range and meaning."""
    rows = {row.name: row for row in describe(ExampleSettings)}

    assert rows["T_SIZE"].allowed == "1 to 9"
    assert rows["T_COLOUR"].default == "red"
    assert "GW_REDIS_URL" in rows


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_a_number_is_finite(text: str) -> None:
    """What is a number to Python alone is none to an operator."""
    with pytest.raises(InvalidSettings, match="T_RATIO"):
        load(ExampleSettings, {"T_RATIO": text})


def test_an_empty_file_name_is_no_file() -> None:
    """A variable that a compose file passes on empty counts as absent."""
    settings = load(ExampleSettings, {"T_TOKEN_FILE": "", "T_TOKEN": "s3cret"})

    assert settings.token == "s3cret"
