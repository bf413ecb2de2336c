# SPDX-License-Identifier: Apache-2.0
"""What a recorder and a playback do all day, over the wire; and a key's whole life."""
import base64
import struct

import pytest
from audit import records
from conftest import as_installed, every_slot
from instance import KmsError
from wire import fresh_idem

pytestmark = every_slot

CONTEXT = {"call": "1", "tenant": "north"}
ALGORITHMS = ["k", "k-gcm"]


def refused(code, name=None):
    class Check:
        def __enter__(self):
            self.raises = pytest.raises(KmsError)
            self.info = self.raises.__enter__()
            return self.info

        def __exit__(self, *args):
            done = self.raises.__exit__(*args)
            assert self.info.value.code == code, self.info.value
            assert name is None or self.info.value.name == name, self.info.value
            return done

    return Check()


@pytest.mark.parametrize("key", ALGORITHMS)
def test_issue_then_unwrap(shared, key):
    with shared.client() as c:
        item = c.issue(key, CONTEXT)
        assert len(item.plaintext) == 32 and item.key == key and item.version == 1
        assert 80 <= len(item.wrapped) <= 100
        assert c.unwrap(item.wrapped, CONTEXT).plaintext == item.plaintext
        # The order of the pairs is no part of a context.
        assert c.unwrap(item.wrapped, dict(reversed(CONTEXT.items()))).plaintext == item.plaintext


@pytest.mark.parametrize("key", ALGORITHMS)
@pytest.mark.parametrize("other", [{}, {"call": "2", "tenant": "north"}, {"call": "1"},
                                   {**CONTEXT, "x": ""}, {"calls": "1", "tenant": "north"},
                                   {"call": "north", "tenant": "1"}])
def test_another_context_is_refused(shared, key, other):
    with shared.client() as c:
        item = c.issue(key, CONTEXT)
        with refused("integrity"):
            c.unwrap(item.wrapped, other)


def test_wrapped_key_says_what_it_is(shared):
    with shared.client() as c:
        item = c.issue("k", CONTEXT)
        key = c.call("key_show", key="k")
        form, algorithm, flags, key_id, version = struct.unpack_from("<BBH16sI", item.wrapped)
        assert (form, algorithm, flags, version) == (1, 1, 0, 1)
        assert key_id == key["id"]


def test_kwp_wraps_without_context(shared):
    with shared.client() as c:
        item = c.issue("k-kwp")
        assert len(item.wrapped) == 24 + 40
        assert c.unwrap(item.wrapped).plaintext == item.plaintext
        with refused("bad_request", "context_not_possible"):
            c.issue("k-kwp", CONTEXT)


@pytest.mark.parametrize("count", [1, 2, 1024])
def test_issue_many(shared, count):
    with shared.client() as c:
        items = c.call("issue", key="k", context=CONTEXT, count=count)["items"]
        assert len({i.plaintext for i in items}) == len({i.wrapped for i in items}) == count
        back = c.call("unwrap", items=[{"data": i.wrapped, "context": CONTEXT} for i in items])
        assert [i.plaintext for i in back["items"]] == [i.plaintext for i in items]


def test_wrapped_only_shows_no_key(shared):
    with shared.client() as c:
        item = c.issue("k", CONTEXT, wrapped_only=True)
        assert item.plaintext == b"" and item.wrapped
        assert len(c.unwrap(item.wrapped, CONTEXT).plaintext) == 32


@pytest.mark.parametrize("size", [1, 7, 32, 4096, 65536])
@pytest.mark.parametrize("key", ["k", "k-gcm", "k-kwp"])
def test_wrap_any_size(shared, key, size):
    context = None if key == "k-kwp" else CONTEXT
    data = bytes(i * 7 & 255 for i in range(size))
    with shared.client() as c:
        wrapped = c.wrap(key, data, context).wrapped
        assert c.unwrap(wrapped, context).plaintext == data


def test_batch_items_fail_alone(shared):
    with shared.client() as c:
        good = c.issue("k", CONTEXT)
        bad = good.wrapped[:-1] + bytes([good.wrapped[-1] ^ 1])
        answer = c.call("unwrap", items=[{"data": d, "context": CONTEXT}
                                         for d in (good.wrapped, bad, good.wrapped)])["items"]
        assert [i.error and i.error.code for i in answer] == [None, "integrity", None]
        assert answer[2].plaintext == good.plaintext


def test_key_name_given_with_a_blob_must_be_its_own(shared):
    with shared.client() as c:
        item = c.issue("k", CONTEXT)
        assert c.unwrap(item.wrapped, CONTEXT, key="k").plaintext == item.plaintext
        with refused("integrity"):
            c.unwrap(item.wrapped, CONTEXT, key="k-gcm")


def test_mac_is_stable_and_bound(shared):
    with shared.client() as c:
        def mac(data, context=None, key="k"):
            return c._one("mac", key=key, items=[{"data": data, "context": context}]).plaintext
        assert len(mac(b"+81 3 1234")) == 32
        assert mac(b"+81 3 1234") == mac(b"+81 3 1234")
        assert len({mac(b"a"), mac(b"b"), mac(b"a", CONTEXT), mac(b"a", key="k-gcm")}) == 4


@pytest.mark.parametrize("n", [1, 32, 65536])
def test_random(shared, n):
    with shared.client() as c:
        first, second = (c.call("random", n=n).data for _ in range(2))
        assert len(first) == len(second) == n
        assert n == 1 or first != second


def test_rotate_and_rewrap(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        old = c.issue("rec", CONTEXT)
        key = c.call("key_rotate", key="rec", idem=fresh_idem())
        assert (key.version, key.state, key.version_count) == (2, "active", 2)
        opened = c.unwrap(old.wrapped, CONTEXT)
        assert opened.plaintext == old.plaintext
        assert opened.version == 1 and opened.rewrap_advised
        new = c.rewrap(old.wrapped, CONTEXT)
        assert new.version == 2 and new.plaintext == b""
        opened = c.unwrap(new.wrapped, CONTEXT)
        assert opened.plaintext == old.plaintext and not opened.rewrap_advised
        moved = c.rewrap(new.wrapped, CONTEXT, new_context={"call": "9"}, change_context=True)
        assert c.unwrap(moved.wrapped, {"call": "9"}).plaintext == old.plaintext
        with refused("integrity"):
            c.unwrap(moved.wrapped, CONTEXT)
        assert c.issue("rec", CONTEXT).version == 2


def test_two_instances_share_nothing(shared, make):
    other = make()
    with shared.client() as a, other.client() as b:
        b.call("key_create", key="k")
        item = a.issue("k", CONTEXT)
        with refused("integrity"):
            b.unwrap(item.wrapped, CONTEXT)


# The whole table of moves: what may be done in a state, and where it leads.
MOVES = ["suspend", "resume", "deactivate", "compromise", "destroy"]
LEADS = {
    ("active", "suspend"): "suspended", ("active", "deactivate"): "deactivated",
    ("active", "compromise"): "compromised", ("active", "destroy"): "destroyed",
    ("suspended", "resume"): "active", ("suspended", "deactivate"): "deactivated",
    ("suspended", "compromise"): "compromised", ("suspended", "destroy"): "destroyed",
    ("deactivated", "compromise"): "compromised", ("deactivated", "destroy"): "destroyed",
    ("compromised", "destroy"): "destroyed",
}
WAY_TO = {"active": [], "suspended": ["suspend"], "deactivated": ["deactivate"],
          "compromised": ["compromise"], "destroyed": ["destroy"]}
USES = {"active": (True, True), "suspended": (False, False), "deactivated": (False, True),
        "compromised": (False, True), "destroyed": (False, False)}


@pytest.mark.parametrize("state", WAY_TO)
def test_states(shared, state):
    with shared.client() as c:
        for move in MOVES:
            name = f"s-{state}-{move}"
            c.call("key_create", key=name)
            item = c.issue(name, CONTEXT)
            for step in WAY_TO[state]:
                c.call("key_" + step, key=name, version=1, reason="a test")
            version = c.call("key_show", key=name)["versions"][0]
            assert version.state == state
            issues, unwraps = USES[state]
            if issues:
                c.issue(name, CONTEXT)
            else:
                with refused("wrong_state"):
                    c.issue(name, CONTEXT)
            if unwraps:
                opened = c.unwrap(item.wrapped, CONTEXT)
                assert opened.plaintext == item.plaintext
                assert bool(opened.compromised) == (state == "compromised")
            else:
                with refused("wrong_state"):
                    c.unwrap(item.wrapped, CONTEXT)
            if (state, move) in LEADS:
                c.call("key_" + move, key=name, version=1)
                now = c.call("key_show", key=name)["versions"][0].state
                assert now == LEADS[state, move]
            else:
                with refused("wrong_state"):
                    c.call("key_" + move, key=name, version=1)
                assert c.call("key_show", key=name)["versions"][0].state == state


def test_destroy_whole_key(shared):
    with shared.client() as c:
        c.call("key_create", key="gone")
        item = c.issue("gone", CONTEXT)
        c.call("key_rotate", key="gone")
        c.call("key_destroy", key="gone")
        with refused("wrong_state"):
            c.unwrap(item.wrapped, CONTEXT)
        with refused("wrong_state"):
            c.issue("gone", CONTEXT)
        assert {v.state for v in c.call("key_show", key="gone")["versions"]} == {"destroyed"}


def test_dry_run_changes_nothing(shared):
    with shared.client() as c:
        before = c.status().epoch
        c.call("key_create", key="never", dry_run=True)
        with refused("not_found"):
            c.call("key_show", key="never")
        c.call("key_rotate", key="k", dry_run=True)
        c.call("key_destroy", key="k", dry_run=True)
        assert c.call("key_show", key="k").version == 1
        with refused("exists"):
            c.call("key_create", key="k", dry_run=True)
        assert c.status().epoch == before
    asked = [r.result for r in records(shared) if r.detail == "dry-run"]
    assert asked == ["ok"] * 3  # and no refusal among them


def test_list_pages(shared):
    with shared.client() as c:
        for i in range(25):
            c.call("key_create", key=f"page-{i:02}")
        seen, after = [], ""
        while True:
            page = c.call("key_list", after=after, limit=7)
            seen += [k.key for k in page["keys"]]
            if not page.more:
                break
            after = seen[-1]
        assert seen == sorted(seen) and len(seen) == len(set(seen))
        assert {f"page-{i:02}" for i in range(25)} <= set(seen)


def test_counts_grow(kms):
    with kms.client() as c:
        c.call("key_create", key="n")
        items = c.call("issue", key="n", count=10)["items"]
        c.wrap("n", b"x")
        for i in items[:3]:
            c.unwrap(i.wrapped)
        counts = c.call("key_show", key="n")["versions"][0].counts
        assert (counts.issued, counts.wrapped, counts.unwrapped) >= (10, 1, 3)
    kms.kill()
    kms.start()
    with kms.client() as c:
        after = c.call("key_show", key="n")["versions"][0].counts
        # A crash may over-count, never under-count.
        assert after.issued >= 10 and after.wrapped >= 1 and after.unwrapped >= 3


def test_restart_opens_itself(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        item = c.issue("rec", CONTEXT)
    for end in (kms.kill, kms.stop, kms.kill):
        end()
        kms.start()
        assert kms.state == "unsealed"
        with kms.client() as c:
            assert c.unwrap(item.wrapped, CONTEXT).plaintext == item.plaintext


@as_installed
def test_status_tells(kms):
    s = kms.status()
    assert s.state == "unsealed" and s.protocol == 1 and s.wrapped_format == 1
    assert s.program.startswith("kmsd ") and len(s.instance) == 16 and s.audit_state == "ok"
    assert s.keeper_starts == 1 and not s.counter_behind
    assert [i.kind for i in s.slots] == [kms.slot]
    assert any("seccomp" in note for note in s.sandbox), s.sandbox
    with kms.client() as c:
        c.call("key_create", key="a")
        t = c.status()
        assert t.epoch == s.epoch + 1 and t["keys"] == 1
        assert t.counter == (s.counter + 1 if kms.slot == "tpm" else 0)
        assert c.call("whoami").admin
        assert b"kms" in c.call("metrics").data


def test_only_once(kms):
    with kms.client() as c, refused("exists"):
        c.call("init", slot=kms.slot)


def test_sealed_refuses_and_unseal_opens(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        item = c.issue("rec", CONTEXT)
        c.call("seal")
        assert c.status().state == "sealed"
        for op, args in (("issue", {"key": "rec"}), ("random", {"n": 8}), ("key_list", {}),
                         ("key_create", {"key": "x"}), ("audit_read", {}),
                         ("unwrap", {"items": [{"data": item.wrapped}]})):
            with refused("sealed"):
                c.call(op, **args)
        assert c.call("whoami").identity.startswith("unix:")
        c.call("slot_list")
        kms.unseal()
        assert c.status().state == "unsealed"
        assert c.unwrap(item.wrapped, CONTEXT).plaintext == item.plaintext


def test_uninitialised_says_so(blank):
    assert blank.state == "uninitialised"
    with blank.client() as c:
        assert c.status().state == "uninitialised"
        with refused("sealed", "not_initialised"):
            c.call("issue", key="x")
        with refused("sealed", "not_initialised"):
            c.call("unseal")
        if blank.slot != "shares":
            assert "ok" in {s.last for s in c.call("slot_check", slot=blank.slot)["slots"]}
        blank.init()
        c.call("key_create", key="x")


def test_same_change_asked_twice_is_done_once(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        again = fresh_idem()
        first = c.call("key_rotate", key="rec", idem=again)
        assert c.call("key_rotate", key="rec", idem=again).version == first.version == 2
        with refused("conflict"):
            c.call("key_suspend", key="rec", idem=again)
        create = fresh_idem()
        assert c.call("key_create", key="new", idem=create)["id"] == \
            c.call("key_create", key="new", idem=create)["id"]
    kms.kill()
    kms.start()
    with kms.client() as c:
        assert c.call("key_rotate", key="rec", idem=again).version == 2
        assert c.call("key_show", key="rec").version == 2


def test_kmsctl_json(kms):
    assert kms.ctl("key", "create", "rec-2026")["key"] == "rec-2026"
    issued = kms.ctl("issue", "rec-2026", "--context", "call=1")
    wrapped = base64.b64decode(issued["wrapped"])
    assert len(base64.b64decode(issued["plaintext"])) == 32 and len(wrapped) <= 100
    opened = kms.ctl("unwrap", "-", "--context", "call=1", input=wrapped)
    assert opened["plaintext"] == issued["plaintext"]
    error = kms.ctl("unwrap", "-", "--context", "call=2", input=wrapped, status=5)["error"]
    assert error["code"] == "integrity" and error["hint"]
    assert kms.ctl("key", "rotate", "rec-2026")["version"] == 2
    kms.kill()
    kms.start()
    opened = kms.ctl("unwrap", "-", "--context", "call=1", input=wrapped)
    assert opened["plaintext"] == issued["plaintext"]
    assert kms.ctl("key", "show", "none", status=3)["error"]["code"] == "not_found"
    assert kms.ctl("status")["state"] == "unsealed"
