# SPDX-License-Identifier: Apache-2.0
"""No answer without its record: every operation with every outcome leaves exactly one, and a log
that can't be written refuses by name within two seconds and heals."""
import errno
import os
import shutil
import subprocess
import time

import pytest
from audit import Broken, crc32c, read_log, records
from command import KMSCTL, environment
from instance import PATIENCE

from shim import FAIL, FOR_EVER, SYNC, WRITE, Shim
from wire import frame, fresh_idem
from test_store import fill, small  # noqa: F401 (a fixture)

CONTEXT = {"call": "1"}


def one_record(kms, c, op, result, **args):
    """Asks; the answer has `result`, and exactly one record says the same."""
    before = c.status().audit_records
    answer = c.ask(op, subject="auditor", **args)
    error = answer.error
    if error is None and answer["items"] is not None:
        error = answer["items"]["items"][0].error
    assert (error.name if error else "ok") == result, answer
    found = [r for r in records(kms, before) if r.subject == "auditor"]
    assert len(found) == 1, f"{op}: {len(found)} records"
    record = found[0]
    assert (record.op, record.result) == (op.replace("_", "-"), result)
    assert record.identity == f"unix:{os.getuid()}" and record.source == "unix"
    return record


def test_every_operation_and_outcome(kms):
    with kms.client() as c:
        def one(op, result, **args):
            return one_record(kms, c, op, result, **args)
        one("status", "ok")
        one("whoami", "ok")
        one("metrics", "ok")
        one("slot_list", "ok")
        one("slot_check", "ok", slot="tpm")
        one("init", "initialised", slot="tpm")
        created = one("key_create", "ok", key="rec")
        assert created.epoch and any(created.set_digest)
        one("key_create", "exists", key="rec")
        one("key_create", "bad_name", key="no/slash")
        one("key_create", "bad_algorithm", key="x", algorithm="rot13")
        one("key_list", "ok")
        one("key_show", "ok", key="rec")
        one("key_show", "not_found", key="none")
        issued = one("issue", "ok", key="rec", context=CONTEXT, purpose="call")
        assert issued.purpose == "call" and issued.version == 1 and issued.batch == 1
        assert any(issued.context_digest) and any(issued.tag)
        one("issue", "not_found", key="none")
        one("issue", "batch_too_big", key="rec", count=1025)
        one("issue", "bad_context", key="rec", context={"n" * 65: "v"})
        item = c.issue("rec", CONTEXT)
        good = [{"data": item.wrapped, "context": CONTEXT}]
        opened = one("unwrap", "ok", items=good)
        assert opened.tag == issued.tag and opened.key == issued.key
        one("unwrap", "integrity", items=[{"data": item.wrapped}])
        one("unwrap", "bad_request", items=[])
        one("wrap", "ok", key="rec", items=[{"data": b"x"}])
        one("wrap", "plaintext_too_big", key="rec", items=[{"data": b"x" * 65537}])
        one("mac", "ok", key="rec", items=[{"data": b"x"}])
        one("random", "ok", n=8)
        one("random", "bad_request", n=0)
        one("audit_read", "ok", limit=1)
        one("key_rotate", "ok", key="rec")
        one("rewrap", "ok", items=good)
        for op, result in (("suspend", "ok"), ("suspend", "wrong_state"), ("resume", "ok"),
                           ("deactivate", "ok"), ("compromise", "ok"), ("destroy", "ok"),
                           ("destroy", "destroyed"), ("cancel_destroy", "wrong_state")):
            one("key_" + op, result, key="rec", version=2)
        one("unwrap", "denied", items=good, asserted="x")
        again = fresh_idem()
        one("key_create", "ok", key="twice", idem=again)
        one("key_create", "ok", key="twice", idem=again)
        one("key_create", "conflict", key="other", idem=again)
        batch = one_record(kms, c, "unwrap", "ok", items=good * 3)
        assert batch.batch == 3 and len(batch["items"]) == 3


def test_sealed_and_malformed_leave_records_too(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        before = c.status().audit_records
        c.call("seal", subject="s1")
        for n, (op, args) in enumerate((("issue", {"key": "rec"}), ("random", {"n": 1}))):
            assert c.ask(op, subject=f"s2.{n}", **args).error.name == "sealed"
        c.call("unseal", subject="s3")
        with kms.client() as bad:
            bad.send_raw(frame(b"\xff\xff\xff"))
            assert bad.closes()
        found = records(kms, before)
        by_subject = {r.subject: (r.op, r.result) for r in found if r.subject}
        assert by_subject == {"s1": ("seal", "ok"), "s2.0": ("issue", "sealed"),
                              "s2.1": ("random", "sealed"), "s3": ("unseal", "ok")}
        assert [r.result for r in found if r.op == "malformed"] == ["bad_frame"]


def test_sequence_and_time(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        for _ in range(20):
            c.issue("rec")
    kms.restart()
    found = records(kms)
    assert [r.seq for r in found] == list(range(len(found)))
    assert [r.op for r in found if r.op in ("start", "stop")][-2:] == ["stop", "start"]
    times = [r.time_us for r in found]
    assert times == sorted(times)
    kms.stop()
    raw = read_log(kms.audit)
    assert len(raw) >= len(found)


def refused_in_time(kms, c, *names):
    """The next request is refused by one of these names, within two seconds."""
    begun = time.monotonic()
    answer = c.ask("issue", key="rec")
    took = time.monotonic() - begun
    assert answer.error is not None and answer.error.code == "audit_failed", answer
    assert answer.error.name in names and took < 2.3, (answer.error.name, took)


def heals(kms, c):
    end = time.monotonic() + 5
    while True:
        answer = c.ask("issue", key="rec")
        if answer.error is None:
            return
        assert answer.error.code == "audit_failed" and time.monotonic() < end, answer


@pytest.mark.parametrize("calls, error, name", [
    (WRITE, errno.EIO, "audit_io"), (SYNC, errno.EIO, "audit_io"),
    (WRITE, errno.ENOSPC, "audit_full")])
def test_log_cannot_be_written(make, tmp_path, calls, error, name):
    shim = Shim(tmp_path / "fault", ".seg")
    kms = make(env=shim.env)
    with kms.client() as c, kms.client() as other:
        c.call("key_create", key="rec")
        item = c.issue("rec", CONTEXT)
        shim.arm(FAIL, 1, FOR_EVER, calls=calls, error=error)
        refused_in_time(kms, c, name)
        begun = time.monotonic()
        assert other.ask("unwrap", items=[{"data": item.wrapped}]).error.code == "audit_failed"
        assert time.monotonic() - begun < 0.5  # once it is known nobody waits
        shim.disarm()
        heals(kms, c)
        assert c.unwrap(item.wrapped, CONTEXT).plaintext == item.plaintext
        assert c.status().audit_state == "ok"
    kms.stop()
    read_log(kms.audit)


@pytest.mark.root
def test_disk_of_the_log_full(make, small):  # noqa: F811
    kms = make(audit=small / "audit", audit_segment=1 << 20)
    with kms.client() as c:
        c.call("key_create", key="rec")
        fill(small)
        names = set()
        for _ in range(200):
            answer = c.ask("wrap", key="rec", items=[{"data": b"x", "context": CONTEXT}] * 1024)
            if answer.error:
                names.add(answer.error.name)
                break
        assert names == {"audit_full"}, names
        (small / "filler").unlink()
        heals(kms, c)
    kms.stop()
    read_log(kms.audit)


def newest(kms):
    """The segment that is being written."""
    used = [p for p in sorted(kms.audit.glob("*.seg")) if p.read_bytes()[:4] == b"KMSA"]
    return used[-1]


@pytest.mark.parametrize("how", ["removed", "replaced", "folder"])
def test_file_taken_away(kms, how):
    """Somebody removes the log under our feet: what is written into a file that nobody can find
    is no record."""
    with kms.client() as c:
        c.call("key_create", key="rec")
        path = newest(kms)
        keep = kms.dir / "kept.seg"
        if how == "folder":
            kms.audit.rename(kms.dir / "elsewhere")
        else:
            path.rename(keep)
        if how == "replaced":
            shutil.copyfile(keep, path)
        refused_in_time(kms, c, "audit_io", "audit_corrupt")
        if how == "folder":
            (kms.dir / "elsewhere").rename(kms.audit)
        else:
            keep.rename(path)
        heals(kms, c)
    kms.stop()
    read_log(kms.audit)


@pytest.mark.parametrize("damage", ["cut", "bit", "gone"])
def test_log_changed_while_stopped(kms, damage):
    with kms.client() as c:
        c.call("key_create", key="rec")
        for _ in range(50):
            c.issue("rec")
        c.call("key_rotate", key="rec")  # the store now knows where the log stands
    kms.stop()
    path = newest(kms)
    good = path.read_bytes()
    kept = kms.dir / "kept.seg"
    shutil.copyfile(path, kept)
    count = len(read_log(kms.audit))
    if damage == "gone":
        path.unlink()
    elif damage == "bit":
        bad = bytearray(good)
        bad[good.index(b"unix:")] ^= 1
        path.write_bytes(bad)
        with pytest.raises(Broken):
            read_log(kms.audit)
    else:
        end = len(good.rstrip(b"\0"))
        path.write_bytes(good[: end // 2] + b"\0" * (len(good) - end // 2))
    kms.start()
    status = kms.status()
    assert status.state != "unsealed" and status.why == "audit_corrupt", (status.state, status.why)
    kms.stop()
    shutil.copyfile(kept, path)
    assert kms.start().state == "unsealed"
    assert len(records(kms)) > count


def test_torn_tail_is_dropped(kms):
    """Half a frame at the end is what a power cut leaves; the log goes on behind what is whole."""
    with kms.client() as c:
        c.call("key_create", key="rec")
    kms.stop()
    path = newest(kms)
    whole = len(read_log(kms.audit))
    raw = bytearray(path.read_bytes())
    end = len(bytes(raw).rstrip(b"\0"))
    raw[end + 40 : end + 60] = b"half a record at all"
    raw[end : end + 9] = (200).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"\1"
    path.write_bytes(raw)
    assert kms.start().state == "unsealed"
    assert len(records(kms)) > whole
    kms.stop()
    read_log(kms.audit)


def test_tail_waits_for_records(kms):
    with kms.client() as c, kms.client() as tail:
        c.call("key_create", key="rec")
        size = c.status().audit_records + 1
        asked = tail.send("audit_read", **{"from": size + 5, "limit": 10, "wait": True})
        for _ in range(6):
            c.issue("rec")
        answer = tail.recv()
        assert answer.id == asked and len(answer.records["records"]) >= 1


def test_crc_of_the_test_itself():
    assert crc32c(b"123456789") == 0xE3069283


def test_audit_tail_command(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        c.issue("rec", CONTEXT, subject="agent-7")
    lines = kms.ctl("audit", "tail")
    assert any(r.get("op") == "issue" and r.get("subject") == "agent-7" for r in lines)
    text = kms.ctl("audit", "tail", text=True).decode()
    assert "issue" in text and "agent-7" in text


def test_records_are_shown_with_names_of_keys(kms):
    """The log has ids; names come from the list of keys, also of a key made while tail follows."""
    key = kms.ctl("key", "create", "rec")
    kms.ctl("issue", "rec", "--wrapped-only")
    lines = kms.ctl("audit", "tail")
    (issued,) = [r for r in lines if r["op"] == "issue"]
    assert (issued["key"], issued["id"]) == ("rec", key["id"])
    assert all("key" not in r for r in lines if "id" not in r)
    assert kms.ctl("audit", "show", issued["seq"])["key"] == "rec"
    assert "  key=rec.1" in kms.ctl("audit", "tail", text=True).decode()
    with subprocess.Popen(["timeout", str(PATIENCE), KMSCTL, "audit", "tail", "-f", "--lines", "1"],
                          env=environment(kms), stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout.readline()
        kms.ctl("key", "create", "newer")
        kms.ctl("issue", "newer", "--wrapped-only")
        line = next((x for x in tail.stdout if " issue " in x), "none came")
        tail.terminate()
    assert "  key=newer.1" in line


def test_strange_subject_is_shown_harmlessly(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        c.issue("rec", subject="a\x1b[31m\n\u202eb")
    text = kms.ctl("audit", "tail", text=True)
    assert b"\x1b" not in text and "\u202e".encode() not in text


