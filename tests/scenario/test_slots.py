# SPDX-License-Identifier: Apache-2.0
"""Several ways to open one root, on real hardware's software: slots that come, go, hang and lie; and
the log that says of all of it what happened."""
import shutil
import time

import pytest
from command import run
from hardware import TOKEN_CONFIG, token_module
from instance import PATIENCE, KmsError

CONTEXT = {"call": "1"}


def use(kms):
    """A key, and a wrapped key to open afterwards."""
    with kms.client() as c:
        c.call("key_create", key="rec")
        kms.item = c.issue("rec", CONTEXT)
    return kms


def opens(kms):
    with kms.client() as c:
        return c.unwrap(kms.item.wrapped, CONTEXT).plaintext == kms.item.plaintext


def why(kms):
    status = kms.ctl("status")
    return status["why"] if status["state"] == "sealed" else status["state"]


def lasts(kms):
    """How each slot's last try ended."""
    return {s["slot"]: s["last"] for s in kms.ctl("slot", "list")["slots"]}


def told(kms, *ops):
    """What the log holds of these operations: operation, result, detail."""
    return [(r["op"], r["result"], r.get("detail", "")) for r in kms.ctl("audit", "tail", "--lines", 500)
            if r["op"] in ops and r.get("detail") != "begun"]


@pytest.fixture
def two(make):
    """Opened by the TPM first and a token second; the TPM counts."""
    kms = make(both=True, deadline="2s")
    kms.ctl("slot", "add", "pkcs11:token=kms")
    return use(kms)


def test_a_whole_life_of_slots(make):
    """From a token and people to a TPM; each command as an operator types it."""
    kms = make(both=True, slot="pkcs11", init=False)
    kms.start()
    made = kms.ctl("init", "--slot", "pkcs11:token=kms", "--shares", "2/3")
    kms.wait_state("unsealed")
    assert {s["slot"]: s["kind"] for s in made["slots"]} == {"hsm": "pkcs11", "shares": "shares"}
    use(kms)
    assert kms.ctl("slot", "remove", "hsm", "--yes", status=6)["error"]["name"] == "last_slot"
    assert kms.ctl("slot", "check", "tpm")["slots"][0]["last"] == "ok"
    kms.ctl("slot", "add", "tpm", "--dry-run")
    assert set(lasts(kms)) == {"hsm", "shares"}
    kms.ctl("slot", "add", "tpm")
    assert kms.ctl("slot", "add", "tpm", status=6)["error"]["name"] == "slot_exists"
    assert kms.ctl("slot", "add", "pkcs11:token=none", status=7)["error"]["name"] == "slot_config"
    assert run("slot", "remove", "hsm", kms=kms).returncode == 2  # wants --yes
    kms.ctl("slot", "remove", "hsm", "--yes")
    assert kms.ctl("slot", "remove", "hsm", "--yes", status=3)["error"]["code"] == "not_found"
    kms.restart()
    assert kms.state == "unsealed" and opens(kms)
    assert set(lasts(kms)) == {"tpm", "shares"}
    kms.stop()
    shutil.rmtree(kms.dir / "softhsm")
    kms.start()
    assert kms.state == "unsealed" and opens(kms)
    assert told(kms, "slot-add", "slot-remove") == [
        ("slot-remove", "last_slot", "hsm"), ("slot-add", "ok", "dry-run"), ("slot-add", "ok", "tpm"),
        ("slot-add", "slot_exists", ""), ("slot-add", "slot_config", ""),
        ("slot-remove", "ok", "hsm"), ("slot-remove", "not_found", "")]


def test_first_slot_hung(two):
    """The next one is tried at its deadline; it serves although nothing counts, and says so."""
    two.stop()
    two.hang_tpm()
    two.start(wait=False)
    two.wait_state("unsealed")
    assert opens(two)
    assert lasts(two) == {"tpm": "hardware_timeout", "hsm": "ok"}
    assert two.ctl("status")["counter_state"] == "unchecked"
    assert ("unseal", "hardware_timeout", "tpm") in told(two, "unseal")
    two.resume_tpm()
    two.ctl("seal")
    two.ctl("unseal")
    assert two.ctl("status")["counter_state"] != "unchecked" and opens(two)


def test_all_slots_hung_or_gone(two):
    """It answers all the same, and says of each slot why it does not open."""
    two.stop()
    two.hang_tpm()
    shutil.move(two.dir / "softhsm" / "tokens", two.dir / "away")
    (two.dir / "softhsm" / "tokens").mkdir(mode=0o700)
    two.start()
    assert two.state == "sealed"
    seen = lasts(two)
    assert seen["tpm"] == "hardware_timeout" and seen["hsm"] in ("token_missing", "token_foreign")
    with two.client() as c, pytest.raises(KmsError) as e:
        c.issue("rec")
    assert e.value.code == "sealed"
    (two.dir / "softhsm" / "tokens").rmdir()
    shutil.move(two.dir / "away", two.dir / "softhsm" / "tokens")
    two.ctl("unseal", "--slot", "hsm")
    assert opens(two)
    two.resume_tpm()


def test_token_gone_under_way(make):
    """What is unsealed goes on; what would need the token says so."""
    kms = use(make(slot="pkcs11"))
    shutil.move(kms.dir / "softhsm" / "tokens", kms.dir / "away")
    (kms.dir / "softhsm" / "tokens").mkdir(mode=0o700)
    with kms.client() as c:
        for _ in range(20):
            c.issue("rec", CONTEXT)
        assert c.call("key_rotate", key="rec").version == 2
    assert opens(kms)
    error = kms.ctl("slot", "check", "pkcs11", status=7)["error"]
    assert error["name"] == "token_missing" and error["hint"]
    assert kms.ctl("slot", "remove", "hsm", "--yes", status=6)["error"]["name"] == "last_slot"
    kms.restart()
    assert why(kms) in ("token_missing", "token_foreign")
    (kms.dir / "softhsm" / "tokens").rmdir()
    shutil.move(kms.dir / "away", kms.dir / "softhsm" / "tokens")
    kms.ctl("unseal")
    assert opens(kms)


def test_three_power_cuts_in_a_row(two):
    """Neither chip nor kmsd is stopped in order. It is counted by the chip, and never locks us out."""
    for i in range(3):
        two.kill()
        two.kill_tpm()
        two.start_tpm()
        two.start()
        assert two.state == "unsealed" and lasts(two)["tpm"] == "ok" and opens(two)
        two.ctl("key", "rotate", "rec")
    assert two.ctl("key", "show", "rec")["version"] == 4
    assert not two.ctl("status")["counter_behind"]


def test_other_pcr_and_a_second_slot(two):
    """The chip refuses, the token opens; the counter in the chip is read and counts on."""
    two.stop()
    two.tpm("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    two.start()
    assert two.state == "unsealed" and opens(two)
    assert lasts(two) == {"tpm": "tpm_pcr", "hsm": "ok"}
    before = two.ctl("status")["counter"]
    two.ctl("key", "rotate", "rec")
    assert two.ctl("status")["counter"] == before + 1
    assert two.ctl("unseal", "--slot", "none", status=3)["error"]["code"] == "not_found"
    assert run("unseal", "--slot", "tpm", kms=two).returncode == 0  # it is open already
    two.ctl("seal")
    assert two.ctl("unseal", "--slot", "tpm", status=7)["error"]["name"] == "tpm_pcr"
    assert two.ctl("slot", "remove", "hsm", "--yes", status=4)["error"]["code"] == "sealed"
    two.ctl("unseal")
    # The one that opens is no reason to lose the only other one that does not.
    assert two.ctl("slot", "remove", "hsm", "--yes", status=6)["error"]["name"] == "last_slot"


def test_cleared_and_saved_by_people(make):
    """A cleared chip takes the counter along: people open it, but one of them must say that this is
    meant. Then the chip is a slot again, and the log has the whole story."""
    kms = use(make(shares="2/3"))
    kms.stop()
    kms.tpm("tpm2_clear")
    kms.start()
    assert why(kms) == "tpm_foreign"
    kms.give(kms.shares[0])
    assert kms.give(kms.shares[1], status=7)["error"]["name"] == "counter_gone"
    assert why(kms) == "counter_gone"
    kms.give(kms.shares[0])
    kms.give(kms.shares[1], "--accept-restore")
    assert opens(kms)
    assert kms.ctl("slot", "add", "tpm", status=6)["error"]["name"] == "slot_exists"
    assert kms.ctl("slot", "remove", "tpm", "--yes", status=6)["error"]["name"] == "last_slot"
    kms.ctl("slot", "remove", "tpm", "--yes", "--rely-on-shares")
    kms.ctl("slot", "add", "tpm")
    kms.restart()
    assert kms.state == "unsealed" and opens(kms)
    assert kms.ctl("status")["counter"] > 0
    assert told(kms, "unseal", "slot-add", "slot-remove") == [
        ("unseal", "tpm_foreign", "tpm"), ("unseal", "tpm_foreign", ""),
        ("unseal", "ok", "share"), ("unseal", "counter_gone", "shares"),
        ("unseal", "ok", "share"), ("unseal", "ok", "counter_gone"),
        ("slot-add", "slot_exists", ""), ("slot-remove", "last_slot", "tpm"),
        ("slot-remove", "ok", "tpm"), ("slot-add", "ok", "tpm"), ("unseal", "ok", "tpm")]


def test_accepting_accepts_no_more_than_there_is(make):
    """--accept-restore where nothing is wrong: it opens, and the log holds no acceptance."""
    kms = use(make(shares="2/2"))
    kms.ctl("seal")
    kms.give(kms.shares[0], "--accept-restore")
    kms.give(kms.shares[1])
    assert opens(kms) and told(kms, "unseal")[-1] == ("unseal", "ok", "shares")


def test_wrong_pin(make):
    """Tried once for each opening: a token locks. Nothing tries again by itself."""
    kms = use(make(slot="pkcs11"))
    path = kms.dir / "pkcs11-pin"
    right = path.read_text()
    kms.stop()
    path.write_text("0" * 16)
    kms.start()
    assert why(kms) == "pin_wrong"
    assert kms.logged().count("error=pin_wrong") >= 1
    assert kms.logged().count("event=slot-failed") == 1
    # It rests, and a restart is no way around that.
    assert kms.ctl("unseal", status=7)["error"]["name"] == "pin_wait"
    path.write_text(right)
    deadline = time.monotonic() + PATIENCE
    while kms.ctl("unseal", status=None).returncode != 0:
        assert time.monotonic() < deadline
    assert opens(kms)
    assert kms.logged().count("event=pin-wrong") == 1


@pytest.mark.parametrize("spoil", ["missing", "open to others", "empty"])
def test_pin_file(make, spoil):
    kms = use(make(slot="pkcs11"))
    path = kms.dir / "pkcs11-pin"
    right = path.read_text()
    kms.stop()
    if spoil == "missing":
        path.unlink()
    elif spoil == "empty":
        path.write_text("")
    else:
        path.chmod(0o644)
    kms.start()
    assert why(kms) == "pin_file"
    path.write_text(right)
    path.chmod(0o600)
    kms.ctl("unseal")
    assert opens(kms)


def test_token_initialised_anew(make):
    kms = use(make(slot="pkcs11"))
    kms.stop()
    shutil.rmtree(kms.dir / "softhsm" / "tokens")
    (kms.dir / "softhsm" / "tokens").mkdir(mode=0o700)
    kms.make_token()
    kms.start()
    assert why(kms) == "token_foreign"


def test_old_store_under_todays_chip_wants_a_person(make):
    """People's shares open no old store either, unless one of them says that it is meant."""
    kms = use(make(shares="2/3"))
    kms.stop()
    shutil.copytree(kms.store, kms.dir / "yesterday")
    kms.start()
    kms.ctl("key", "destroy", "rec", "--yes")
    kms.stop()
    shutil.rmtree(kms.store)
    shutil.copytree(kms.dir / "yesterday", kms.store)
    kms.start()
    assert why(kms) == "rollback"
    kms.give(kms.shares[0])
    assert kms.give(kms.shares[2], status=7)["error"]["name"] == "rollback"
    kms.ctl("unseal", "--accept-restore")
    # What the log holds beyond it stays done.
    with kms.client() as c, pytest.raises(KmsError) as e:
        c.unwrap(kms.item.wrapped, CONTEXT)
    assert e.value.code == "wrong_state"
    assert told(kms, "unseal")[-1] == ("unseal", "ok", "rollback")
    kms.restart()
    assert kms.state == "unsealed"


def test_a_rotated_root_has_new_shares(make):
    """The old ones are worth nothing, the hardware holds the new root, and all data stay."""
    kms = use(make(both=True, shares="2/3"))
    kms.ctl("slot", "add", "hsm")
    old = kms.shares
    assert run("root", "rotate", "--json", kms=kms).returncode == 2  # wants --yes
    kms.ctl("root", "rotate", "--dry-run")
    assert opens(kms)
    new = kms.ctl("root", "rotate", "--yes", "--store")["shares"]
    assert opens(kms) and not set(old) & set(new)
    for way in ("tpm", "hsm"):
        kms.ctl("seal")
        kms.ctl("unseal", "--slot", way)
        assert opens(kms)
    kms.ctl("seal")
    assert kms.give(old[0], status=5)["error"]["name"] == "share_foreign"
    kms.give(new[0])
    kms.give(new[1])
    assert opens(kms)


def test_a_slot_out_of_reach_stops_a_rotation(two):
    """Nothing changes, unless it is named as one to be left out."""
    two.kill_tpm()
    error = two.ctl("root", "rotate", "--yes", status=7)["error"]
    assert error["name"] == "tpm_unreachable" and "tpm" in str(error)
    assert two.ctl("root", "rotate", "--yes", "--leave-out", "none", status=3)["error"]["code"] == \
        "not_found"
    two.start_tpm()
    two.restart()
    assert lasts(two) == {"tpm": "ok", "hsm": "ok"} or lasts(two)["tpm"] == "ok"
    two.kill_tpm()
    two.ctl("root", "rotate", "--yes", "--leave-out", "tpm")
    assert set(lasts(two)) == {"hsm"}
    two.start_tpm()
    two.restart()
    assert two.state == "unsealed" and opens(two)


def test_no_more_slots_than_there_is_room_for(make):
    """Eight; the ninth is refused, whether hardware or people."""
    kms = make(both=True, init=False)
    (kms.dir / "kms.conf.d").mkdir()
    section = TOKEN_CONFIG.format(dir=kms.dir, token_module=token_module(), deadline="10s")
    (kms.dir / "kms.conf.d" / "more.conf").write_text("".join(
        section.replace("pkcs11 hsm", f"pkcs11 hsm{i}").replace("token =", f'key = "k{i}"\n\ttoken =')
        for i in range(1, 7)))
    kms.start()
    kms.init()
    for name in ("hsm", *(f"hsm{i}" for i in range(1, 7))):
        kms.ctl("slot", "add", name)
    assert len(lasts(kms)) == 8
    assert kms.ctl("slot", "add", "--shares", "2/3", status=8)["error"]["name"] == "slots_full"
    assert kms.ctl("slot", "add", "pkcs11", status=7)["error"]["name"] == "slot_config"  # which one?
    kms.ctl("slot", "remove", "hsm3", "--yes")
    kms.ctl("slot", "add", "--shares", "2/3")
    kms.restart()
    assert kms.state == "unsealed"


def test_first_slot_hung_in_time(make):
    """The promise: the deadline of the slot that hangs, and two seconds."""
    deadline = 3
    kms = make(both=True, deadline=f"{deadline}s")
    kms.ctl("slot", "add", "hsm")
    kms.stop()
    kms.hang_tpm()
    begun = time.monotonic()
    kms.start(wait=False)
    kms.wait_state("opening")
    kms.wait_state("unsealed")
    assert time.monotonic() - begun < deadline + 2
