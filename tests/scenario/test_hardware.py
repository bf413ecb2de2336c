# SPDX-License-Identifier: Apache-2.0
"""The TPM dead, hung, cleared, foreign, locked out, with other PCR values: each has its own name,
the keeper goes on answering meanwhile, and what is unsealed goes on serving data."""
import os
import shutil
import signal
import time

import pytest
from audit import records
from instance import Instance, KmsError

CONTEXT = {"call": "1"}


@pytest.fixture
def used(kms):
    """An instance with a key and a wrapped key to open."""
    with kms.client() as c:
        c.call("key_create", key="rec")
        kms.item = c.issue("rec", CONTEXT)
    return kms


def opens(kms):
    with kms.client() as c:
        return c.unwrap(kms.item.wrapped, CONTEXT).plaintext == kms.item.plaintext


def sealed_by(kms, *names):
    """kmsd runs, says that it is sealed and why, and refuses data by name."""
    status = kms.status()
    assert status.state == "sealed" and status.why in names, (status.state, status.why)
    assert status.slots[0].last in names
    with kms.client() as c:
        with pytest.raises(KmsError) as e:
            c.call("issue", key="rec")
        assert e.value.code == "sealed"
        with pytest.raises(KmsError) as e:
            c.call("unseal")
        assert e.value.name in names and e.value.error.hint


def heals(kms):
    with kms.client() as c:
        c.call("unseal")
    assert opens(kms)


def test_dead_at_start(used):
    used.stop()
    used.kill_tpm()
    assert used.start().state == "sealed"
    sealed_by(used, "tpm_unreachable")
    used.start_tpm()
    heals(used)


def test_dead_under_way(used):
    used.kill_tpm()
    assert opens(used)
    with used.client() as c:
        c.issue("rec", CONTEXT)
        # The change stands; that the counter is behind is said, and made up for later.
        assert c.call("key_rotate", key="rec").version == 2
        assert c.status().counter_behind
    used.start_tpm()
    with used.client() as c:
        assert c.call("key_rotate", key="rec").version == 3
        assert not c.status().counter_behind
    used.restart()
    assert opens(used)


def test_hung_at_start(make):
    kms = make(deadline="2s")
    with kms.client() as c:
        c.call("key_create", key="rec")
        kms.item = c.issue("rec", CONTEXT)
    kms.stop()
    kms.hang_tpm()
    kms.start(wait=False)
    kms.wait_state("opening")
    begun = time.monotonic()
    with kms.client() as c:
        assert c.status().state == "opening"  # at once, not after the deadline
        with pytest.raises(KmsError) as e:
            c.call("issue", key="rec")
        assert e.value.code == "unavailable"
    assert time.monotonic() - begun < 1
    kms.wait_state("sealed")
    assert kms.status().why == "hardware_timeout"
    kms.resume_tpm()
    heals(kms)


def test_hung_under_way(make):
    kms = make(deadline="2s")
    with kms.client() as c, kms.client() as other:
        c.call("key_create", key="rec")
        kms.item = c.issue("rec", CONTEXT)
        kms.hang_tpm()
        asked = c.send("key_rotate", key="rec")
        begun = time.monotonic()
        for _ in range(50):
            other.issue("rec", CONTEXT)
        assert time.monotonic() - begun < 1
        answer = c.recv()
        assert answer.id == asked and answer.key.version == 2
        assert other.status().counter_behind
        kms.resume_tpm()
        assert c.call("key_rotate", key="rec").version == 3
        assert not c.status().counter_behind
    assert opens(kms)


def test_helper_killed(used):
    used.hang_tpm()
    with used.client() as c:
        c.send("key_rotate", key="rec")
        while used.helper() is None:
            pass
        os.kill(used.helper(), signal.SIGKILL)
        used.resume_tpm()
        assert c.recv().key.version == 2
        assert c.call("key_rotate", key="rec").version == 3
        assert not c.status().counter_behind
    assert opens(used)


def test_foreign(used):
    used.stop()
    used.stop_tpm()
    used.start_tpm(state="another")
    used.start()
    sealed_by(used, "tpm_foreign")
    used.stop_tpm()
    used.start_tpm()
    heals(used)


def test_cleared(used):
    used.stop()
    used.tpm("tpm2_clear")
    used.start()
    sealed_by(used, "tpm_foreign")


def test_other_pcr(used):
    used.stop()
    used.tpm("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    used.start()
    sealed_by(used, "tpm_pcr")
    assert used.tpm("tpm2_getcap", "properties-variable").count(b"LOCKOUT_COUNTER: 0x0") == 1
    used.stop_tpm()
    used.start_tpm()  # a restart resets the PCR
    heals(used)


def test_wrong_auth_then_lockout(used):
    right = (used.dir / "tpm-auth").read_text()
    used.stop()
    (used.dir / "tpm-auth").write_text("f" * 64)
    used.start()
    assert used.status().why == "tpm_auth"
    names = []
    with used.client() as c:
        for _ in range(6):
            with pytest.raises(KmsError) as e:
                c.call("unseal")
            names.append(e.value.name)
    (used.dir / "tpm-auth").write_text(right)
    if "tpm_lockout" in names:
        sealed_by(used, "tpm_lockout")
        used.tpm("tpm2_dictionarylockout", "-c")
    heals(used)


@pytest.mark.parametrize("spoil", ["missing", "open to others", "empty"])
def test_auth_file(used, spoil):
    path = used.dir / "tpm-auth"
    right = path.read_text()
    used.stop()
    if spoil == "missing":
        path.unlink()
    elif spoil == "empty":
        path.write_text("")
    else:
        path.chmod(0o644)
    used.start()
    sealed_by(used, "auth_file")
    path.write_text(right)
    path.chmod(0o600)
    heals(used)


def test_counter_removed(used):
    """Whoever owns the TPM can remove the counter: that is tampering, not a first start."""
    used.stop()
    handles = used.tpm("tpm2_getcap", "handles-nv-index").decode().split()
    for handle in (h for h in handles if h.startswith("0x")):
        used.tpm("tpm2_nvundefine", handle)
    used.start()
    sealed_by(used, "counter_gone")


def test_stolen_disk(used):
    """The whole folder, auth value and all, beside another TPM."""
    used.stop()
    thief = Instance(init=False)
    try:
        for name in ("store", "audit"):
            shutil.rmtree(thief.dir / name)
            shutil.copytree(used.dir / name, thief.dir / name)
        shutil.copy(used.dir / "tpm-auth", thief.dir / "tpm-auth")
        thief.start()
        sealed_by(thief, "tpm_foreign")
    finally:
        thief.close()
    used.start()
    assert opens(used)


def test_helper_missing(used):
    used.stop()
    used.write_config(helper=used.dir / "no-such-program")
    used.start()
    sealed_by(used, "hardware_helper")


def test_power_cut_of_both(used):
    """Neither is stopped in order. A TPM counts that; it must not lock us out at once."""
    for _ in range(2):
        used.kill()
        used.kill_tpm()
        used.start_tpm()
        used.start()
        assert opens(used)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_change_is_never_without_a_record(make, end):
    """The chip hangs when the change is durable already; then kmsd ends. The log knows of it."""
    kms = make(deadline="20s")
    with kms.client() as c:
        c.call("key_create", key="rec")
        kms.hang_tpm()
        before = kms.status().epoch
        c.send("key_destroy", key="rec", version=1)
        with kms.client() as other:  # an answer of its own: the change's group is on its way
            while not any(r.op == "key-destroy" for r in records(kms)):
                other.call("whoami")
        getattr(kms, end)()
    kms.resume_tpm()
    kms.start()
    assert kms.state == "unsealed", kms.tail()
    found = [r for r in records(kms) if r.op == "key-destroy"]
    assert found[0].detail == "begun" and found[0].epoch == before + 1
    with kms.client() as c:
        state = c.call("key_show", key="rec")["versions"][0].state
    assert state in ("active", "destroyed")
    assert state == "destroyed" or end == "kill"


def test_opens_by_itself_when_the_chip_comes_back(make):
    """What passes by itself needs no person: kmsd tries again, ever more seldom."""
    kms = make()
    with kms.client() as c:
        c.call("key_create", key="rec")
    kms.stop()
    kms.kill_tpm()
    kms.start()
    assert kms.status().why == "tpm_unreachable"
    kms.start_tpm()
    kms.wait_state("unsealed", seconds=20)
