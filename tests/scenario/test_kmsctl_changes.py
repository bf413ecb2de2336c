# SPDX-License-Identifier: Apache-2.0
"""kmsctl where it changes something, asks first, shows nothing secret, or finds nobody there."""
import json
import os
import subprocess

import pytest
from command import KMSCTL, environment, issue, on_terminal, run
from instance import PATIENCE


# ---- changes --------------------------------------------------------------------------------

def test_life_of_a_key(kms):
    made = kms.ctl("key", "create", "rec", "--class", "calls", "--algorithm", "aes-256-gcm",
                   "--rotate-every", "90d")
    assert (made["class"], made["algorithm"], made["rotate_every_s"]) == (
        "calls", "aes-256-gcm", 90 * 86400)
    kms.ctl("key", "create", "rec", status=6)
    kms.ctl("key", "create", "-", status=5)
    assert kms.ctl("key", "rotate", "rec", "--reason", "yearly")["version"] == 2
    assert kms.ctl("key", "suspend", "rec")["state"] == "suspended"
    kms.ctl("issue", "rec", status=6)
    assert kms.ctl("key", "resume", "rec")["state"] == "active"
    versions = kms.ctl("key", "compromise", "rec", "--version", "1", "--yes")["versions"]
    assert [v["state"] for v in versions] == ["compromised", "active"]
    assert kms.ctl("key", "deactivate", "rec", "--yes")["version"] == 0
    kms.ctl("key", "cancel-destroy", "rec", status=6)
    versions = kms.ctl("key", "destroy", "rec", "--yes")["versions"]
    assert {v["state"] for v in versions} == {"destroyed"}


DRY = [["key", "create", "new"], ["key", "rotate", "rec"], ["key", "suspend", "rec"],
       ["key", "deactivate", "rec"], ["key", "compromise", "rec"], ["key", "destroy", "rec"],
       ["key", "destroy", "rec", "--version", "1"], ["seal"], ["unseal"]]


def test_dry_run_changes_nothing(kms, tmp_path):
    kms.ctl("key", "create", "rec")
    before, epoch = kms.ctl("key", "show", "rec"), kms.ctl("status")["epoch"]
    clear = tmp_path / "clear"
    clear.write_bytes(b"voice")
    for words in [*DRY, ["encrypt", "rec", clear, "-o", tmp_path / "out", "--rm"]]:
        assert kms.ctl(*words, "--dry-run")["dry_run"] is True, words
        assert b"nothing" in run(*words, "--dry-run", kms=kms).stderr.lower(), words
    kms.ctl("init", "--dry-run", status=6)
    kms.ctl("key", "resume", "rec", "--dry-run", status=6)
    assert kms.ctl("key", "show", "rec") == before
    assert kms.ctl("status")["epoch"] == epoch and len(kms.ctl("key", "list")["keys"]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["clear"]


@pytest.mark.parametrize("verb", ["deactivate", "compromise", "destroy"])
def test_without_a_terminal_it_wants_yes(kms, verb):
    kms.ctl("key", "create", "rec")
    done = run("key", verb, "rec", kms=kms, input=b"rec\n")
    assert done.returncode == 2 and b"--yes" in done.stderr
    assert b"version 1" in done.stderr, "it tells what would happen"
    assert kms.ctl("key", "show", "rec")["state"] == "active"


def test_the_name_must_be_typed(kms):
    kms.ctl("key", "create", "rec")
    issue_text = kms.ctl("issue", "rec", "--count", "12", text=True)
    assert len(issue_text.split()) == 12
    for typed in (b"\n", b"yes\n", b"rec2\n", b"REC\n", b"\x04"):
        status, seen = on_terminal(kms, "key", "destroy", "rec", typed=typed)
        assert status == 6 and "did not match" in seen and "Issued under it: 12" in seen, typed
        assert kms.ctl("key", "show", "rec")["state"] == "active"
    assert '"cancelled"' in on_terminal(kms, "key", "destroy", "rec", "--json", typed=b"no\n")[1]
    status, seen = on_terminal(kms, "key", "destroy", "rec", typed=b"rec\n")
    assert status == 0 and "destroyed" in seen
    assert kms.ctl("key", "show", "rec")["state"] == "destroyed"


@pytest.mark.parametrize("words", [
    ["issue", "k", "--json"], ["unwrap", "{wrapped}"], ["unwrap", "{wrapped}", "--json"],
    ["random"], ["encrypt", "k", "{wrapped}"], ["decrypt", "{wrapped}"],
], ids=" ".join)
def test_clear_keys_and_binary_never_reach_a_terminal(shared, tmp_path, words):
    wrapped = tmp_path / "wrapped"
    wrapped.write_bytes(issue(shared))
    words = [w.format(wrapped=wrapped) for w in words]
    before = shared.status().audit_records
    status, seen = on_terminal(shared, *words)
    assert status == 2 and "terminal" in seen
    assert shared.status().audit_records - before <= 1, "it was not even asked for"


def test_a_terminal_may_see_what_is_no_secret(shared, tmp_path):
    assert on_terminal(shared, "issue", "k")[0] == 0
    assert on_terminal(shared, "random", "--base64")[0] == 0
    assert on_terminal(shared, "issue", "k", "--json", "--wrapped-only")[0] == 0
    out = tmp_path / "out"
    assert on_terminal(shared, "random", stdout=out)[0] == 0
    assert out.stat().st_size == 32


def test_colors(shared):
    assert "\x1b[32m" in on_terminal(shared, "status")[1]
    env = environment(shared, NO_COLOR="1", TERM="xterm")
    done = subprocess.run(["script", "-qec", f"{KMSCTL} status", "/dev/null"], env=env,
                          capture_output=True) if os.path.exists("/usr/bin/script") else None
    assert done is None or b"\x1b" not in done.stdout
    assert b"\x1b" not in run("status", kms=shared).stdout


# ---- states and failures --------------------------------------------------------------------

def test_seal_wait_unseal(kms):
    kms.ctl("key", "create", "k")
    assert kms.ctl("seal")["sealed"] is True
    assert kms.ctl("status")["sealed"] is True
    assert b"what to do" in kms.ctl("status", text=True)
    assert kms.ctl("issue", "k", status=4)["error"]["code"] == "sealed"
    assert kms.ctl("wait", "--timeout", "0", status=4)["error"]["hint"]
    seen = kms.ctl("doctor", status=4)
    assert not seen["ok"] and any(c["result"] == "fail" and c["hint"] for c in seen["checks"])
    assert kms.ctl("unseal", "--slot", "tpm")["state"] == "unsealed"
    assert kms.ctl("wait", "--timeout", "10s")["sealed"] is False
    kms.ctl("issue", "k")


def test_init(blank):
    assert blank.ctl("status")["state"] == "uninitialised"
    assert b"kmsctl init" in blank.ctl("status", text=True)
    assert blank.ctl("slot", "check", "tpm")["slots"][0]["kind"] == "tpm"
    assert blank.ctl("init", "--dry-run")["slots"]
    assert blank.ctl("status")["state"] == "uninitialised"
    blank.ctl("init", "--slot", "floppy", status=7)
    assert blank.ctl("init", "--slot", "tpm")["slots"][0]["last"] == "ok"
    blank.ctl("wait", "--timeout", "20s")
    assert blank.ctl("init", status=6)["error"]["code"] == "exists"


def test_nobody_there(tmp_path):
    env = environment(KMS_SOCKET=str(tmp_path / "none"))
    for words in (["status"], ["key", "list"], ["wait", "--timeout", "0"], ["doctor"]):
        done = subprocess.run([KMSCTL, *words], env=env, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 8, words
        assert b"what to do" in done.stderr + done.stdout
    done = subprocess.run([KMSCTL, "status", "--json"], env=env, capture_output=True)
    assert json.loads(done.stdout)["error"]["code"] == "unavailable" and not done.stderr


def test_socket_option_wins(shared, tmp_path):
    env = environment(KMS_SOCKET=str(tmp_path / "none"))
    done = subprocess.run([KMSCTL, "status", "--socket", shared.socket], env=env,
                          capture_output=True)
    assert done.returncode == 0
    assert run("--socket", tmp_path / "none", "status", kms=shared).returncode == 8


def test_missing_file_is_named(shared, tmp_path):
    done = run("unwrap", tmp_path / "none", kms=shared)
    assert done.returncode == 2 and b"No such file" in done.stderr
    assert run("inspect", tmp_path, kms=shared).returncode == 2


def test_full_disk_is_an_error(shared):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([KMSCTL, "status"], env=environment(shared), stdout=full,
                              stderr=subprocess.PIPE)
    assert done.returncode == 7 and b"No space left" in done.stderr
