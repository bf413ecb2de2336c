# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment under load: acknowledged changes are there, issued keys unwrap, the log has
one record for each answer, and the keeper opens itself again."""
import os
import random
import signal
from collections import Counter

import pytest
from audit import read_log, records
from conftest import LONG, every_slot
from instance import wait_gone
from oracle import Crew

ROUNDS = 200 if LONG else 12


def every_answer_has_its_record(kms, crew):
    """One record for each answer, with the same result; no record twice."""
    found = Counter()
    results = {}
    for r in records(kms):
        if r.subject:
            found[r.subject] += 1
            results[r.subject] = r.result
    for w in crew.workers:
        for subject, op, result in w.acks:
            assert found[subject] == 1, f"{subject} {op}: {found[subject]} records"
            assert results[subject] == result, (subject, op, result, results[subject])


def finish(kms, crew):
    assert crew.verify() > 100
    every_answer_has_its_record(kms, crew)
    kms.stop()
    read_log(kms.audit)


@every_slot
@pytest.mark.parametrize("seed", range(3 if LONG else 1))
def test_kill_everything(kms, seed):
    rng = random.Random(seed)
    with Crew(kms, seed=seed) as crew:
        for _ in range(ROUNDS if kms.slot == "tpm" else ROUNDS // 3):
            crew.wait_answers(rng.randrange(20, 300))
            crew.serving.clear()
            kms.kill()
            assert kms.start().state == "unsealed"
            crew.serving.set()
        crew.wait_answers(100)
        finish(kms, crew)


@every_slot
def test_kill_keeper(kms):
    """The parent starts another; clients only connect again."""
    with Crew(kms) as crew:
        for n in range(4):
            crew.wait_answers(200)
            crew.serving.clear()
            keeper = kms.keeper()
            kms.state = None
            os.kill(keeper, signal.SIGKILL)
            kms.wait_open()
            assert kms.keeper() != keeper
            assert kms.status().keeper_starts == n + 2
            crew.serving.set()
        crew.wait_answers(100)
        finish(kms, crew)


def test_keeper_that_dies_too_often_is_given_up(kms):
    for _ in range(20):
        kms.state = None
        keeper = kms.keeper()
        if keeper is None or kms.kmsd.poll() is not None:
            break
        os.kill(keeper, signal.SIGKILL)
        wait_gone(keeper)
        try:
            kms.wait_state("unsealed")
        except AssertionError:
            break
    assert kms.kmsd.wait(20) != 0
    kms.kmsd = None
    assert kms.start().state == "unsealed"


def test_kill_parent(kms):
    """The keeper is told and stops in order: nothing is left behind that holds the socket."""
    with Crew(kms) as crew:
        for _ in range(4):
            crew.wait_answers(100)
            crew.serving.clear()
            keeper = kms.keeper()
            os.kill(kms.parent(), signal.SIGKILL)
            kms.kmsd.wait(20)
            wait_gone(keeper)
            kms.start()
            crew.serving.set()
        crew.wait_answers(100)
        finish(kms, crew)


def test_kill_helper(kms):
    """Changes ask the chip; its helper dies over and over; the keeper never does."""
    with Crew(kms, changes=0.8) as crew:
        killed = 0
        while killed < 10:
            helper = kms.helper()
            if helper is None:
                crew.wait_answers(1)
                continue
            try:
                os.kill(helper, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
            crew.wait_answers(20)
        assert kms.status().keeper_starts == 1
        finish(kms, crew)


def test_clean_stop_under_load(kms):
    with Crew(kms) as crew:
        for _ in range(4):
            crew.wait_answers(200)
            crew.serving.clear()
            assert kms.stop() == 0
            kms.start()
            crew.serving.set()
        finish(kms, crew)


@every_slot
def test_seal_under_load(kms):
    with Crew(kms) as crew, kms.client() as operator:
        for _ in range(5):
            crew.wait_answers(100)
            operator.call("seal")
            assert operator.status().state == "sealed"
            kms.unseal()
        finish(kms, crew)


def test_many_segments(make):
    """A log of the smallest segments; kills may fall where one ends."""
    kms = make(audit_segment=1 << 20)
    with Crew(kms, n=6) as crew:
        with kms.client() as c:
            c.call("key_create", key="fill")
            for _ in range(150):
                c.call("wrap", key="fill",
                       items=[{"data": b"x", "context": {"call": "1"}}] * 1024)
        crew.serving.clear()
        kms.kill()
        kms.start()
        crew.serving.set()
        crew.wait_answers(50)
        finish(kms, crew)
    assert len(list(kms.audit.glob("*.seg"))) > 3
