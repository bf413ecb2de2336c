# SPDX-License-Identifier: Apache-2.0
"""Random schedules of faults (tests/fault/schedules.py): each keeps every promise. And a checker that
could not say no would prove nothing, so it is lied to."""
from collections import Counter

import pytest
from conftest import LONG
from memory import Broken, Model, Version
from schedules import Schedule, run_one

SCHEDULES = range(1000) if LONG else range(6)


@pytest.mark.parametrize("seed", SCHEDULES)
def test_schedule(seed):
    counts = Counter()
    run_one(seed, counts)
    assert counts["unwraps that matched"] > 0


@pytest.fixture(scope="module")
def schedule():
    made = Schedule(0, Counter())
    with made.kms.client() as c:
        c.call("key_create", key="a")
    made.model.key_create("a")
    made.step_issue()
    made.check()
    yield made
    made.close()


def broken(schedule, lie, *words):
    kept = schedule.model.copy()
    lie(schedule.model)
    with pytest.raises(Broken) as e:
        schedule.check()
    assert all(w in str(e.value) for w in words)
    schedule.model = kept
    schedule.check()


def version(model):
    return model.keys["a"][1][0]


@pytest.mark.parametrize("lie, words", [
    (lambda m: m.key_create("b"), ("keys",)),
    (lambda m: m.keys.pop("a"), ("keys",)),
    (lambda m: m.key_rotate("a", 2), ("version 1", "deactivated")),
    (lambda m: m.key_destroy("a", 1), ("version 1", "destroyed")),
    (lambda m: m.slot_add("hsm"), ("slots",)),
    (lambda m: m.slots.clear(), ("slots",)),
    (lambda m: setattr(version(m), "number", 9), ("version 9",))])
def test_a_difference_is_seen(schedule, lie, words):
    broken(schedule, lie, *words)


def test_a_lost_key_is_seen(schedule):
    """The ledger says that a wrapped key was acknowledged, and kmsd knows nothing of it."""
    serial, versions = schedule.model.keys["a"]
    size = schedule.ledger.path.stat().st_size
    false = {"key": serial, "serial": versions[0].serial, "call": "1", "wrapped": "00" * 92,
             "plain": "00" * 32}
    schedule.ledger.note([false])
    with pytest.raises(Broken, match="a key is lost"):
        schedule.check()
    with open(schedule.ledger.path, "r+b") as f:
        f.truncate(size)
    schedule.check()


def test_other_bytes_are_seen(schedule):
    entry = schedule.ledger.read()[0]
    size = schedule.ledger.path.stat().st_size
    schedule.ledger.note([{**entry, "plain": "00" * 32}])
    with pytest.raises(Broken, match="other bytes"):
        schedule.check()
    with open(schedule.ledger.path, "r+b") as f:
        f.truncate(size)


def test_a_restore_keeps_what_was_destroyed():
    m = Model()
    m.key_create("a")
    m.key_rotate("a", 2)
    m.back_up("b1")
    m.key_destroy("a", 1)
    m.key_rotate("a", 3)
    m.restore(m.backups[-1])
    assert [(v.number, v.state) for v in m.keys["a"][1]] == [(1, "destroyed"), (2, "active")]
    # One that has the number of a lost version is another one.
    assert m.differs({"a": {1: "destroyed", 2: "active", 3: "destroyed"}}, {"tpm"}) is None
    assert m.differs({"a": {1: "destroyed", 2: "active", 3: "active"}}, {"tpm"})
    assert m.differs({"a": {1: "active", 2: "active"}}, {"tpm"})
    assert isinstance(m.keys["a"][1][0], Version)
