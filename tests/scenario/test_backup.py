# SPDX-License-Identifier: Apache-2.0
"""Backups of a real kmsd: made under load, damaged, carried to another host, restored where a log
is and where none is, and held against the clock and the live keys."""
import shutil
import threading

import pytest
from audit import records
from instance import BUILD, Failed, Instance, KmsError
from test_secrets import busy, found_in_files
from test_slots import lasts, opens, told, use, why

ALGORITHMS = {"x": "xaes-256-gcm", "g": "aes-256-gcm", "w": "aes-256-kwp"}


def backup_of(kms):
    """The name of a new backup. There may be one a second."""
    while True:
        try:
            return kms.ctl("backup", "create")["backups"][-1]["backup"]
        except Failed as e:
            assert '"exists"' in str(e)


def issue_all(kms):
    """Wrapped keys of every algorithm and version: name, context, wrapped, clear."""
    out = []
    with kms.client() as c:
        for name, algorithm in ALGORITHMS.items():
            context = None if name == "w" else {"call": name}
            c.call("key_create", key=name, algorithm=algorithm)
            for _ in range(3):
                item = c.issue(name, context)
                out.append((context, item.wrapped, item.plaintext))
                c.call("key_rotate", key=name)
    return out


def unwraps(kms, items):
    with kms.client() as c:
        for context, wrapped, clear in items:
            assert c.unwrap(wrapped, context).plaintext == clear


@pytest.fixture
def host(make):
    """With a TPM and people; there is a token too."""
    return make(both=True, shares="2/3")


@pytest.fixture
def elsewhere(make):
    """Another host, with hardware of its own and nothing in it."""
    kms = make(both=True, init=False)
    kms.start()
    return kms


def restore(kms, path, shares, *args):
    """Onto an empty kms, as people do; what was said of the log."""
    if path.parent != kms.backup:
        shutil.copy(path, kms.backup)
    said = kms.ctl("backup", "restore", path.name)["backups"][0]
    assert kms.ctl("status")["restoring"] == path.name
    for share in shares[:2]:
        kms.give(share)
    kms.wait_state("unsealed")
    return said["detail"]


def lose_store(kms):
    """The disk of the store is new; log, backups and hardware are what they were."""
    kms.stop()
    shutil.rmtree(kms.store)
    kms.store.mkdir(mode=0o700)
    kms.start()
    assert kms.state == "uninitialised"


class Issuer(threading.Thread):
    """Issues all the time and keeps everything that was issued."""

    def __init__(self, kms):
        super().__init__(daemon=True)
        self.kms, self.items, self.end, self.fault = kms, [], threading.Event(), None
        self.more = threading.Condition()

    def run(self):
        try:
            with self.kms.client() as c:
                while not self.end.is_set():
                    item = c.issue("rec", {"call": str(len(self.items))})
                    with self.more:
                        self.items.append(({"call": str(len(self.items))}, item.wrapped,
                                           item.plaintext))
                        self.more.notify()
        except Exception as e:  # noqa: BLE001 (reported by the story)
            self.fault = e

    def wait_more(self, n):
        with self.more:
            wanted = len(self.items) + n
            assert self.more.wait_for(lambda: self.fault or len(self.items) >= wanted, 20)
        assert self.fault is None, self.fault

    def stop(self):
        self.end.set()
        self.join(20)
        assert self.fault is None, self.fault
        return self.items


def test_a_backup_under_load_loses_no_key(host, elsewhere):
    use(host)
    issuer = Issuer(host)
    issuer.start()
    issuer.wait_more(100)
    names = []
    for _ in range(3):
        names.append(backup_of(host))
        issuer.wait_more(50)
    items = issuer.stop()
    for name in names:
        assert host.ctl("backup", "verify", name)["backups"][0]["state"] == "ok"
    assert [b["backup"] for b in host.ctl("backup", "list")["backups"]] == names
    restore(elsewhere, host.backup / names[0], host.shares)
    assert len(items) > 200
    unwraps(elsewhere, items)  # those too that were issued after it
    assert opens_of(elsewhere, host)


def opens_of(kms, other):
    kms.item = other.item
    return opens(kms)


def test_one_backup_at_a_time(host):
    with host.client() as c:
        asked = [c.send("backup_create") for _ in range(3)]
        answers = {a.id: a.error and a.error.name for a in (c.recv() for _ in asked)}
    assert [answers[i] for i in asked] == [None, "backup_work", "backup_work"]
    assert len(host.ctl("backup", "list")["backups"]) == 1


def test_onto_another_host(host, elsewhere):
    """People open it, then this host's hardware takes over and the other's is forgotten."""
    items = issue_all(host)
    name = backup_of(host)
    path = elsewhere.backup / name
    shutil.copy(host.backup / name, path)
    shown = elsewhere.ctl("backup", "restore", name, "--dry-run")
    assert shown["dry_run"] is True and set(shown["backups"][0]["slots"]) == {"tpm", "shares"}
    assert elsewhere.ctl("status")["state"] == "uninitialised"
    assert elsewhere.ctl("backup", "restore", "none", status=3)["error"]["code"] == "not_found"
    said = restore(elsewhere, path, host.shares)
    assert "can't be known" in said  # its log is not here
    unwraps(elsewhere, items)
    assert lasts(elsewhere) == {"tpm": "tpm_foreign", "shares": "ok"} or \
        lasts(elsewhere)["tpm"] == "untried"
    elsewhere.ctl("slot", "remove", "tpm", "--yes", "--rely-on-shares")
    elsewhere.ctl("slot", "add", "tpm")
    elsewhere.ctl("slot", "add", "hsm")
    elsewhere.restart()
    assert elsewhere.state == "unsealed"
    unwraps(elsewhere, items)
    assert elsewhere.ctl("backup", "restore", name, status=6)["error"]["name"] == "initialised"
    with elsewhere.client() as c:
        assert c.issue("x").version == 4
    unwraps(host, items)  # the first one knows nothing of it


def test_a_backup_needs_its_people(host, elsewhere, make):
    """This host's hardware opens nothing, nor do people of another instance."""
    use(host)
    name = backup_of(host)
    shutil.copy(host.backup / name, elsewhere.backup)
    elsewhere.ctl("backup", "restore", name)
    assert elsewhere.ctl("unseal", status=7)["error"]["name"] == "tpm_foreign"
    stranger = make(slot="shares")
    assert elsewhere.give(stranger.shares[0], status=5)["error"]["name"] == "share_foreign"
    elsewhere.give(host.shares[0])
    with elsewhere.client() as c, pytest.raises(KmsError) as e:
        c.issue("rec")
    assert e.value.code == "sealed"
    elsewhere.restart()
    assert elsewhere.state == "uninitialised"  # nothing of it was written


def test_a_copied_store_is_no_backup(host, elsewhere):
    """A's files beside B's hardware: named, and people alone don't do it either."""
    use(host)
    host.stop()
    elsewhere.stop()
    for name in ("store", "audit"):
        shutil.rmtree(elsewhere.dir / name)
        shutil.copytree(host.dir / name, elsewhere.dir / name)
    elsewhere.start()
    assert why(elsewhere) == "tpm_foreign"
    elsewhere.give(host.shares[0])
    assert elsewhere.give(host.shares[1], status=7)["error"]["name"] == "counter_gone"
    host.start()
    assert opens(host)


@pytest.mark.parametrize("hurt", ["cut short", "cut at its end", "cut in its head", "flipped",
                                  "flipped at its end", "another file", "empty"])
def test_a_damaged_backup_is_refused(host, elsewhere, hurt):
    use(host)
    name = backup_of(host)
    raw = bytearray((host.backup / name).read_bytes())
    if hurt.startswith("cut"):
        raw = raw[:{"cut short": len(raw) // 2, "cut at its end": len(raw) - 1}.get(hurt, 60)]
    elif hurt.startswith("flipped"):
        raw[-1 if hurt.endswith("end") else len(raw) // 2] ^= 1
    else:
        raw = bytearray(b"" if hurt == "empty" else b"PK\3\4" + bytes(4000))
    for kms in (host, elsewhere):
        (kms.backup / "bad.kmsb").write_bytes(raw)
    wanted = ("backup_damaged", "not_a_backup")
    assert host.ctl("backup", "verify", "bad.kmsb", status=5)["error"]["name"] in wanted
    assert host.ctl("backup", "verify", name)["backups"][0]["state"] == "ok"
    done = elsewhere.ctl("backup", "restore", "bad.kmsb", status=None)
    if done.returncode == 0:  # its head is whole: what is behind, only its keys tell
        elsewhere.give(host.shares[0])
        assert elsewhere.give(host.shares[1], status=5)["error"]["name"] == "backup_damaged"
    else:
        assert done.returncode == 5
    with elsewhere.client() as c, pytest.raises(KmsError):
        c.issue("rec")
    restore(elsewhere, host.backup / name, host.shares)  # and the good one is not in its way
    assert opens_of(elsewhere, host)


def test_a_destroyed_key_stays_destroyed(host):
    """The store is lost, the log is not: what it says was destroyed is destroyed again. What was only
    asked about is not."""
    items = issue_all(host)
    name = backup_of(host)
    host.ctl("key", "destroy", "x", "--version", 1, "--yes")
    host.ctl("key", "destroy", "g", "--yes")
    host.ctl("key", "destroy", "w", "--dry-run")
    host.ctl("key", "deactivate", "w", "--version", 4, "--dry-run")
    lose_store(host)
    said = host.ctl("backup", "restore", name)["backups"][0]["detail"]
    assert "stays destroyed" in said
    host.ctl("unseal")
    host.wait_state("unsealed")
    assert told(host, "backup-restore", "unseal")[-2:] == [
        ("backup-restore", "ok", name), ("unseal", "ok", "rollback")]
    states = {n: [v["state"] for v in host.ctl("key", "show", n)["versions"]] for n in "xgw"}
    assert states["x"][0] == "destroyed" and "destroyed" not in states["x"][1:]
    assert set(states["g"]) == {"destroyed"} and "destroyed" not in states["w"]
    with host.client() as c:
        for i, (context, wrapped, clear) in enumerate(items):
            if i in (0, 3, 4, 5):
                with pytest.raises(KmsError) as e:
                    c.unwrap(wrapped, context)
                assert e.value.code == "wrong_state"
            else:
                assert c.unwrap(wrapped, context).plaintext == clear
    host.restart()
    assert host.state == "unsealed"


def test_a_lost_log_is_told(host, elsewhere):
    """Without the log nobody knows of a destruction: whoever restores is told so before."""
    items = issue_all(host)
    name = backup_of(host)
    host.ctl("key", "destroy", "g", "--yes")
    shutil.copy(host.backup / name, elsewhere.backup)
    said = elsewhere.ctl("backup", "restore", name, "--dry-run")["backups"][0]["detail"]
    assert "destroyed" in said and "can't be known" in said
    assert restore(elsewhere, elsewhere.backup / name, host.shares) == said
    unwraps(elsewhere, items)
    assert "event=log-lost" in elsewhere.logged()


def test_a_rotated_root_reseals_backups(host, elsewhere):
    """The backups of the folder open with the new shares; a copy from before with the old ones."""
    items = issue_all(host)
    name = backup_of(host)
    shutil.copy(host.backup / name, host.dir / "copy.kmsb")
    old = host.shares
    new = host.ctl("root", "rotate", "--yes", "--store")["shares"]
    while host.ctl("backup", "list")["backups"][0]["state"] != "ok":
        pass  # they are renewed behind the answer
    shutil.copy(host.backup / name, elsewhere.backup)
    elsewhere.ctl("backup", "restore", name)
    assert elsewhere.give(old[0], status=5)["error"]["name"] == "share_foreign"
    for share in new[:2]:
        elsewhere.give(share)
    unwraps(elsewhere, items)
    with Instance(both=True, init=False) as third:
        third.start()
        restore(third, host.dir / "copy.kmsb", old)
        unwraps(third, items)
        third.restart()
        assert third.give(new[0], status=5)["error"]["name"] == "share_foreign"


def rehearse(kms, *args, status=0):
    seen = kms.ctl("backup", "rehearse", "--config", kms.dir / "kms.conf", "--kmsd", BUILD / "kmsd",
                   *args, status=status, env={"TMPDIR": str(kms.dir)})
    assert not list(kms.dir.glob("kms-rehearsal-*")), "something is left"
    return seen


def test_a_rehearsal(host):
    """With the live one's hardware, whose counter it leaves alone; then with people."""
    issue_all(host)
    name = backup_of(host)
    counter = host.ctl("status")["counter"]
    seen = rehearse(host)
    assert seen["ok"] is True and seen["backup"] == name
    assert (seen["checked"], seen["failed"], seen["newer"]) == (12, 0, 0)
    host.ctl("key", "create", "later")
    assert rehearse(host, name)["newer"] == 1
    after = host.ctl("status")
    assert after["rehearsal_state"] == "ok" and after["counter"] == counter + 1  # of "later" alone
    host.stop()
    shutil.copy(host.dir / "tpm-auth", host.dir / "right")
    host.start()
    (host.dir / "tpm-auth").write_text("f" * 64)
    rehearse(host, status=7)
    files = []
    for i, share in enumerate(host.shares):
        (host.dir / f"share-{i}").write_text(share)
        files += ["--share", host.dir / f"share-{i}"]
    assert rehearse(host, *files)["ok"] is True
    shutil.copy(host.dir / "right", host.dir / "tpm-auth")


def test_a_rehearsal_of_a_damaged_backup(host):
    issue_all(host)
    name = backup_of(host)
    path = host.backup / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    assert rehearse(host, name, status=5)["error"]["name"] == "backup_damaged"
    assert host.ctl("status")["rehearsal_state"] == "failed"
    good = backup_of(host)
    assert rehearse(host, good)["ok"] is True
    assert host.ctl("status")["rehearsal_state"] == "ok"


def wait_backup(kms):
    """Until the log has a backup that kmsd made by itself."""
    at = 0
    while True:
        found = [r for r in records(kms, at) if r.op == "backup-create"]
        if found:
            return found[0]
        with kms.client() as c:
            at = c.call("audit_read", **{"from": at, "limit": 1}).size
            c.call("audit_read", **{"from": at, "limit": 1, "wait": 1})


def test_the_schedule_makes_one(make):
    """None yet: one is made as soon as it is open, and not another one on each opening."""
    kms = make(backup_every="1h")
    record = wait_backup(kms)
    assert record.result == "ok" and record.identity == "kmsd"
    name = kms.ctl("backup", "list")["backups"][0]["backup"]
    assert record.detail == name and kms.ctl("status")["backup_state"] == "ok"
    kms.ctl("backup", "verify", name)
    kms.ctl("seal")
    kms.ctl("unseal")
    kms.restart()
    kms.ctl("key", "create", "k")
    assert len(kms.ctl("backup", "list")["backups"]) == 1


def test_no_folder_no_backup(make):
    kms = make(backup_every="1h")
    wait_backup(kms)
    (kms.dir / "kms.conf.d").mkdir()
    (kms.dir / "kms.conf.d" / "off.conf").write_text('backup = ""\n')
    kms.restart()
    assert kms.ctl("backup", "create", status=3)["error"]["name"] == "backup_off"
    assert kms.ctl("status")["backup_state"] == "off"


def test_no_clear_key_in_a_backup(host, elsewhere):
    keys = busy(host)
    name = backup_of(host)
    host.ctl("root", "rotate", "--yes")
    restore_from = host.dir / "x.kmsb"
    shutil.copy(host.backup / name, restore_from)
    assert found_in_files(host.dir, keys) == []
    elsewhere.stop()
    shutil.copy(host.backup / name, elsewhere.backup)
    elsewhere.start()
    elsewhere.ctl("backup", "restore", name)
    assert found_in_files(elsewhere.dir, keys) == []
