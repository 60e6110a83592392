"""Files are taken once they have been quiet, and given up once they have been gone, for a while."""

from __future__ import annotations

from dispatcher.models.looking import FileLook, Look, ModelLook
from dispatcher.models.settling import Settling

SETTLE_MS = 1000.0


def files(size_bytes: int, *, written_ms: float = 0.0) -> Look:
    """Make the look of a folder with one file."""
    written_ns = int(written_ms * 1e6)
    return (
        FileLook(
            name="model.onnx",
            size_bytes=size_bytes,
            written_ns=written_ns,
            changed_ns=written_ns,
            inode=1,
        ),
    )


CARD = files(5)


def model(**versions: Look) -> dict[str, ModelLook]:
    """Make a look at one model; ``v1`` is version 1."""
    by_number = {int(name[1:]): look for name, look in versions.items()}
    return {"echo": ModelLook(card=CARD, versions=by_number)}


def started() -> Settling:
    """Give one that has looked once, long ago, at an empty folder."""
    settling = Settling(settle_ms=SETTLE_MS)
    settling.observe({}, now_ms=-10_000.0, now_unix_ms=0.0)
    return settling


def test_a_file_that_grows_is_not_taken() -> None:
    """Each change begins the wait anew; quiet for long enough, it is taken as it is."""
    settling = started()
    for step in range(5):
        look = model(v1=files(step))
        assert not settling.observe(look, now_ms=step * 900.0, now_unix_ms=0.0).versions
    settled = settling.observe(model(v1=files(4)), now_ms=3600.0 + 1000.0, now_unix_ms=0.0)
    assert settled.versions == {("echo", 1): (CARD, files(4))}


def test_a_card_that_changes_holds_up_its_versions() -> None:
    """A version is taken with its card, and that must be quiet too."""
    settling = started()
    settling.observe(model(v1=files(4)), now_ms=0.0, now_unix_ms=0.0)
    look = {"echo": ModelLook(card=files(6), versions={1: files(4)})}
    assert not settling.observe(look, now_ms=1500.0, now_unix_ms=0.0).versions
    assert settling.observe(look, now_ms=2500.0, now_unix_ms=0.0).versions


def test_at_the_start_old_files_are_taken_at_once() -> None:
    """By their own times; a fresh one, and one from the future, wait."""
    now_unix_ms = 1_000_000.0
    looks = {
        "old": ModelLook(card=CARD, versions={1: files(4, written_ms=now_unix_ms - 5000)}),
        "fresh": ModelLook(card=CARD, versions={1: files(4, written_ms=now_unix_ms - 10)}),
        "future": ModelLook(card=CARD, versions={1: files(4, written_ms=now_unix_ms + 5000)}),
    }
    settling = Settling(settle_ms=SETTLE_MS)
    first = settling.observe(looks, now_ms=0.0, now_unix_ms=now_unix_ms)
    assert set(first.versions) == {("old", 1)}
    second = settling.observe(looks, now_ms=1000.0, now_unix_ms=now_unix_ms + 1000)
    assert set(second.versions) == {("old", 1), ("fresh", 1), ("future", 1)}


def test_later_an_old_time_proves_nothing() -> None:
    """A file copied with the times that it had is waited for like any other."""
    settling = started()
    look = model(v1=files(4, written_ms=1.0))
    assert not settling.observe(look, now_ms=0.0, now_unix_ms=1e9).versions


def test_what_is_gone_for_a_moment_is_not_given_up() -> None:
    """A version that is deleted and copied anew is told gone only after the wait."""
    settling = started()
    for now_ms in (0.0, 1000.0):
        settling.observe(model(v1=files(4)), now_ms=now_ms, now_unix_ms=0.0)
    assert not settling.observe(model(), now_ms=1100.0, now_unix_ms=0.0).gone
    back = settling.observe(model(v1=files(4)), now_ms=1200.0, now_unix_ms=0.0)
    assert not back.gone
    assert not settling.observe(model(), now_ms=2300.0, now_unix_ms=0.0).gone
    assert settling.observe(model(), now_ms=3300.0, now_unix_ms=0.0).gone == {("echo", 1)}
    assert not settling.observe(model(), now_ms=4300.0, now_unix_ms=0.0).gone


def test_a_model_that_goes_whole_is_told_so() -> None:
    """Its versions and its name."""
    settling = started()
    settling.observe(model(v1=files(4)), now_ms=0.0, now_unix_ms=0.0)
    settling.observe({}, now_ms=1.0, now_unix_ms=0.0)
    settled = settling.observe({}, now_ms=1500.0, now_unix_ms=0.0)
    assert settled.gone == frozenset({("echo", 1)})
    assert settled.gone_models == frozenset({"echo"})


def test_a_model_without_a_version_is_told_of() -> None:
    """So that it can be refused by name."""
    settled = Settling(settle_ms=0.0).observe(model(), now_ms=0.0, now_unix_ms=0.0)
    assert settled.empty == {"echo": CARD}
