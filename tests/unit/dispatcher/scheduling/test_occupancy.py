"""What the supervisor believes of the device follows what it sent and what came back."""

from __future__ import annotations

import pytest

from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.occupancy import Occupancy
from tests.builders_dispatcher import make_shelved

MODELS = (make_shelved("a"), make_shelved("b", memory_bytes=300))


def make_occupancy() -> Occupancy:
    """Make the occupancy of a device with 1,000 bytes."""
    occupancy = Occupancy(budget_bytes=1000)
    for model in MODELS:
        occupancy.admit(model)
    return occupancy


def test_a_load_counts_from_the_moment_it_is_sent() -> None:
    """A model whose load is under way takes its memory and keeps the device."""
    occupancy = make_occupancy()
    command = occupancy.load_sent("b/1", 100.0)
    view = occupancy.view()
    assert view.free_bytes == 700
    assert view.is_busy("b/1")
    assert view.in_flight[0].ends_ms == pytest.approx(110.0)  # 1 MB at 10 ms for each
    occupancy.ended(command)
    assert not occupancy.view().in_flight
    assert occupancy.view().free_bytes == 700


def test_commands_queue_behind_one_another() -> None:
    """What is sent to a busy device ends after what was sent before."""
    occupancy = make_occupancy()
    occupancy.load_sent("a/1", 0.0)
    occupancy.batch_sent("a/1", 2.0, 1.0)
    load, batch = occupancy.view().in_flight
    assert load.ends_ms == pytest.approx(10.0)
    assert batch.ends_ms == pytest.approx(10.0 + 5.0 + 2 * 10.0)
    assert occupancy.batch_end_ms("a/1", 1.0, 2.0) == pytest.approx(35.0 + 15.0)


def test_an_idle_device_begins_now() -> None:
    """After all was answered, and late, a batch would begin when it is sent."""
    occupancy = make_occupancy()
    occupancy.ended(occupancy.load_sent("a/1", 0.0))
    assert occupancy.batch_end_ms("a/1", 1.0, 500.0) == pytest.approx(515.0)


def test_equal_commands_end_one_by_one() -> None:
    """Of two commands that look the same, one answer ends one."""
    occupancy = make_occupancy()
    occupancy.ended(occupancy.load_sent("a/1", 0.0))
    occupancy.learn_batch("a/1", 1.0, 15.0)
    first = occupancy.batch_sent("a/1", 0.0, 0.0)
    occupancy.batch_sent("a/1", 0.0, 0.0)
    occupancy.ended(first)
    assert len(occupancy.view().in_flight) == 1


def test_a_batch_is_a_use() -> None:
    """A batch moves the model's last use, not its load."""
    occupancy = make_occupancy()
    occupancy.load_sent("a/1", 5.0)
    occupancy.batch_sent("a/1", 1.0, 70.0)
    loaded = occupancy.view().loaded["a/1"]
    assert (loaded.loaded_ms, loaded.last_used_ms) == (5.0, 70.0)


def test_what_the_device_lost_is_forgotten() -> None:
    """Of the models believed loaded only those stay that the device has, or is loading."""
    occupancy = make_occupancy()
    occupancy.load_sent("a/1", 0.0)
    occupancy.load_sent("b/1", 0.0)
    occupancy.keep_only({"b/1", "elsewhere/1"})
    assert set(occupancy.view().loaded) == {"b/1"}
    occupancy.dropped("b/1")
    occupancy.dropped("b/1")
    assert occupancy.view().free_bytes == 1000


def test_a_view_is_a_picture_of_its_moment() -> None:
    """What happens later does not change a view that was given out."""
    occupancy = make_occupancy()
    view = occupancy.view()
    occupancy.load_sent("a/1", 0.0)
    assert not view.loaded
    assert not view.in_flight


def test_costs_are_learnt_for_the_model_measured() -> None:
    """A measured batch and load move that model's estimate and no other's."""
    occupancy = make_occupancy()
    for _ in range(60):
        occupancy.learn_batch("a/1", 4.0, 200.0)
        occupancy.learn_load("a/1", 3000.0)
    costs = occupancy.view().costs
    assert costs["a/1"].run_ms(4.0) == pytest.approx(200.0, rel=0.05)
    assert costs["a/1"].load_ms == pytest.approx(3000.0, rel=0.05)
    assert costs["b/1"].run_ms(4.0) == pytest.approx(45.0)


def test_a_known_cost_is_where_learning_begins() -> None:
    """A model is admitted with what it cost before, once; forgotten, it is a stranger again."""
    occupancy = Occupancy(budget_bytes=1000)
    known = ModelCost(load_ms=700.0, fixed_ms=3.0, per_item_ms=2.0)
    occupancy.admit(MODELS[0], known)
    occupancy.admit(MODELS[0], None)
    assert occupancy.cost("a/1") == known
    assert not occupancy.has_measured("a/1")
    occupancy.learn_batch("a/1", 1.0, 5.0)
    assert occupancy.has_measured("a/1")
    occupancy.forget("a/1")
    occupancy.admit(MODELS[0])
    assert occupancy.cost("a/1").load_ms == pytest.approx(10.0)
    assert not occupancy.has_measured("a/1")


def test_a_gear_is_known_by_its_own_batches() -> None:
    """Of a file with gears each size has its own measured time, which counts before the line."""
    occupancy = Occupancy(budget_bytes=1000)
    occupancy.admit(make_shelved("g", gears=(1, 4)))
    for _ in range(3):
        occupancy.learn_batch("g/1", 4.0, 80.0)
        occupancy.learn_batch("g/1", 2.0, 500.0)
    cost = occupancy.cost("g/1")
    assert cost.gear_ms == {4.0: pytest.approx(80.0)}
    assert cost.run_ms(4.0) == pytest.approx(80.0)
    assert cost.run_ms(1.0) == cost.linear_ms(1.0)
