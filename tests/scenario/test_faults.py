# SPDX-License-Identifier: Apache-2.0
"""Count down: the Nth write, flush, truncation or rename of store and log is the keeper's last, is
torn, or fails; for every N until the story passes untouched. After each: what was acknowledged is
there, every issued key unwraps, the log reads from end to end."""
import errno
import time

import pytest
from audit import read_log
from conftest import LONG
from instance import Closed, Instance, KmsError
from shim import ALL, FAIL, KILL_AFTER, KILL_BEFORE, SHORT, TEAR, WRITE, Shim
from wire import fresh_idem

CONTEXT = {"call": "1"}
STEP = 1 if LONG else 3
FILES = {"store": "store.db", "log": ".seg", "both": "store.db:.seg"}


class Story:
    """Every kind of change and use, in order; remembers what was acknowledged."""

    def __init__(self, kms):
        self.kms, self.blobs, self.states = kms, [], {}
        self.lost = None  # the step whose answer did not come

    def steps(self):
        yield "key_create", {"key": "one"}
        yield "issue", {"key": "one", "context": CONTEXT}
        yield "key_rotate", {"key": "one"}
        yield "issue", {"key": "one", "context": CONTEXT, "count": 3}
        yield "key_suspend", {"key": "one", "version": 2}
        yield "key_create", {"key": "two", "algorithm": "aes-256-gcm"}
        yield "issue", {"key": "two", "context": CONTEXT}
        yield "key_resume", {"key": "one", "version": 2}
        yield "key_destroy", {"key": "two", "version": 1}
        yield "issue", {"key": "one", "context": CONTEXT}

    def run(self):
        """Goes on over failures as a client would: asks again with the same idempotency key."""
        for op, args in self.steps():
            if op != "issue":
                args["idem"] = fresh_idem()
            self.step(op, args)

    def step(self, op, args):
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                with self.kms.client() as c:
                    answer = c.ask(op, **args)
            except (Closed, ConnectionError):
                self.come_back()
                continue
            if answer.error is None:
                self.learn(answer)
                return
            code = answer.error.code
            assert code in ("store_failed", "audit_failed", "unavailable", "sealed", "internal"), \
                f"{op}: {answer.error}"
            self.come_back()
        raise AssertionError(f"{op} never succeeded:\n{self.kms.tail()}")

    def come_back(self):
        if self.kms.kmsd.poll() is not None:
            self.kms.start()
        try:
            self.kms.wait_state("unsealed", seconds=6)
        except AssertionError:
            self.kms.kill()
            assert self.kms.start().state == "unsealed", self.kms.tail()

    def learn(self, answer):
        if answer["items"] is not None:
            self.blobs += [(i.wrapped, i.plaintext) for i in answer["items"]["items"]]
        else:
            for v in answer.key["versions"]:
                self.states[answer.key.key, v.version] = v.state

    def verify(self):
        with self.kms.client() as c:
            for (name, version), state in self.states.items():
                found = {v.version: v.state for v in c.call("key_show", key=name)["versions"]}
                assert found[version] == state, (name, version, found, state)
            for wrapped, plain in self.blobs:
                try:
                    assert c.unwrap(wrapped, CONTEXT).plaintext == plain
                except KmsError as e:
                    assert e.name == "destroyed"
            assert len(c.call("key_list")["keys"]) == 2


def told(tmp_path, match, action, n, calls=ALL, error=errno.EIO, times=1):
    """One telling with the fault at the Nth call; True if it came to pass."""
    shim = Shim(tmp_path / "fault", match)
    with Instance(env=shim.env) as kms:
        shim.arm(action, n, n + times - 1, calls=calls, error=error)
        story = Story(kms)
        story.run()
        fired = shim.fired
        shim.disarm()
        story.verify()
        kms.kill()
        kms.start()
        assert kms.state == "unsealed", kms.tail()
        story.verify()
        kms.stop()
        read_log(kms.audit)
        return fired > 0


def count_down(tmp_path, match, action, **args):
    n, fired = 1, 0
    while told(tmp_path, match, action, n, **args):
        fired += 1
        n += STEP
        assert n < 2000
    assert fired > 0, "the shim saw no call at all"


@pytest.mark.parametrize("files", ["store", "log"])
@pytest.mark.parametrize("action", [KILL_BEFORE, KILL_AFTER, TEAR])
def test_last_act(tmp_path, files, action):
    count_down(tmp_path, FILES[files], action)


@pytest.mark.parametrize("files", ["store", "log"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_call_fails_once(tmp_path, files, error):
    count_down(tmp_path, FILES[files], FAIL, error=error)


def test_short_writes(tmp_path):
    """Half of each write is done and said so: it is finished, or refused by name."""
    for n in range(1, 12, STEP):
        told(tmp_path, FILES["both"], SHORT, n, calls=WRITE)


def test_fails_for_a_while(tmp_path):
    for n in range(1, 30, STEP * 4):
        told(tmp_path, FILES["both"], FAIL, n, times=5)
