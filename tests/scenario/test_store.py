# SPDX-License-Identifier: Apache-2.0
"""An old store, whole or one row; a newer one; a damaged one; a full disk. Each by name, nothing
lost, and what heals heals by itself."""
import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess

import pytest
from conftest import every_slot
from instance import KmsError
from shim import FAIL, FOR_EVER, WRITE, Shim

CONTEXT = {"call": "1"}


def copy_of(kms, name):
    to = kms.dir / name
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(kms.store, to)
    return to


def put_back(kms, copy):
    shutil.rmtree(kms.store)
    shutil.copytree(copy, kms.store)


def database(kms):
    """The store's file, its WAL folded in."""
    db = sqlite3.connect(kms.store / "store.db")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return db


def refused_at_start(kms, code, *names):
    kms.start(people=False)
    with pytest.raises(KmsError) as e:
        kms.unseal()
    assert e.value.code == code and e.value.name in names
    status = kms.status()
    assert status.state != "unsealed" and status.why in names, (status.state, status.why)
    assert names[0] in kms.logged() or e.value.error.text in kms.logged()


@every_slot
def test_store_of_yesterday(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
    kms.stop()
    yesterday = copy_of(kms, "yesterday")
    kms.start()
    with kms.client() as c:
        c.call("key_destroy", key="rec", version=1)
        c.call("key_create", key="second")
    kms.stop()
    today = copy_of(kms, "today")
    put_back(kms, yesterday)
    refused_at_start(kms, "rollback", "rollback")
    kms.stop()
    put_back(kms, today)
    kms.start()
    with kms.client() as c:
        assert c.call("key_show", key="rec")["versions"][0].state == "destroyed"


def test_store_and_log_of_yesterday(kms):
    """All of it agrees with itself: only the chip knows better."""
    with kms.client() as c:
        c.call("key_create", key="rec")
    kms.stop()
    yesterday = copy_of(kms, "yesterday")
    shutil.copytree(kms.audit, kms.dir / "log")
    kms.start()
    with kms.client() as c:
        c.call("key_rotate", key="rec")
        c.call("key_rotate", key="rec")
    kms.stop()
    put_back(kms, yesterday)
    shutil.rmtree(kms.audit)
    shutil.copytree(kms.dir / "log", kms.audit)
    refused_at_start(kms, "rollback", "rollback")


@every_slot
def test_store_one_change_behind(kms):
    kms.stop()
    before = copy_of(kms, "before")
    kms.start()
    with kms.client() as c:
        c.call("key_create", key="rec")
    kms.kill()
    put_back(kms, before)
    refused_at_start(kms, "rollback", "rollback")


def tables(db):
    return [t for t, in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]


def row_table(db):
    """The table of rows and its columns: (table, key columns…, value column)."""
    for t in tables(db):
        columns = [c[1] for c in db.execute(f'PRAGMA table_info("{t}")')]
        if "value" in columns:
            return t, [c for c in columns if c != "value"]
    raise AssertionError(f"no table of rows among {tables(db)}")


def all_values(db):
    table, keys = row_table(db)
    return {tuple(r[:-1]): r[-1]
            for r in db.execute(f'SELECT {", ".join(keys)}, value FROM "{table}"')}


def changed_rows(before, after):
    return [k for k in before if k in after and before[k] != after[k]]


def set_row(db, key, value):
    table, keys = row_table(db)
    where = " AND ".join(f"{k} IS ?" for k in keys)
    if value is None:
        db.execute(f'DELETE FROM "{table}" WHERE {where}', key)
    elif db.execute(f'UPDATE "{table}" SET value = ? WHERE {where}', (value, *key)).rowcount == 0:
        marks = ", ".join("?" * (len(keys) + 1))
        db.execute(f'INSERT INTO "{table}" ({", ".join(keys)}, value) VALUES ({marks})',
                   (*key, value))
    db.commit()
    db.close()


@every_slot
def test_one_row_put_back(kms):
    """The state of a version as it was before it was destroyed."""
    with kms.client() as c:
        c.call("key_create", key="rec")
        c.call("key_rotate", key="rec")
    kms.stop()
    with contextlib.closing(database(kms)) as db:
        before = all_values(db)
    kms.start()
    with kms.client() as c:
        c.call("key_suspend", key="rec", version=2)
    kms.stop()
    db = database(kms)
    changed = changed_rows(before, all_values(db))
    assert len(changed) >= 2  # the version's row and the epoch row
    db.close()
    good = copy_of(kms, "good")
    tried = 0
    for key in changed:
        put_back(kms, good)
        set_row(database(kms), key, before[key])
        kms.start(people=False)
        with pytest.raises(KmsError):
            kms.unseal()
        status = kms.status()
        assert status.state != "unsealed", key
        assert status.why in ("row_rollback", "rollback"), (key, status.why)
        kms.stop()
        tried += 1
    assert tried
    put_back(kms, good)
    assert kms.start().state == "unsealed"


def test_row_removed_or_added(kms):
    with kms.client() as c:
        for name in ("a", "b"):
            c.call("key_create", key=name)
    kms.stop()
    good = copy_of(kms, "good")
    db = database(kms)
    before = all_values(db)
    db.close()
    seen = set()
    for key, value in before.items():
        kind = key[0]
        if kind in seen:
            continue
        seen.add(kind)
        put_back(kms, good)
        set_row(database(kms), key, None)
        kms.start()
        status = kms.status()
        assert status.state != "unsealed", f"removing a row of {kind} went unnoticed"
        assert status.why or status.state == "uninitialised", key
        kms.stop()
    assert len(seen) >= 4


def test_row_changed(kms):
    """One bit of each kind of row."""
    with kms.client() as c:
        c.call("key_create", key="a")
        c.issue("a")
    kms.stop()
    good = copy_of(kms, "good")
    db = database(kms)
    before = all_values(db)
    db.close()
    for key, value in before.items():
        put_back(kms, good)
        bad = bytearray(value)
        bad[len(bad) // 2] ^= 0x10
        set_row(database(kms), key, bytes(bad))
        kms.start()
        status = kms.status()
        assert status.state != "unsealed", key
        assert status.why, key
        kms.stop()


def test_newer_schema(kms):
    kms.stop()
    db = database(kms)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.execute(f"PRAGMA user_version = {version + 1}")
    db.commit()
    db.close()
    content = (kms.store / "store.db").read_bytes()
    refused_at_start(kms, "store_failed", "store_newer")
    kms.stop()
    assert (kms.store / "store.db").read_bytes() == content  # never rewritten on refusal
    db = database(kms)
    db.execute(f"PRAGMA user_version = {version}")
    db.commit()
    db.close()
    assert kms.start().state == "unsealed"


@pytest.mark.parametrize("damage", ["rubbish", "cut", "head"])
def test_damaged_file(kms, damage):
    kms.stop()
    database(kms).close()
    path = kms.store / "store.db"
    good = path.read_bytes()
    bad = {"rubbish": os.urandom(len(good)), "cut": good[: len(good) // 2 // 4096 * 4096],
           "head": b"\0" * 100 + good[100:]}[damage]
    path.write_bytes(bad)
    kms.start()
    status = kms.status()
    assert status.state != "unsealed" and status.why
    kms.stop()
    path.write_bytes(good)
    assert kms.start().state == "unsealed"


def test_second_kmsd_on_the_same_store(kms, make):
    other = make(init=False, store=kms.store)
    other.start()
    assert other.status().state == "store_failed"
    assert other.status().why == "store_locked"
    with kms.client() as c:
        c.call("key_create", key="rec")


def fill(folder):
    """Takes all space of a small filesystem."""
    with open(folder / "filler", "wb") as f:
        try:
            while True:
                f.write(b"\0" * 65536)
                f.flush()
        except OSError as e:
            assert e.errno == errno.ENOSPC


@pytest.fixture
def small(tmp_path):
    """A filesystem of 12 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small filesystem")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "none", tmp_path],
                          capture_output=True)
    if done.returncode != 0:
        pytest.skip("no right to mount: " + done.stderr.decode().strip())
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.root
def test_disk_of_the_store_full(make, small):
    kms = make(store=small / "store")
    with kms.client() as c:
        c.call("key_create", key="rec")
        item = c.issue("rec", CONTEXT)
        fill(small)
        names = set()
        for i in range(50):
            try:
                c.call("key_create", key=f"full-{i}")
            except KmsError as e:
                names.add((e.code, e.name))
        assert names and {code for code, _ in names} <= {"store_failed", "unavailable"}, names
        assert ("store_failed", "store_full") in names
    kms.wait_state("sealed", "store_failed")
    (small / "filler").unlink()
    kms.wait_state("unsealed")
    with kms.client() as c:
        c.call("key_create", key="after")
        assert c.unwrap(item.wrapped, CONTEXT).plaintext == item.plaintext


def test_store_fails_under_way(make, tmp_path):
    """EIO from the store's file, for ever, then no more: nothing acknowledged is lost."""
    shim = Shim(tmp_path / "fault", "store.db")
    kms = make(env=shim.env)
    with kms.client() as c:
        c.call("key_create", key="rec")
        item = c.issue("rec", CONTEXT)
        shim.arm(FAIL, 1, FOR_EVER, calls=WRITE, error=errno.EIO)
        with pytest.raises(KmsError) as e:
            c.call("key_rotate", key="rec")
        assert e.value.code == "store_failed", e.value
        status = c.status()
        assert status.state != "unsealed" and status.why == "store_io"
        kms.wait_state("sealed", "store_failed")
        shim.disarm()
    kms.wait_state("unsealed")
    with kms.client() as c:
        assert c.unwrap(item.wrapped, CONTEXT).plaintext == item.plaintext
        c.call("key_rotate", key="rec")
