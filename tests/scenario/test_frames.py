# SPDX-License-Identifier: Apache-2.0
"""What a peer may send that no honest one does. It may lose its own connection; the keeper lives
on, and another client on its own connection doesn't notice."""
import os
import random
import struct
import threading

import pytest
from instance import Closed, KmsError
from wire import field, frame, item, message, operation, pair, request, varint

CONTEXT = {"call": "1"}


@pytest.fixture(scope="module")
def bystander(shared):
    """Another client that asks all the time while the tests of this file run."""
    stop, faults = threading.Event(), []

    def ask():
        with shared.client() as c:
            wrapped = c.issue("k", CONTEXT)
            while not stop.is_set():
                try:
                    assert c.unwrap(wrapped.wrapped, CONTEXT).plaintext == wrapped.plaintext
                except Exception as e:  # noqa: BLE001 (whatever it is, the test names it)
                    faults.append(repr(e))
                    return
    thread = threading.Thread(target=ask)
    thread.start()
    yield faults
    stop.set()
    thread.join()
    assert not faults


@pytest.fixture(autouse=True)
def unharmed(shared, bystander):
    """After each test: the same keeper still serves, and the bystander was never disturbed."""
    keeper = shared.keeper()
    yield
    assert shared.keeper() == keeper
    assert shared.status().keeper_starts == 1
    assert not bystander


def answer_to(shared, body):
    """The answer to a message sent as it is; None if the connection was closed instead."""
    with shared.client() as c:
        c.send_raw(frame(body))
        try:
            return c.recv()
        except Closed:
            return None


def code_of(answer):
    if answer is None:
        return "closed"
    if answer.error is not None:
        return answer.error.code
    if answer["items"] is not None and answer["items"]["items"][0].error is not None:
        return answer["items"]["items"][0].error.code
    return "ok"


GOOD = request("issue", id=9, idem=b"i" * 16, subject="agent", purpose="quality",
               key="k", context={"call": "1", "tenant": "north"}, count=2)


def test_the_good_one_is_good(shared):
    assert code_of(answer_to(shared, GOOD)) == "ok"


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_message_cut_at_every_byte(shared, cut):
    """The frame says its true length, the message in it ends early."""
    assert code_of(answer_to(shared, GOOD[:cut])) in ("closed", "bad_request", "ok", "not_found")


def test_frame_cut_at_every_byte(shared):
    """The frame says more than comes, then the peer leaves."""
    whole = frame(GOOD)
    for cut in range(len(whole)):
        with shared.client() as c:
            c.send_raw(whole[:cut])
    with shared.client() as c:
        for byte in whole:
            c.send_raw(bytes([byte]))
        assert c.recv().id == 9


@pytest.mark.parametrize("length", [0, (1 << 20) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
def test_impossible_length_closes(shared, length):
    with shared.client() as c:
        c.send_raw(struct.pack("<I", length) + b"x" * 64)
        assert c.closes()


def test_largest_frame_is_taken(shared):
    body = request("issue", key="k")
    fill = (1 << 20) - len(body) - 8
    body += field(150, b"f" * fill)
    body += field(151, b"f" * ((1 << 20) - len(body) - 4))
    assert len(body) <= 1 << 20
    assert code_of(answer_to(shared, body)) == "ok"


def test_garbage(shared):
    rng = random.Random(20260301)
    for _ in range(300):
        body = rng.randbytes(rng.randrange(1, 200))
        code_of(answer_to(shared, body))
    for _ in range(50):
        with shared.client() as c:
            try:
                c.send_raw(rng.randbytes(rng.randrange(1, 4000)))
            except Closed:
                pass


def test_bit_flips_in_a_request(shared):
    for i in range(len(GOOD) * 8):
        bad = bytearray(GOOD)
        bad[i // 8] ^= 1 << i % 8
        code_of(answer_to(shared, bytes(bad)))


TWICE = {
    "id": message((1, 1), (1, 2)) + operation("status"),
    "idempotency_key": message((2, b"a" * 16), (2, b"a" * 16)) + operation("status"),
    "subject": message((4, "a"), (4, "b")) + operation("status"),
    "operation": operation("status") + operation("status"),
    "two operations": operation("status") + operation("whoami"),
    "key": varint(30 << 3 | 2) + varint(6) + message((1, "k"), (1, "k")),
}


@pytest.mark.parametrize("what", TWICE)
def test_field_given_twice_closes(shared, what):
    with shared.client() as c:
        c.send_raw(frame(TWICE[what]))
        try:
            answer = c.recv()
        except Closed:
            return
        assert answer.error.code == "bad_request"
        assert c.closes()


@pytest.mark.parametrize("body, name", [
    (message((1, 5)), "bad_operation"),
    (message((1, 5), (77, b"")), "bad_operation"),
    (message((1, 5), (99, b"x")), "bad_operation"),
])
def test_unknown_operation(shared, body, name):
    with shared.client() as c:
        c.send_raw(frame(body))
        answer = c.recv()
        assert (answer.id, answer.error.code, answer.error.name) == (5, "bad_request", name)
        assert c.call("whoami").identity  # the connection goes on


def test_unknown_fields_are_skipped(shared):
    extra = field(60, 7) + field(120, b"later") + varint(70 << 3 | 5) + b"1234" + \
        varint(71 << 3 | 1) + b"12345678"
    assert code_of(answer_to(shared, extra + GOOD + extra)) == "ok"


def test_wrong_wire_types(shared):
    for body in (varint(1 << 3 | 2) + b"\1x" + operation("status"),   # id as bytes
                 varint(30 << 3 | 0) + b"\1",                          # issue as a number
                 varint(1 << 3 | 3) + varint(1 << 3 | 4),              # a group
                 varint(1 << 3 | 7), varint(0) + b"\0",                # no such type, field 0
                 varint(1 << 3) + b"\xff" * 11):                       # a number without end
        assert code_of(answer_to(shared, body)) in ("closed", "bad_request")


def wrapped_items(n, **more):
    return [{"data": b"x", **more}] * n


BAD = {
    "batch of 1,025": (dict(op="wrap", key="k", items=wrapped_items(1025)), "too_big"),
    "batch of none": (dict(op="wrap", key="k", items=[]), "bad_request"),
    "count 1,025": (dict(op="issue", key="k", count=1025), "too_big"),
    "count 2^32-1": (dict(op="issue", key="k", count=(1 << 32) - 1), "too_big"),
    "plaintext over 64 KiB": (dict(op="wrap", key="k", items=[{"data": b"x" * 65537}]), "too_big"),
    "empty plaintext": (dict(op="wrap", key="k", items=[{"data": b""}]), "bad_request"),
    "17 pairs": (dict(op="issue", key="k", context={f"n{i}": "v" for i in range(17)}),
                 "bad_request"),
    "context name of 65": (dict(op="issue", key="k", context={"n" * 65: "v"}), "bad_request"),
    "empty context name": (dict(op="issue", key="k", context={"": "v"}), "bad_request"),
    "context value of 257": (dict(op="issue", key="k", context={"n": "v" * 257}), "bad_request"),
    "context pair twice": (dict(op="issue", key="k",
                                context=[pair("a", "1"), pair("a", "1")]), "bad_request"),
    "context name with a newline": (dict(op="issue", key="k", context={"a\nb": "v"}),
                                    "bad_request"),
    "no key": (dict(op="issue"), ("bad_request", "not_found")),
    "unknown key": (dict(op="issue", key="nobody"), "not_found"),
    "random 0": (dict(op="random", n=0), "bad_request"),
    "random 65,537": (dict(op="random", n=65537), ("bad_request", "too_big")),
    "short idempotency key": (dict(op="key_create", key="i1", idem=b"x" * 15), "bad_request"),
    "long idempotency key": (dict(op="key_create", key="i2", idem=b"x" * 17), "bad_request"),
    "subject of 129": (dict(op="issue", key="k", subject="s" * 129), "bad_request"),
    "purpose of 129": (dict(op="issue", key="k", purpose="s" * 129), "bad_request"),
    "unknown algorithm": (dict(op="key_create", key="alg", algorithm="rot13"), "bad_request"),
    "bad class": (dict(op="key_create", key="cls", **{"class": "no/slash"}), "bad_request"),
    "reason of 65": (dict(op="key_suspend", key="k", reason="r" * 65), "bad_request"),
    "reason with a newline": (dict(op="key_suspend", key="k", reason="a\nb"), "bad_request"),
    "version that is not there": (dict(op="key_suspend", key="k", version=7), "not_found"),
    "slot of another kind": (dict(op="unseal", slot="pkcs11"), ("not_found", "hardware",
                                                                "bad_request", "wrong_state")),
    "audit limit 1,001": (dict(op="audit_read", limit=1001), ("bad_request", "too_big")),
    "nothing wrapped": (dict(op="unwrap", items=[{"data": b""}]), "integrity"),
    "asserts an identity": (dict(op="issue", key="k", asserted="unix:0"), "denied"),
}


@pytest.mark.parametrize("what", BAD)
def test_over_the_limits(shared, what):
    args, wanted = BAD[what]
    args = dict(args)
    with shared.client() as c:
        answer = c.ask(args.pop("op"), **args)
        assert code_of(answer) in wanted if isinstance(wanted, tuple) else \
            code_of(answer) == wanted
        assert c.call("whoami").identity


NAMES = ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "a\0", "ä", "a" * 65, "a:b", "../x", "%41"]


@pytest.mark.parametrize("name", NAMES)
def test_names_outside_the_alphabet(shared, name):
    with shared.client() as c:
        assert code_of(c.ask("key_create", key=name)) == "bad_request"
        assert code_of(c.ask("issue", key=name)) in ("not_found", "bad_request")


def test_text_that_is_no_text(shared):
    body = message((1, 3)) + varint(20 << 3 | 2) + varint(5) + message((1, b"\xff\xfe\xfd"))
    assert code_of(answer_to(shared, body)) == "bad_request"


@pytest.mark.parametrize("key", ["k", "k-gcm", "k-kwp"])
def test_wrapped_key_with_each_bit_flipped(shared, key):
    context = None if key == "k-kwp" else CONTEXT
    with shared.client() as c:
        good = c.issue(key, context).wrapped
        flips = []
        for i in range(len(good) * 8):
            bad = bytearray(good)
            bad[i // 8] ^= 1 << i % 8
            flips.append({"data": bytes(bad), "context": context})
        codes = []
        for at in range(0, len(flips), 1024):
            answer = c.call("unwrap", items=flips[at : at + 1024])
            codes += [i.error and i.error.code for i in answer["items"]]
        assert set(codes) == {"integrity"}


def test_wrapped_key_of_every_length(shared):
    with shared.client() as c:
        good = c.issue("k", CONTEXT).wrapped
        items = [{"data": good[:n], "context": CONTEXT} for n in range(len(good))]
        items += [{"data": good + b"\0" * n, "context": CONTEXT} for n in (1, 16, 1000)]
        answer = c.call("unwrap", items=items)["items"]
        assert {i.error.code for i in answer} == {"integrity"}


def test_newer_format_says_so(shared):
    with shared.client() as c:
        good = c.issue("k", CONTEXT).wrapped
        answer = c.call("unwrap", items=[{"data": b"\2" + good[1:], "context": CONTEXT}])
        assert answer["items"][0].error.name == "newer_format"


def test_destroyed_and_swapped(shared):
    with shared.client() as c:
        c.call("key_create", key="d")
        one, two = c.issue("d", {"call": "1"}), c.issue("d", {"call": "2"})
        for blob, context in ((one, {"call": "2"}), (two, {"call": "1"})):
            with pytest.raises(KmsError) as e:
                c.unwrap(blob.wrapped, context)
            assert e.value.code == "integrity"
        c.call("key_destroy", key="d", version=1)
        with pytest.raises(KmsError) as e:
            c.unwrap(one.wrapped, {"call": "1"})
        assert e.value.code == "wrong_state"


def test_ids_may_be_anything(shared):
    with shared.client() as c:
        for number in (1, 1, 0, (1 << 64) - 1):
            c.send_raw(frame(request("whoami", id=number)))
        assert sorted(c.recv().id for _ in range(4)) == [0, 1, 1, (1 << 64) - 1]


def test_answers_to_a_thousand_requests_come_all(shared):
    with shared.client() as c:
        n = 5000
        sent = threading.Thread(target=c.send_raw, args=(b"".join(
            frame(request("issue", id=i, key="k")) for i in range(1, n + 1)),))
        sent.start()
        ids = sorted(c.recv().id for _ in range(n))
        sent.join()
        assert ids == list(range(1, n + 1))


def test_peer_that_leaves_in_the_middle(shared):
    for n in (1, 10, 1000):
        with shared.client() as c:
            c.send_raw(b"".join(frame(request("issue", id=i, key="k")) for i in range(n)))


def test_descriptors_sent_along_are_dropped(shared):
    import socket
    before = len(os.listdir(f"/proc/{shared.keeper()}/fd")) if os.geteuid() == 0 else 0
    with shared.client() as c:
        for _ in range(50):
            socket.send_fds(c.sock, [frame(request("whoami"))], [0, 1, 2])
            c.recv()
        if os.geteuid() == 0:
            assert len(os.listdir(f"/proc/{shared.keeper()}/fd")) <= before + 2


def test_item_without_data_in_a_batch(shared):
    with shared.client() as c:
        body = message((1, 4)) + varint(33 << 3 | 2)
        inner = message((2, item(data=b"")), (2, b""), (2, item(data=b"x")))
        c.send_raw(frame(body + varint(len(inner)) + inner))
        codes = [i.error.code for i in c.recv()["items"]["items"]]
        assert codes == ["integrity"] * 3
