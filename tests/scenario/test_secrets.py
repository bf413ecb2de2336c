# SPDX-License-Identifier: Apache-2.0
"""Clear keys are in no file, no message and no core; after `seal` they are nowhere in memory."""
import base64
import os
import re

import pytest
from conftest import as_installed, every_slot

CONTEXT = {"call": "secret-call"}


def forms(key):
    """The bytes, and what a careless print would make of them."""
    out = [key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key).rstrip(b"="),
           base64.urlsafe_b64encode(key).rstrip(b"=")]
    return out + [key[:16], key[16:]]


def found_in_files(folder, keys):
    hits = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                raw = f.read()
            hits += [(path, i) for i, key in enumerate(keys) for form in forms(key) if form in raw]
    return hits


def memory_of(pid):
    """Every readable byte of a process."""
    try:
        with open(f"/proc/{pid}/maps") as maps:
            lines = maps.readlines()
        mem = open(f"/proc/{pid}/mem", "rb", 0)
    except (FileNotFoundError, ProcessLookupError):
        return  # a kms-seal that had nothing more to do
    with mem:
        for line in lines:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r.*?(\[.*\])?$", line.strip())
            if not m or m.group(3) in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            start, end = int(m.group(1), 16), int(m.group(2), 16)
            try:
                mem.seek(start)
                yield line.strip(), mem.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue


def found_in_memory(pid, keys):
    # Only the raw halves: hex and base64 are covered too, but each costs a pass.
    return [(where, i) for where, raw in memory_of(pid) for i, key in enumerate(keys)
            for form in forms(key) if form in raw]


def busy(kms):
    """Does everything that handles clear keys, and returns them."""
    keys = []
    with kms.client() as c:
        c.call("key_create", key="rec")
        c.call("key_create", key="gcm", algorithm="aes-256-gcm")
        c.call("key_create", key="kwp", algorithm="aes-256-kwp")
        for key in ("rec", "gcm"):
            for item in c.call("issue", key=key, context=CONTEXT, count=20)["items"]:
                c.unwrap(item.wrapped, CONTEXT)
                c.rewrap(item.wrapped, CONTEXT)
                keys.append(item.plaintext)
        keys.append(c.issue("kwp").plaintext)
        mine = os.urandom(32)
        c.unwrap(c.wrap("rec", mine, CONTEXT).wrapped, CONTEXT)
        keys.append(mine)
        keys.append(c.call("random", n=32).data)
        c.call("key_rotate", key="rec")
        # Refusals that carry keys, and a peer that leaves before its answer.
        c.ask("wrap", key="none", items=[{"data": mine}])
    with kms.client() as c:
        c.send("issue", key="rec", count=1000)
    return keys


@every_slot
def test_no_key_in_any_file(kms):
    keys = busy(kms)
    issued = kms.ctl("issue", "rec", "--context", "call=1")
    keys.append(base64.b64decode(issued["plaintext"]))
    assert found_in_files(kms.dir, keys) == []
    kms.kill()
    assert found_in_files(kms.dir, keys) == []
    auth = (kms.dir / "tpm-auth").read_bytes().strip()
    hits = [p for p, _ in found_in_files(kms.dir, [auth])]
    assert set(hits) <= {str(kms.dir / "tpm-auth")}


@pytest.mark.root
def test_scan_finds_what_is_there(kms):
    """The scan itself: our own memory holds the keys."""
    keys = busy(kms)
    assert found_in_memory(os.getpid(), keys[:2])


@as_installed
@pytest.mark.root
@every_slot
@pytest.mark.parametrize("sealed", [False, True])
def test_no_key_in_memory(kms, sealed):
    """Data keys leave no trace once they are answered; sealed or not."""
    keys = busy(kms)
    with kms.client() as c:
        if sealed:
            c.call("seal")
        c.call("whoami")
    for pid in kms.family():
        assert found_in_memory(pid, keys) == []


@as_installed
@pytest.mark.root
def test_no_auth_value_in_the_keeper(kms):
    auth = (kms.dir / "tpm-auth").read_bytes().strip()
    for pid in kms.family():
        assert found_in_memory(pid, [auth]) == []


@as_installed
def test_no_core_and_no_tracing(kms):
    for pid in kms.family():
        limits = open(f"/proc/{pid}/limits").read() if os.geteuid() == 0 else ""
        if pid == kms.keeper() and limits:
            assert re.search(r"Max core file size\s+0\s+0", limits)
    status = open(f"/proc/{kms.keeper()}/status").read()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            open(f"/proc/{kms.keeper()}/mem", "rb")


@every_slot
def test_crash_leaves_no_core(kms):
    keys = busy(kms)
    os.kill(kms.keeper(), 6)  # SIGABRT: as a failed check ends it
    kms.state = None
    kms.wait_open()
    assert found_in_files(kms.dir, keys) == []
    assert not [p for p in kms.dir.iterdir() if p.name.startswith("core")]


def test_refuses_secrets_in_arguments(kms):
    help_text = kms.ctl("--help", text=True).decode()
    assert "--password" not in help_text and "--key-value" not in help_text
